"""Faults on real members: they are real, and gone when their time is over, whoever is killed meanwhile; nothing else is touched."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coordctl.chaos import lives
from coordctl.chaos.ledger import Entry, Ledger, boot_mark
from coordctl.chaos.premises import Kept
from coordctl.local import clusters, fleet, processes
from coordnode.client.clock import now_ms
from tests.processes.boundaries import CTL, FATAL, NOBODY, Boundary, boundaries_of, time_is_over
from tests.processes.local import SOURCE, Home
from tests.processes.runner.jobs import marked, until
from tests.processes.test_commands import valid


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """Three members, which every test leaves well."""
    made = Home(tmp_path_factory.mktemp("broken"))
    made.ctl("up")
    yield made
    until(lambda: reapers(made) == [], "reapers are left")
    made.close()


def reapers(home: Home) -> list[int]:
    return marked_both(str(home.state), "coordctl.chaos.reapers")


def marked_both(one: str, other: str) -> list[int]:
    there = marked(other)
    return [pid for pid in marked(one) if pid in there]


def reaper(home: Home, name: str) -> int:
    def look() -> int:
        for pid in reapers(home):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if words[-2] == name.encode():
                return pid
        return 0

    return int(until(look, f"there is no reaper {name}"))


def is_whole(home: Home) -> bool:
    """Every member runs and answers, nothing is written down as broken, and nobody is left who would heal."""
    ledger = home.state / "local" / "chaos"
    runs = [int(str(one["pid"])) for one in home.members()]
    marks = [str(one["started"]) for one in home.members()]
    if not all(processes.is_running(pid, mark) and not processes.is_stopped(pid, mark) for pid, mark in zip(runs, marks, strict=True)):
        return False
    left = [*ledger.glob("*.fault.json*"), *ledger.parent.glob("n*/harm.json*"), *ledger.parent.glob("n*/chaos-filling-*")]
    return not left and reapers(home) == []


def status(home: Home) -> dict[str, object]:
    return valid(home.ctl("chaos", "status", "-o", "json"))


def break_shortly(home: Home, *words: str) -> str:
    """What it printed. Where the machine stands still its time may be over before it has taken, which breaks nothing, and is said."""

    def try_it() -> str:
        done = home.run("chaos", "inject", *words)
        assert done.returncode == 0 or b"give it longer" in done.stderr, done
        return done.stdout.decode()

    return str(until(try_it))


def test_of_two_that_start_the_same_member_the_one_that_has_its_folder_is_written_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever started the first was killed before that process had the folder, so that the second could not know of it."""
    home = Home(tmp_path)
    first: list[fleet.Started] = []
    try:
        home.ctl("up")
        folder = str(home.state / "local")
        cluster = clusters.read(folder)
        assert cluster is not None
        member = cluster.members[1]
        monkeypatch.setenv("PYTHONPATH", home.environment["PYTHONPATH"])
        start_one = fleet.start_one

        def another_was_faster(cluster: clusters.LocalCluster, member: clusters.LocalMember) -> fleet.Started:
            first.append(start_one(cluster, member))
            until(lambda: fleet.holder(cluster, member) is not None, "the first does not start")
            return start_one(cluster, member)

        ledger = Ledger(folder)
        os.makedirs(ledger.folder, exist_ok=True)
        begun = {"began_unix_ms": 0, "until_unix_ms": 0, "boot": boot_mark(), "deadline_ms": now_ms() + 60_000}
        said = {"to": member.name, "by": "", "owner": "test", "reason": ""}
        entry = Entry(id="0" * 8, fault="kill", member=member.name, pid=member.pid, mark=member.started, **said, **begun)  # type: ignore[arg-type]
        with ledger.locked():
            ledger.add(entry)
        os.kill(member.pid, signal.SIGKILL)
        until(lambda: not lives.is_running(member), "it does not end")
        monkeypatch.setattr(fleet, "start_one", another_was_faster)
        Kept(folder).start(ledger, entry)
        now = lives.member_of(folder, member.name)
        assert now is not None
        assert now.pid == first[0].process.pid
        until(lambda: lives.answers(now.address), "it does not answer")
        ledger.remove(entry)
    finally:
        for one in first:
            one.process.kill()
            one.process.wait()
        home.close()


def test_a_killed_leader_is_gone_and_comes_back_by_itself(broken: Home) -> None:
    pids = {str(one["name"]): int(str(one["pid"])) for one in broken.members()}
    done = valid(broken.ctl("chaos", "inject", "kill", "leader", "--for", "300s", "--reason", "to see", "-o", "json"))
    (fault,) = done["faults"]  # type: ignore[misc]
    before = str(done["leader_before"])
    pid = pids[before]
    assert (fault["member"], fault["verified"], fault["reason"]) == (before, "process gone", "to see")
    assert not processes.started_mark(pid)
    assert done["leader_after"] not in ("", before)
    found = status(broken)
    assert (found["outcome"], found["reapers"]) == ("broken", 2)
    time_is_over(broken)
    until(lambda: is_whole(broken), "it does not come back")
    assert broken.pid(before) != pid
    assert [one["event"] for one in status(broken)["lately"]][-1:] == ["healed"]  # type: ignore[attr-defined,index]
    broken.ctl("wait", "--for", "healthy")


def test_a_paused_follower_goes_on_whichever_reaper_is_killed(broken: Home) -> None:
    for name in ("a", "b"):
        done = valid(broken.ctl("chaos", "inject", "pause", "follower", "--for", "300s", "-o", "json"))
        (fault,) = done["faults"]  # type: ignore[misc]
        pid = broken.pid(fault["member"])
        assert processes.is_stopped(pid, processes.started_mark(pid))
        os.kill(reaper(broken, name), signal.SIGKILL)
        time_is_over(broken)
        until(lambda: is_whole(broken), f"not whole after reaper {name} was killed")
        assert broken.pid(fault["member"]) == pid


def test_a_killed_reaper_is_started_again_by_the_other(broken: Home) -> None:
    broken.ctl("chaos", "inject", "pause", "follower", "--for", "300s")
    first = reaper(broken, "a")
    os.kill(first, signal.SIGKILL)
    until(lambda: reaper(broken, "a") != first and status(broken)["reapers"] == 2, "it was not started again")
    os.kill(reaper(broken, "b"), signal.SIGKILL)
    assert "is over" in broken.ctl("chaos", "revert", "--all")
    assert broken.ctl("chaos", "revert", "--all") == "local: nothing of that is broken\n"
    until(lambda: is_whole(broken), "not whole after a revert")


def test_a_crash_loop_kills_again_and_again_and_then_leaves_it_alone(broken: Home) -> None:
    def killed() -> list[str]:
        log = (broken.state / "local" / "chaos" / "log.jsonl").read_text().splitlines()
        return [one for one in log if '"killed again"' in one]

    broken.ctl("chaos", "inject", "crash-loop", "follower", "--for", "300s")
    until(lambda: len(killed()) >= 2, "it is left alone")
    time_is_over(broken)
    until(lambda: is_whole(broken), "it does not come back")
    broken.ctl("wait", "--for", "healthy")


def test_what_the_cluster_would_not_survive_is_refused_until_it_is_accepted(broken: Home) -> None:
    refused = broken.run("chaos", "inject", "kill", "all", "--for", "300s")
    assert (refused.returncode, refused.stdout) == (76, b"")
    assert b"kill n1, n2, n3: 0 voters of 3 would be left, a leader and those that it reaches, and a quorum is 2" in refused.stderr
    assert b"needs --reason" in broken.run("chaos", "inject", "kill", "all", "--for", "300s", "--accept", "beyond-quorum").stderr
    broken.ctl("chaos", "inject", "pause", "follower", "--for", "300s")
    again = broken.run("chaos", "inject", "kill", "leader", "--for", "300s")
    assert (again.returncode, b"broken already: pause n" in again.stderr) == (76, True)
    (fault,) = status(broken)["faults"]  # type: ignore[misc]
    twice = broken.run("chaos", "inject", "kill", fault["member"], "--for", "300s")
    assert (twice.returncode, f"coordctl chaos revert {fault['id']}".encode() in twice.stderr) == (75, True)
    broken.ctl("chaos", "revert", fault["id"])
    until(lambda: is_whole(broken), "not whole after a revert")
    broken.ctl("wait", "--for", "healthy")
    accepted = ("--accept", "beyond-quorum", "--reason", "a power cut")
    assert "There is no quorum now" in break_shortly(broken, "kill", "all", "--for", "2s", *accepted)
    until(lambda: is_whole(broken), "they do not come back")
    broken.ctl("wait", "--for", "healthy")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["kil", "leader", "--for", "1s"], 64, "there is no fault kil"),
        (["kill", "n9", "--for", "1s"], 1, "there is no member n9; there are n1, n2, n3"),
        (["kill", "n1 -> n2", "--for", "1s"], 64, "kill hits members, not links"),
        (["kill", "leader"], 64, "--for"),
        (["kill", "leader", "--for", "10"], 64, "such as 10s"),
        (["kill", "leader", "--for", "0s"], 64, "every fault ends"),
        (["pause-holder", "lock", "--for", "1s"], 64, "write it into a playbook whose load takes a lock"),
        (["kill", "leader", "--for", "1s", "-c", "nowhere"], 64, "no local cluster is called nowhere"),
    ],
)
def test_what_makes_no_sense_breaks_nothing(broken: Home, arguments: list[str], code: int, words: str) -> None:
    done = broken.run("chaos", "inject", *arguments)
    assert (done.returncode, done.stdout, words in done.stderr.decode()) == (code, b"", True), done.stderr
    assert status(broken)["outcome"] == "whole"


def test_coordctl_killed_at_every_boundary_leaves_nothing_broken(broken: Home, tmp_path: Path, figure: Callable[[str], None]) -> None:
    counted = tmp_path / "count"

    def inject(at: Boundary, member: str, lasts: str) -> int:
        environment = {**broken.environment, "PYTHONPATH": f"{FATAL}:{SOURCE}", "COORD_DIES": at.armed(broken.state, counted)}
        command = [sys.executable, "-m", "coordctl", "chaos", "inject", "pause", member, "--for", lasts, "-q"]
        Path(f"{counted}.died").unlink(missing_ok=True)
        return subprocess.run(command, env=environment, cwd=broken.folder, timeout=60, check=False, stderr=subprocess.DEVNULL).returncode

    assert inject(NOBODY, "n1", "60s") == 0
    time_is_over(broken)
    until(lambda: is_whole(broken), "not whole")
    there = boundaries_of(CTL, Path(f"{counted}.ctl").read_text().splitlines(), ["pause"])
    assert len(there) > 8
    began = time.monotonic()
    for number, one in enumerate(there):
        for lasts in ("300ms", "3s", "20s"):  # it does not come to each of them where what it began is over before
            code = inject(one, f"n{number % 3 + 1}", lasts)
            until(lambda: is_whole(broken), f"killed at {one}, and something is left")
            if code == -signal.SIGKILL:
                break
        assert code == -signal.SIGKILL, one
    broken.ctl("wait", "--for", "healthy")
    figure(f"coordctl chaos inject was killed at each of {len(there)} points: nothing is left, {time.monotonic() - began:.0f} s")


def test_down_ends_what_stands_still_and_nobody_starts_anything_again(home: Home) -> None:
    home.ctl("up")
    home.ctl("chaos", "inject", "pause", "follower", "--for", "300s")
    accepted = ("--accept", "beyond-quorum", "--reason", "the end")
    break_shortly(home, "kill", "leader", "--for", "1s", *accepted)
    home.ctl("down")
    until(lambda: reapers(home) == [], "reapers are left")
    assert marked_both(str(home.state), "coordnode") == []
    assert home.ctl("down", "--purge", "--yes").startswith("local: no member was running.")
    assert not (home.state / "local").exists()


# --- playbooks ---------------------------------------------------------------------------------------------------------

PLAYBOOK = """\
proves: A short run shows what a long one does.
version: 1
lasts: 10s
load:
  - {do: kv, clients: 2}
  - {do: lock, clients: 2}
rows:
  - {at: 1s, for: 8s, do: kill, to: leader}
probes:
  - {when: throughout, ask: write, within: 10s}
  - {when: before, command: [test, -d, /], within: 10s}
goals:
  - {see: leader-changed, during: 1}
  - {see: lock-moved}
expect:
  - {that: healthy}
"""


def written(broken: Home, text: str = PLAYBOOK) -> str:
    path = broken.folder / "short.yaml"
    path.write_text(text)
    return str(path)


def loads(home: Home) -> list[int]:
    """Of this test's cluster: each names its members."""
    return marked_both(str(home.members()[0]["address"]), "coordctl.chaos.loads")


def is_clean(home: Home) -> bool:
    return is_whole(home) and loads(home) == [] and home.run("kv", "ls", "_chaos/").stdout == b""


def test_a_playbook_runs_is_judged_and_leaves_nothing(broken: Home, tmp_path: Path) -> None:
    junit, kept = tmp_path / "junit.xml", tmp_path / "kept"
    arguments = ["--junit", str(junit), "--keep", str(kept), "-o", "json"]
    done = valid(broken.ctl("chaos", "run", written(broken), *arguments, TMPDIR=str(tmp_path)))
    assert (done["outcome"], done["exit_code"]) == ("green", 0)
    (row,) = done["rows"]  # type: ignore[misc]
    assert (row["do"], row["verified"]) == ("kill", "process gone")
    kinds = sorted((one["kind"], one["name"]) for one in done["verdicts"])  # type: ignore[attr-defined]
    assert kinds == [
        ("check", "kv"),
        ("check", "lock"),
        ("expect", "healthy"),
        ("goal", "leader-changed, during row 1"),
        ("goal", "lock-moved"),
        ("probe", "before: test -d /"),
        ("probe", "throughout: write"),
    ]
    assert 'failures="0" errors="0"' in junit.read_text()
    assert broken.ctl("check", str(kept / "kv.jsonl"), "--model", "kv").startswith("pass")
    until(lambda: is_clean(broken), "something is left of it")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("chaos-run-")] == []


def test_a_holder_that_stands_still_loses_its_lock_and_one_that_is_killed_leaves_it(broken: Home, tmp_path: Path) -> None:
    rows = "  - {at: 500ms, for: 10s, do: pause-holder, to: lock}\n  - {at: 5s, for: 10s, do: kill-holder, to: lock}\n"
    goals = "goals:\n  - {see: lock-moved, during: 1}\n  - {see: lock-moved, during: 2}\n"
    text = f"proves: x\nversion: 1\nload: [{{do: lock, clients: 3}}]\nrows:\n{rows}{goals}"
    done = valid(broken.ctl("chaos", "run", written(broken, text), "-o", "json", TMPDIR=str(tmp_path)))
    assert (done["outcome"], [row["verified"] for row in done["rows"]]) == (  # type: ignore[attr-defined]
        "green",
        ["it stands still with the lock in its hands", "it is gone with the lock in its hands"],
    )
    until(lambda: is_clean(broken), "something is left of it")


def test_what_was_not_shown_is_not_green_and_an_answer_that_cannot_be_is_a_broken_promise(broken: Home, tmp_path: Path) -> None:
    text = PLAYBOOK.replace("lasts: 10s", "lasts: 6s").replace("for: 8s, do: kill, to: leader", "for: 4s, do: kill, to: follower")
    text = text.replace("leader-changed", "voters-changed").replace("[test, -d, /]", "[test, -f, /]")
    broken.environment["TMPDIR"] = str(tmp_path)
    with broken.start("chaos", "run", written(broken, text), "-o", "json") as run:
        (paper,) = until(lambda: list(tmp_path.glob("chaos-run-*/kv.events.jsonl")), "no client writes anything down")
        with paper.open("a") as file:
            for kind, value in (("invoke", ["a", None]), ("ok", ["a", "what nobody put"])):
                file.write(json.dumps({"process": 99, "type": kind, "f": "get", "value": value, "time": time.monotonic_ns()}) + "\n")
        out, err = run.communicate(timeout=60)
    del broken.environment["TMPDIR"]
    assert (run.returncode, err) == (2, b"")
    done = valid(out.decode())
    found = {(one["kind"], one["name"]): one["outcome"] for one in done["verdicts"]}  # type: ignore[attr-defined]
    assert (done["outcome"], found["check", "kv"]) == ("promise broken", "promise broken")
    assert found["check", "lock"] == "green"
    assert found["probe", "before: test -f /"] == "deviated"
    assert found["goal", "voters-changed, during row 1"] == "inconclusive"
    assert broken.run("check", f"{done['kept']}/kv.jsonl", "--model", "kv").returncode == 2
    until(lambda: is_clean(broken), "something is left of it")


def test_a_run_that_is_killed_or_asked_to_end_leaves_a_whole_cluster(broken: Home, tmp_path: Path) -> None:
    text = PLAYBOOK.replace("for: 8s, do: kill", "for: 60s, do: pause").replace("lasts: 10s", "lasts: 90s")
    broken.environment["TMPDIR"] = str(tmp_path)
    for number in (signal.SIGKILL, signal.SIGTERM):
        with broken.start("chaos", "run", written(broken, text), "-o", "json") as run:
            until(lambda: list((broken.state / "local" / "chaos").glob("*.fault.json")), "it breaks nothing")
            other = broken.run("chaos", "run", written(broken, text))
            assert (other.returncode, b"another run is under way on local: short, by ops@" in other.stderr) == (76, True)
            run.send_signal(number)
            out, err = run.communicate(timeout=60)
        if number == signal.SIGKILL:
            time_is_over(broken)
            until(lambda: not list(tmp_path.glob("chaos-run-*")), "its folder is left")
        else:
            assert (run.returncode, err) == (130, b"")
            assert valid(out.decode())["outcome"] == "interrupted"
        until(lambda: is_clean(broken), f"something is left after {number.name}")
        broken.ctl("wait", "--for", "healthy")
    del broken.environment["TMPDIR"]


def test_a_run_begins_only_on_a_cluster_that_is_well_and_stops_where_it_would_lose_it(broken: Home, tmp_path: Path) -> None:
    broken.environment["TMPDIR"] = str(tmp_path)
    text = PLAYBOOK.replace("at: 1s, for: 8s, do: kill, to: leader", "at: 4s, for: 5s, do: kill, to: all")
    with broken.start("chaos", "run", written(broken, text), "-o", "json") as run:
        until(lambda: list(tmp_path.glob("chaos-run-*/kv.events.jsonl")), "no client writes anything down")
        with (broken.state / "local" / "n1.log").open("a") as file:
            file.write(json.dumps({"event": "bug", "error": "what may never be", "trace": ""}) + "\n")
        out, _ = run.communicate(timeout=120)
    beyond = valid(out.decode())
    said = [(one["name"], one["sentence"]) for one in beyond["verdicts"] if one["kind"] == "log"]  # type: ignore[attr-defined]
    assert (run.returncode, said) == (2, [("n1", "bug: what may never be")]), "it counts, although the run could not go on"
    (verdict,) = [one for one in beyond["verdicts"] if one["kind"] == "fault"]  # type: ignore[attr-defined]
    assert "a quorum is 2; --accept beyond-quorum" in verdict["sentence"]
    assert beyond["rows"] == []
    broken.ctl("chaos", "inject", "pause", "follower", "--for", "300s")
    ill = valid(broken.ctl("chaos", "run", written(broken), "-o", "json", code=3))
    assert "not well to begin with" in str(ill["verdicts"])
    broken.ctl("chaos", "revert", "--all")
    network = PLAYBOOK.replace("do: kill", "do: cut")
    broken.ctl("wait", "--for", "healthy")
    assert "cut cannot be injected here" in broken.ctl("chaos", "run", written(broken, network), code=3)
    assert "there is no member n9" in broken.ctl("chaos", "run", written(broken, PLAYBOOK.replace("to: leader", "to: n9")), code=3)
    assert ["1", "1s", "8s", "kill", "leader"] in [
        line.split() for line in broken.ctl("chaos", "run", written(broken), "--dry-run").splitlines()
    ]
    until(lambda: is_clean(broken), "something is left of it")
    del broken.environment["TMPDIR"]
