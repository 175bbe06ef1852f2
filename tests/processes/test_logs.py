"""Real members, killed, stopped and asked to leave: what their logs say of it, live and from a bundle."""

import json
import os
import signal
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

from coordctl.local import processes
from tests.processes.local import Home

WAIT_S = 120.0
SILENT_S = 4.5  # the silence of a member is one when it is 4 s long


def explained(home: Home, *arguments: str) -> list[tuple[str, list[str]]]:
    found = json.loads(home.ctl("logs", "explain", *arguments, "-o", "json", code=None))
    return [(one["cause"], one["members"]) for one in found["hypotheses"]]


def but_stalls(found: list[tuple[str, list[str]]]) -> list[tuple[str, list[str]]]:
    """Without what a machine that stands still does to any member, which is told as it should be."""
    return [one for one in found if one[0] not in ("slow disk", "member paused")]


def wait(what: Callable[[], bool]) -> None:
    until = time.monotonic() + WAIT_S
    while not what():
        assert time.monotonic() < until
        time.sleep(0.2)


def next_second() -> str:
    """It is over when this returns."""
    found = time.strftime("%H:%M:%S", time.gmtime(time.time() + 1))
    wait(lambda: time.strftime("%H:%M:%S", time.gmtime()) > found)
    return found


def count(home: Home, pattern: str, *arguments: str) -> int:
    return len(home.ctl("logs", "search", pattern, *arguments, "-o", "json", code=None).splitlines())


def test_what_happened_to_members_is_told_live_and_from_a_bundle(home: Home) -> None:
    home.ctl("up")
    leader = str(home.json("status")["leader"])
    follower, other = (name for name in ("n1", "n2", "n3") if name != leader)
    wait(lambda: count(home, '"pulse"') >= 3 * 4)  # a little of how it is when all is well
    since = time.strftime("%H:%M:%S", time.gmtime(time.time()))

    pid = home.pid(follower)
    os.kill(pid, signal.SIGSTOP)
    stopped = time.monotonic()
    wait(lambda: count(home, "peer_silent", "--from", since) >= 1 and time.monotonic() - stopped > SILENT_S)
    os.kill(pid, signal.SIGCONT)
    wait(lambda: ("member paused", [follower]) in explained(home, "--from", since))

    home.kill(leader)
    wait(lambda: count(home, '"elected"') >= 2)
    wait(lambda: ("member killed", [leader]) in explained(home, "--from", since))
    span = ("--from", since, "--to", next_second())  # whatever happens while the bundle is made
    bundle = home.folder / "b.tar.gz"
    made = json.loads(home.ctl("bundle", "--from", since, "--file", str(bundle), "-o", "json"))
    live, saved = explained(home, *span), explained(home, str(bundle), *span)
    assert {("member paused", (follower,)), ("member killed", (leader,))} <= {(cause, tuple(members)) for cause, members in live}
    assert saved == live
    with tarfile.open(bundle) as archive:
        assert {"manifest.json", "report.html", f"{leader}/flight.log", f"{other}/status.json", f"{other}/wal-verify.json"} <= set(
            archive.getnames()
        )
    assert [one["what"] for one in made["missing"] if one["what"].startswith(leader)] == [f"{leader}/status.json", f"{leader}/metrics.txt"]

    home.ctl("up")
    planned = next_second()
    started = processes.started_mark(home.pid(other))
    assert processes.send(home.pid(other), started, signal.SIGTERM)
    assert processes.wait_gone(home.pid(other), started, WAIT_S)
    home.ctl("up")
    wait(lambda: ("restart", [other]) in explained(home, "--from", planned))


def test_the_life_of_a_name_and_what_operators_did_are_told_from_the_folders(home: Home) -> None:
    home.ctl("up", "--nodes", "1")
    with home.start("lock", "run", "nightly", "--note", "backup", "--", "sleep", "60") as holder:
        wait(lambda: "nightly" in home.ctl("lock", "ls", code=None))
        home.ctl("lock", "break", "nightly", "--reason", "host retired", "--yes")
        assert holder.wait(60) == 79
    home.ctl("queue", "put", "thumbs", "cat.jpg")
    home.ctl("queue", "run", "thumbs", "--", "true")
    home.ctl("elect", "run", "boss", "--candidate", "web1", "--", "true")
    for _ in range(2):  # while it runs, and when it is gone
        lock = [json.loads(line) for line in home.ctl("life", "nightly", "-o", "json").splitlines()]
        told = [(one["service"], one["what"], one["why"].partition(" (by ops@")[0]) for one in lock]
        assert sorted(told) == [
            ("lock", "broken", "host retired"),
            ("lock", "granted", "backup"),
            ("operator", "broke the lock", "host retired"),
        ]
        assert lock[0]["token"] == lock[-1]["token"] > 0
        task = [json.loads(line) for line in home.ctl("life", "thumbs", "-o", "json").splitlines()]
        assert [one["what"].split(",")[0].split()[-1] for one in task] == ["put", "taken", "done"]
        led = home.ctl("life", "boss")
        assert "leads" in led
        assert "web1" in led
        assert "nobody leads" in led
        stream = [json.loads(line) for line in home.ctl("timeline", "-o", "json").splitlines()]
        assert {("operator", "host retired"), ("restart", ""), ("election", "")} <= {(one["sort"], one["why"]) for one in stream}
        assert [one["at_ms"] for one in stream] == sorted(one["at_ms"] for one in stream)
        verified = json.loads(home.ctl("wal", "verify", "-o", "json"))
        assert (verified["member"], Path(verified["folder"]).name) == (home.members()[0]["id"], "n1")
        if processes.started_mark(home.pid("n1")):
            home.kill("n1")
    assert home.run("wal", "diff").returncode == 64  # of one alone there is nothing to compare
    assert home.run("life", "nobody").returncode == 1
