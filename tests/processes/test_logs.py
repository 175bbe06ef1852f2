"""Real members, killed, stopped and asked to leave: what their logs say of it, live and from a bundle."""

import json
import os
import signal
import tarfile
import time
from collections.abc import Callable

from coordctl.local import processes
from tests.processes.local import Home

WAIT_S = 120.0


def explained(home: Home, *arguments: str) -> list[tuple[str, list[str]]]:
    found = json.loads(home.ctl("logs", "explain", *arguments, "-o", "json", code=None))
    return [(one["cause"], one["members"]) for one in found["hypotheses"]]


def wait(what: Callable[[], bool]) -> None:
    until = time.monotonic() + WAIT_S
    while not what():
        assert time.monotonic() < until
        time.sleep(0.2)


def count(home: Home, pattern: str) -> int:
    return len(home.ctl("logs", "search", pattern, "-o", "json", code=None).splitlines())


def test_what_happened_to_members_is_told_live_and_from_a_bundle(home: Home) -> None:
    home.ctl("up")
    leader = str(home.json("status")["leader"])
    follower, other = (name for name in ("n1", "n2", "n3") if name != leader)
    wait(lambda: count(home, '"pulse"') >= 3 * 12)  # a little of how it is when all is well
    since = time.strftime("%H:%M:%S", time.gmtime(time.time()))

    pid = home.pid(follower)
    os.kill(pid, signal.SIGSTOP)
    wait(lambda: count(home, "peer_silent") >= 1)
    time.sleep(2)  # the silence of a member is one when it is 4 s long
    os.kill(pid, signal.SIGCONT)
    wait(lambda: count(home, "peer_heard") >= 1)
    assert ("member paused", [follower]) in explained(home, "--from", since)

    home.kill(leader)
    wait(lambda: count(home, '"elected"') >= 2)
    wait(lambda: ("member killed", [leader]) in explained(home, "--from", since))
    bundle = home.folder / "b.tar.gz"
    made = json.loads(home.ctl("bundle", "--from", since, "--file", str(bundle), "-o", "json"))
    live = explained(home, "--from", since)
    saved = explained(home, str(bundle))
    assert {("member paused", (follower,)), ("member killed", (leader,))} <= {(cause, tuple(members)) for cause, members in live}
    assert saved == live
    with tarfile.open(bundle) as archive:
        assert {"manifest.json", f"{leader}/flight.log", f"{other}/status.json", f"{other}/wal-verify.json"} <= set(archive.getnames())
    assert [one["what"] for one in made["missing"] if one["what"].startswith(leader)] == [f"{leader}/status.json", f"{leader}/metrics.txt"]

    home.ctl("up")
    planned = time.strftime("%H:%M:%S", time.gmtime(time.time() + 1))
    wait(lambda: time.strftime("%H:%M:%S", time.gmtime()) > planned)
    started = processes.started_mark(home.pid(other))
    assert processes.send(home.pid(other), started, signal.SIGTERM)
    assert processes.wait_gone(home.pid(other), started, WAIT_S)
    home.ctl("up")
    wait(lambda: ("restart", [other]) in explained(home, "--from", planned))
