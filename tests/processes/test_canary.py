"""`canary run` against real members: what it sees of healthy, hurt and lost clusters, and that nothing of it stays behind."""

import json
import os
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from coordnode.client.sync import connect
from coordnode.services.commands import QueueInfo
from tests.processes.local import Home
from tests.processes.members import Cluster
from tests.processes.networks import Networks, why_not
from tests.processes.runner.jobs import until
from tests.processes.test_commands import valid


def address(home: Home) -> str:
    return str(home.members()[0]["address"])


def left_behind(home: Home) -> list[object]:
    with connect(address(home)) as cluster:
        named = [cluster.kv.range("_canary/"), cluster.locks.list("_canary/"), cluster.elections.list("_canary/")]
        kept = [*[one for found in named for one in found], *cluster.queues.list("_canary/")]
    sessions = [json.loads(line) for line in home.ctl("session", "ls", "-o", "json", code=None).splitlines()]
    return [*kept, *[one for one in sessions if one["owner"].startswith("canary@")]]


@contextmanager
def signalled(home: Home, *members: str) -> Iterator[None]:
    """They stand still meanwhile."""
    pids = [home.pid(member) for member in members]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def run(home: Home, code: int | None, *arguments: str) -> dict[str, object]:
    return valid(home.ctl("canary", "run", "--interval", "100ms", "-o", "json", *arguments, code=code))


def seen(home: Home, code: int, words: str) -> dict[str, object]:
    """One round that ends so: where the machine stands still for that long, others fail, too, and there is another round."""

    def look() -> dict[str, object] | None:
        found = run(home, None, "--count", "1", "--timeout", "3s")
        return found if found["exit_code"] == code and words in str(found["sentence"]) else None

    found: dict[str, object] = until(look, f"no round ends with {code}: {words}")
    return found


def knows_no_leader(home: Home, member: str) -> bool:
    """As it says itself. `status` names no leader either when nobody answers in time: the next round would meet one who still follows."""
    address = next(one["address"] for one in home.members() if one["name"] == member)
    with urllib.request.urlopen(f"http://{address}/status", timeout=30) as answer:
        return bool(json.load(answer)["leader"] == 0)


def test_a_healthy_cluster_serves_through_each_member_and_nothing_stays(shared: Home) -> None:
    told = shared.ctl("canary", "run", "--interval", "100ms", "--count", "3", "-o", "json", "--timeout", "10s")
    last = valid(told)
    assert (last["outcome"], last["exit_code"], last["rounds"], last["is_clean"]) == ("ok", 0, 3, True)
    first = json.loads(told.splitlines()[0])
    tried = sorted((sample["probe"], sample["member"]) for sample in first["samples"])
    cycles = [(probe, "") for probe in ("election", "lock", "queue")]
    assert tried == sorted([*cycles, *[(probe, name) for probe in ("read", "watch", "write") for name in ("n1", "n2", "n3")]])
    assert left_behind(shared) == []
    lines = shared.ctl("canary", "run", "--for", "1ms", "--min-samples", "1", "--timeout", "10s").splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("OK  1 round, none failed; p99 lock ")
    assert shared.ctl("canary", "run", "-q", "--count", "1", "--timeout", "10s").startswith("OK  1 round")
    few = shared.ctl("canary", "run", "-q", "--count", "1", "--min-samples", "2", "--timeout", "10s", code=3)
    assert few.startswith("UNKNOWN  too little was seen")


def deletions(home: Home) -> int:
    changes = [json.loads(line) for line in home.ctl("audit", "ls", "-o", "json", code=None).splitlines()]
    return sum(change["what"].startswith("queue _canary/") for change in changes)


def test_its_rounds_do_not_fill_the_audit_log(shared: Home) -> None:
    before = deletions(shared)
    assert run(shared, 0, "--count", "5", "--timeout", "10s")["is_clean"]
    assert deletions(shared) - before == 1  # the queue of its life


def test_ctrl_c_ends_it_after_the_round_with_what_it_found(shared: Home) -> None:
    with shared.start("canary", "run", "--interval", "100ms", "--timeout", "10s", "-o", "json") as canary:
        assert canary.stdout is not None
        first = canary.stdout.readline()
        canary.send_signal(signal.SIGINT)
        out, err = canary.communicate(timeout=60)
    assert (canary.returncode, err) == (130, b"")
    last = valid((first + out).decode())
    assert (last["schema"], last["outcome"], last["exit_code"], last["is_clean"]) == ("coordctl.canary-run/1", "unknown", 130, True)
    assert left_behind(shared) == []


def killed_while_it_has_written(home: Home) -> bool:
    """Whether it was killed at a moment when keys of it were there."""
    with connect(address(home)) as cluster, cluster.kv.watch("_canary/") as watch:
        watch.wait_ready()
        with home.start("canary", "run", "--interval", "100ms", "--timeout", "500ms") as canary:
            assert watch.take(60) is not None
            canary.kill()
            canary.communicate(timeout=60)
        return any(cluster.kv.range("_canary/"))


def test_what_a_killed_canary_had_written_goes_by_itself_and_queues_with_the_next_round(shared: Home) -> None:
    assert any(killed_while_it_has_written(shared) for _ in range(20))
    until(lambda: not [one for one in left_behind(shared) if not isinstance(one, QueueInfo)], "what it wrote is there still")
    with connect(address(shared)) as cluster, cluster.session() as session:
        session.kv.put("_canary/here/queue/1", "", bound=True)
        cluster.queue("_canary/here/queue/1").put("of a canary that runs")
        cluster.queue("_canary/gone/queue/1").put("of one that was killed")
        shared.ctl("canary", "run", "--count", "1", "--timeout", "10s")
        assert [one.name for one in cluster.queues.list("_canary/")] == [b"_canary/here/queue/1"]
    shared.ctl("canary", "run", "--count", "1", "--timeout", "10s")
    assert left_behind(shared) == []


def test_it_tells_a_hurt_cluster_from_a_lost_one_and_from_one_that_it_cannot_reach(home: Home) -> None:
    home.ctl("up")
    leader = str(home.json("status")["leader"])
    follower, other = (name for name in ("n1", "n2", "n3") if name != leader)
    with signalled(home, follower):
        seen(home, 1, f"write, read and watch through {follower}: fell silent")
    with signalled(home, follower, leader):
        until(lambda: knows_no_leader(home, other), "somebody leads still")
        assert seen(home, 3, "the others are down, or only cut off from here")["is_clean"] is False
    home.ctl("wait", "--for", "healthy")
    home.kill(leader)
    home.kill(follower)
    until(lambda: knows_no_leader(home, other), "somebody leads still")
    seen(home, 2, f"down in 1 of 1 round: {other} can be reached and cannot serve")
    home.kill(other)
    assert seen(home, 3, "their hosts answer: they look stopped")["is_clean"] is True  # nothing was ever sent


def test_a_member_that_answers_us_but_does_not_reach_the_leader_fails(home: Home, tmp_path: Path) -> None:
    if why_not():
        pytest.skip(why_not())
    networks = Networks()
    cluster = Cluster(tmp_path / "members", hosts=networks.open(3))
    try:
        networks.put_inside(cluster)
        cluster.start()
        cluster.wait_ready()
        leader = cluster.leader().member
        parted = min(number for number in cluster.members if number != leader)
        networks.part(parted, [number for number in cluster.members if number != parted])
        until(lambda: not cluster.members[parted].is_ready(), "it finds the leader still")

        def sees_that_alone() -> dict[str, object] | None:
            found = run(home, None, "--count", "1", "--timeout", "2s", "--endpoints", ",".join(cluster.contacts.values()))
            amiss = [(one["probe"], one["samples"], one["failed"]) for one in found["probes"] if one["failed"] or one["unreached"]]  # type: ignore[attr-defined]
            return found if amiss == [("write", 1, 1), ("read", 1, 1), ("watch", 1, 1)] else None

        found = until(sees_that_alone, "others fail, too, or none does")
        assert found["exit_code"] == 1
        assert f"write, read and watch through member {parted}: " in str(found["sentence"])
    finally:
        cluster.end()
        networks.close()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--interval", "10"], "such as 10s"),
        (["--interval", "1ms"], "too often for a canary: give 0.1s or more"),
        (["--count", "0"], "--count 0: give more than 0"),
        (["--min-samples", "-1"], "--min-samples -1: give more than 0"),
        (["--timeout", "0s"], "--timeout 0: give more than 0"),
        (["--endpoints", "nowhere"], "is not host:port"),
    ],
)
def test_what_makes_no_sense_is_refused(shared: Home, arguments: list[str], words: str) -> None:
    done: subprocess.CompletedProcess[bytes] = shared.run("canary", "run", *arguments)
    assert (done.returncode, done.stdout) == (64, b"")
    assert words in done.stderr.decode()
