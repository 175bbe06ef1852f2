"""`coordctl group`, `shard`, `barrier` and `counter` against real members: what they print, what they mean, which codes they end with."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from coordnode.client.sync import Session, connect
from tests.processes.local import Home
from tests.processes.test_commands import valid


@contextmanager
def started(shared: Home, *words: str) -> "Iterator[subprocess.Popen[bytes]]":
    """Whatever becomes of the test, it does not wait for the command."""
    with shared.start(*words) as process:
        try:
            yield process
            process.communicate(timeout=60)
        finally:
            process.kill()


def addresses(shared: Home) -> list[str]:
    return [str(member["address"]) for member in shared.members()]


def line(process: "subprocess.Popen[bytes]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().decode()


def in_session(session: Session) -> dict[str, str]:
    return {"COORD_SESSION": str(session.id)}


# --- group -----------------------------------------------------------------------------------------------------------


def test_members_join_say_and_leave(shared: Home) -> None:
    with connect(addresses(shared)) as cluster, cluster.session(ttl=60, owner="ops@web1, pid 7") as session:
        here = in_session(session)
        joined = shared.ctl("group", "join", "web", "--data", "10.0.0.7:80", "--labels", "zone=eu,rack=b", **here)
        assert joined.startswith("ops@web1, pid 7 joined: view ")
        view = int(joined.split()[-1])
        assert shared.ctl("group", "show", "web") == f"web  view {view}, 1 member\n  ops@web1, pid 7  10.0.0.7:80  rack=b  zone=eu\n"
        updated = shared.json(
            "group", "update", "web", "ops@web1, pid 7", "--labels", "zone=us", "--weight", "3", "--session", str(session.id)
        )
        assert (updated["outcome"], int(str(updated["view"])) > view) == ("updated", True)
        listed = valid(shared.ctl("group", "ls", "we", "--where", "zone=us,!rack", "-o", "json"))
        member = listed["member"]
        assert isinstance(member, dict)
        assert (listed["group"], member["data"], member["weight"], member["labels"]) == ("web", "10.0.0.7:80", 3, {"zone": "us"})
        assert shared.run("group", "ls", "--where", "zone=eu").returncode == 1
        assert "1  " in shared.ctl("group", "ls", "web")
        assert valid(shared.ctl("group", "ls", "web", "-o", "json"))["members"] == 1
        again = shared.run("group", "join", "web", "ops@web1, pid 7", **here)
        assert again.returncode == 75
        assert b"is there already: this session itself, since view" in again.stderr
        assert valid(shared.ctl("group", "leave", "web", "ops@web1, pid 7", "-o", "json", **here))["outcome"] == "left"
        assert shared.run("group", "leave", "web", "ops@web1, pid 7", **here).returncode == 1
        nobody = shared.run("group", "show", "web", "-o", "json")
        assert (nobody.returncode, valid(nobody.stdout.decode())["outcome"]) == (1, "absent")


def test_a_command_may_be_a_member_as_long_as_it_runs(shared: Home) -> None:
    with started(shared, "group", "watch", "stay", "-o", "json") as watching:
        assert valid(line(watching))["members"] == []
        with started(shared, "group", "join", "stay", "me", "--data", "here", "--ttl", "60s") as staying:
            assert line(staying).startswith("me joined: view ")
            seen = valid(line(watching))
            assert (seen["joined"], seen["left"]) == (["me"], [])
            refused = shared.run("group", "join", "stay", "me")
            assert refused.returncode == 75
            staying.send_signal(signal.SIGTERM)
            assert line(staying).startswith("me left: view ")
        assert staying.returncode == 0
        gone = valid(line(watching))
        assert (gone["members"], gone["left"]) == ([], ["me"])
        with started(shared, "group", "join", "stay", "interrupted") as interrupted:
            line(interrupted)
            assert valid(line(watching))["joined"] == ["interrupted"]
            interrupted.send_signal(signal.SIGINT)
            interrupted.communicate(timeout=60)
        assert interrupted.returncode == 130
        assert valid(line(watching))["left"] == ["interrupted"]
        watching.send_signal(signal.SIGINT)
        watching.communicate(timeout=60)
    assert watching.returncode == 130


def test_views_as_a_person_reads_them(shared: Home) -> None:
    with started(shared, "group", "watch", "people", "--count", "2") as watching:
        assert line(watching).endswith("  0 members\n")
        with connect(addresses(shared)) as cluster, cluster.session(ttl=60) as session:
            session.group("people").join("ann")
            assert line(watching).endswith("  1 member  +ann\n")
        watching.communicate(timeout=60)
    assert watching.returncode == 0


# --- shard -----------------------------------------------------------------------------------------------------------


def test_shards_are_made_shown_moved_and_deleted(shared: Home) -> None:
    assert shared.ctl("shard", "create", "jobs", "workers", "3", "--revoke", "20s") == "jobs: created\n"
    assert shared.ctl("shard", "create", "jobs", "workers", "3", "--revoke", "20s") == "jobs: was so already\n"
    different = shared.run("shard", "create", "jobs", "workers", "4")
    assert (different.returncode, b"is there already, with 3 shards over group workers" in different.stderr) == (64, True)
    assert shared.ctl("shard", "show", "jobs").splitlines() == [
        "jobs  3 shards over group workers, 20 s to release one",
        "        without owner: 0, 1, 2",
    ]
    with (
        connect(addresses(shared)) as cluster,
        cluster.session(ttl=60) as session,
        started(shared, "shard", "watch", "jobs", "--count", "3") as moving,
    ):
        assert moving.stderr is not None
        assert moving.stderr.readline().startswith(b"watching from revision ")
        session.group("workers").join("ann")
        first = line(moving)
        assert f" assigned 0 ann, session {session.id}, token " in first
        moving.communicate(timeout=60)
        shown = valid(shared.ctl("shard", "show", "jobs", "-o", "json"))
        owned = shown["owned"]
        assert isinstance(owned, list)
        assert [(row["shard"], row["member"], row["revoke_left_ms"]) for row in owned] == [(shard, "ann", None) for shard in range(3)]
        assert str(owned[0]["token"]) in first
        with cluster.session(ttl=60) as other:
            other.group("workers").join("bob")
            assert "2  ann, " in shared.ctl("shard", "show", "jobs")
            assert ", to be released within " in shared.ctl("shard", "show", "jobs").splitlines()[-1]
            assert valid(shared.ctl("shard", "ls", "jo", "-o", "json"))["revoking"] == 1
            assert shared.ctl("shard", "set", "jobs", "--shards", "2") == "jobs: set\n"
            assert shared.run("shard", "set", "jobs").returncode == 64
    refused = shared.run("shard", "delete", "jobs")
    assert (refused.returncode, b"--yes" in refused.stderr) == (76, True)
    assert valid(shared.ctl("shard", "delete", "jobs", "--yes", "-o", "json"))["outcome"] == "deleted"
    assert shared.ctl("shard", "delete", "jobs", "--yes") == "jobs: was not there\n"
    gone = shared.run("shard", "show", "jobs")
    assert (gone.returncode, b"there is no assignment jobs; create it first" in gone.stderr) == (1, True)
    assert shared.run("shard", "ls").returncode == 1


# --- barrier ---------------------------------------------------------------------------------------------------------


def test_commands_go_on_together(shared: Home) -> None:
    with started(shared, "barrier", "enter", "step", "2") as first:
        with connect(addresses(shared)) as cluster:
            while not list(cluster.barriers.list("step")):
                pass
        assert shared.ctl("barrier", "ls") == "step  1 of 2 inside, waiting\n"
        second = valid(shared.ctl("barrier", "enter", "step", "2", "--wait", "20s", "-o", "json"))
        assert second["outcome"] == "open"
        assert first.communicate(timeout=60)[0] == b"step is open\n"
    assert first.returncode == 0
    vain = shared.run("barrier", "enter", "step", "2", "--wait", "200ms")
    assert (vain.returncode, b"did not open in time; it was left again" in vain.stderr) == (75, True)
    assert shared.run("barrier", "show", "step").returncode == 1


def test_a_session_stays_inside_until_it_leaves(shared: Home) -> None:
    with connect(addresses(shared)) as cluster, cluster.session(ttl=60, owner="ann") as one, cluster.session(ttl=60) as two:
        with started(shared, "barrier", "enter", "long", "2", "--session", str(one.id)) as first:
            while not list(cluster.barriers.list("long")):
                pass
            assert shared.ctl("barrier", "enter", "long", "2", **in_session(two)) == "long is open\n"
            assert first.communicate(timeout=60)[0] == b"long is open\n"
        shown = valid(shared.ctl("barrier", "show", "long", "-o", "json"))
        assert (shown["inside"], shown["is_open"]) == (2, True)
        assert "of ann" in shared.ctl("barrier", "show", "long")
        late = shared.run("barrier", "enter", "long", "2")
        assert (late.returncode, b"is open, and 2 of its 2 sessions have not left yet" in late.stderr) == (75, True)
        assert shared.ctl("barrier", "leave", "long", **in_session(one)) == "left; 1 of 2 are inside\n"
        assert valid(shared.ctl("barrier", "leave", "long", "-o", "json", **in_session(two)))["inside"] == 0
        assert shared.run("barrier", "leave", "long", **in_session(two)).returncode == 1
        assert shared.run("barrier", "enter", "vain", "2", "--wait", "100ms", **in_session(two)).returncode == 75
        assert shared.run("barrier", "show", "vain").returncode == 1


def test_a_session_of_another_cluster_is_not_ours(shared: Home) -> None:
    """Its number is that of somebody else's here, perhaps."""
    with connect(addresses(shared)) as cluster, cluster.session(ttl=20) as one:
        ours = {
            "COORD_SESSION": str(one.id),
            "COORD_SESSION_CLUSTER": shared.ctl("lock", "run", "x", "--", "printenv", "COORD_SESSION_CLUSTER").strip(),
        }
        theirs = {**ours, "COORD_SESSION_CLUSTER": "12345"}
        shared.ctl("group", "join", "mixed", "a", **ours)
        refused = shared.run("group", "leave", "mixed", "a", **theirs)
        assert (refused.returncode, b"COORD_SESSION is of another cluster" in refused.stderr) == (64, True)
        assert shared.run("group", "leave", "mixed", "a", "--session", str(one.id), **theirs).returncode == 0
        assert shared.run("barrier", "enter", "alone", "1", **theirs).returncode == 0
        assert shared.run("barrier", "show", "alone").returncode == 1, "it entered, and left, in a session of its own"
        assert shared.ctl("lock", "run", "x", "--", "echo", "ran", **theirs) == "ran\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_who_is_ended_at_a_barrier_is_out_of_it_at_once(shared: Home, number: signal.Signals) -> None:
    with connect(addresses(shared)) as cluster, started(shared, "barrier", "enter", "ended", "2") as waiting:
        while not list(cluster.barriers.list("ended")):
            pass
        waiting.send_signal(number)
        waiting.communicate(timeout=20)
        assert waiting.returncode == 128 + number
        assert not list(cluster.barriers.list("ended"))


def test_a_session_that_is_interrupted_at_a_barrier_is_out_of_it_again(shared: Home) -> None:
    with connect(addresses(shared)) as cluster, cluster.session(ttl=60) as one:
        with started(shared, "barrier", "enter", "cut", "2", "--session", str(one.id)) as waiting:
            while not list(cluster.barriers.list("cut")):
                pass
            waiting.send_signal(signal.SIGINT)
            _, said = waiting.communicate(timeout=60)
        assert (waiting.returncode, said) == (130, b"coordctl: interrupted: barrier cut was left again\n")
        assert shared.run("barrier", "show", "cut").returncode == 1


# --- counter ---------------------------------------------------------------------------------------------------------


def test_counters(shared: Home) -> None:
    assert shared.ctl("counter", "get", "visits") == "0\n"
    assert shared.ctl("counter", "add", "visits") == "1\n"
    assert shared.ctl("counter", "add", "visits", "-5", "--request-id", "once") == "-4\n"
    assert shared.ctl("counter", "add", "visits", "-5", "--request-id", "once") == "-4\n"
    assert valid(shared.ctl("counter", "add", "visits", "10", "-o", "json"))["value"] == 6
    assert valid(shared.ctl("counter", "get", "visits", "-o", "json"))["value"] == 6
    assert shared.ctl("counter", "ls", "vis").split() == ["6", "visits"]
    assert valid(shared.ctl("counter", "ls", "-o", "json"))["name"] == "visits"
    assert shared.ctl("counter", "del", "visits") == "deleted\n"
    assert valid(shared.ctl("counter", "del", "visits", "-o", "json"))["outcome"] == "absent"
    assert shared.run("counter", "ls").returncode == 1


# --- what is refused -------------------------------------------------------------------------------------------------

REFUSED: list[tuple[list[str], int, str]] = [
    (["group", "join", "we\nb", "--session", "1"], 64, "control character"),
    (["group", "join", "web", "--session", "999999"], 1, "session 999999 is over"),
    (["group", "join", "web", "--session", "-1"], 64, "a whole number is needed"),
    (["group", "join", "web", "--session", "1", "--labels", "zone"], 64, "give key=value"),
    (["group", "join", "web", "--session", "1", "--labels", "a=1,a=2"], 64, "a is given twice"),
    (["group", "join", "web", "--weight", "5000"], 64, "weight is 5000; give 0 to 1000"),
    (["group", "join", "web", "--data", "x" * 3000], 64, "3000 bytes, at most 2048"),
    (["group", "join", "web", "--ttl", "5"], 64, "a number above 0 with its unit is needed"),
    (["group", "update", "web", "ann", "--weight", "1"], 64, "needs a session: give --session"),
    (["group", "update", "web", "ann", "--session", "1"], 64, "nothing is to be changed"),
    (["group", "leave", "web", "ann"], 64, "needs a session"),
    (["group", "ls", "--where", "=x"], 64, "say key=value"),
    (["group", "what"], 64, "no verb group what"),
    (["group", "jion", "web"], 64, "no verb group jion; did you mean join?"),
    (["shard", "create", "jobs", "web", "0"], 64, "1 to 1024 shards, not 0"),
    (["shard", "create", "jobs", "web", "many"], 64, "a whole number is needed"),
    (["shard", "create", "jobs", "web", "4", "--revoke", "2h"], 64, "give 1 to 3600000"),
    (["shard", "set", "none", "--shards", "3"], 1, "there is no assignment none; create it first"),
    (["shard", "show", ""], 64, "the assignment has no name"),
    (["barrier", "enter", "step", "0"], 64, "1 to 10000 sessions, not 0"),
    (["barrier", "enter", "step", "two"], 64, "a whole number is needed"),
    (["barrier", "enter", "step", "2", "--session", "999999"], 1, "session 999999 is over"),
    (["barrier", "enter", "step", "2", "--timeout", "200ms"], 75, "did not open in time"),
    (["barrier", "leave", "step"], 64, "needs a session"),
    (["counter", "add", "n", "9007199254740992"], 64, "cannot be added"),
    (["counter", "add", "n", "9" * 40], 64, "too large a number"),
    (["counter", "add", "n", "much"], 64, "give a whole number, such as 5 or -5"),
    (["counter", "add", ""], 64, "the counter has no name"),
]


def everything(shared: Home) -> list[list[object]]:
    with connect(addresses(shared)) as cluster:
        return [list(kind.list()) for kind in (cluster.groups, cluster.assignments, cluster.barriers, cluster.counters)]


@pytest.mark.parametrize(("words", "code", "sentence"), REFUSED, ids=[" ".join(row[0])[:40].replace("\n", "\\n") for row in REFUSED])
def test_bad_input_is_named_and_changes_nothing(shared: Home, words: list[str], code: int, sentence: str) -> None:
    before = everything(shared)
    refused = shared.run(*words)
    assert (refused.returncode, refused.stdout) == (code, b""), refused
    assert sentence in refused.stderr.decode()
    assert everything(shared) == before
