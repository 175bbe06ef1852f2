"""The verbs against real members: what they print, what they mean, and which codes they end with."""

import json
import signal
import socket
import subprocess
import sys
import time

import msgspec
import pytest

from coordctl.local import processes
from coordctl.results.schemas import SCHEMAS
from coordnode.client.sync import connect
from coordnode.errors import SessionExpired
from tests.processes.local import Home
from tests.processes.members import wait_until
from tests.processes.runner.jobs import BUSY_SECONDS, until


def valid(text: str) -> dict[str, object]:
    """Every line is what `coordctl schema` promises for it, with no field that is not promised."""
    found: dict[str, object] = {}
    for line in text.splitlines():
        found = json.loads(line)
        verb = str(found["schema"]).removeprefix("coordctl.").partition("/")[0]
        converted = msgspec.json.decode(line.encode(), type=SCHEMAS[verb])
        assert json.loads(msgspec.json.encode(converted)) == found
    return found


# --- up and down -----------------------------------------------------------------------------------------------------


def test_up_and_down_keep_the_data_until_it_is_purged(home: Home) -> None:
    first = home.ctl("up").splitlines()
    leader = home.json("status")["leader"]
    folder = "~/state/coordctl/local"
    assert first == [
        f"local: 3 members ready, durable, {leader} leads. Data in {folder}",
        "Try: coordctl status    Stop: coordctl down (keeps data), coordctl down --purge",
    ]
    home.ctl("kv", "put", "color", "blue")
    pids = [home.pid(name) for name in ("n1", "n2", "n3")]
    again = valid(home.ctl("up", "-o", "json"))
    assert (again["started"], again["is_new"]) == ([], False)
    assert [home.pid(name) for name in ("n1", "n2", "n3")] == pids
    assert home.ctl("down") == "local: 3 members stopped. Data kept; `coordctl up` continues.\n"
    assert not any(processes.started_mark(pid) for pid in pids)
    assert home.ctl("down") == "local: no member was running. Data kept; `coordctl up` continues.\n"
    assert home.run("kv", "get", "color", "--timeout", "5s").returncode == 69
    assert valid(home.ctl("up", "-o", "json"))["started"] == ["n1", "n2", "n3"]
    assert home.ctl("kv", "get", "color") == "blue"
    refused = home.run("down", "--purge")
    assert refused.returncode == 76
    assert b"--yes" in refused.stderr
    assert home.ctl("kv", "get", "color") == "blue"
    assert valid(home.ctl("down", "--purge", "--yes", "-o", "json"))["purged"] is True
    assert not (home.state / "local").exists()
    assert b"coordctl up" in home.run("kv", "get", "color").stderr


@pytest.mark.parametrize("name", [("-c", "My Cluster"), ("-c", "below/Ours"), ("--dir", "a b")], ids=" ".join)
def test_the_next_commands_that_up_names_find_the_cluster(home: Home, name: tuple[str, str]) -> None:
    said = home.ctl("up", *name, "--nodes", "1").splitlines()[-1]
    status = said.removeprefix("Try: coordctl ").partition("    ")[0]
    words = ["bash", "-c", f'"{sys.executable}" -m coordctl {status}']
    assert subprocess.run(words, env=home.environment, cwd="/", stdout=subprocess.DEVNULL, check=False).returncode == 0
    home.ctl("down", "-c", name[1] if name[0] == "-c" else f"./{name[1]}", "--purge", "--yes")


def test_members_that_were_started_where_signals_are_blocked_can_be_stopped(home: Home) -> None:
    block = "import os, signal, sys; signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM}); os.execv(sys.argv[1], sys.argv[1:])"
    words = [sys.executable, "-c", block, sys.executable, "-m", "coordctl", "up", "--nodes", "1"]
    subprocess.run(words, env=home.environment, cwd=home.folder, capture_output=True, check=True)
    home.note()
    assert home.ctl("down") == "local: 1 member stopped. Data kept; `coordctl up` continues.\n"


def test_all_of_them_killed_at_once_lose_nothing_that_was_acknowledged(home: Home) -> None:
    home.ctl("up", "--nodes", "1", "-c", "single")
    home.ctl("kv", "put", "k", "v")
    home.kill("n1", "single")
    assert home.run("health").returncode == 3
    status = valid(home.ctl("status", "-o", "json", code=69))
    assert status["outcome"] == "unreachable"
    assert [one["seen_unix_s"] is not None for one in status["members"]] == [True]  # type: ignore[attr-defined]
    home.ctl("up", "-c", "single")
    assert home.ctl("kv", "get", "k") == "v"
    assert b"has 1 members, not 3" in home.run("up", "-c", "single", "--nodes", "3").stderr


def test_a_member_that_cannot_start_is_named_with_its_log(home: Home) -> None:
    home.ctl("up", "--nodes", "1", "--dir", str(home.folder / "mine"))
    where = ["-c", str(home.folder / "mine")]
    home.ctl("kv", "put", "k", "v", *where)
    home.ctl("down", *where)
    description = json.loads((home.folder / "mine" / "cluster.json").read_text())
    host, _, port = description["members"][0]["address"].rpartition(":")
    with socket.create_server((host, int(port))):
        failed = home.run("up", "--dir", str(home.folder / "mine"))
    assert failed.returncode == 1
    assert b"n1 ended with code 1" in failed.stderr
    assert b"is another process there?" in failed.stderr
    assert b'"event"' not in failed.stderr  # where the member says why, in words, its events are noise
    identity = home.folder / "mine" / "n1" / "identity"
    kept = identity.read_bytes()
    identity.unlink()
    wiped = home.run("up", "--dir", str(home.folder / "mine"))
    assert (wiped.returncode, b"the file identity is missing" in wiped.stderr) == (1, True)
    identity.write_bytes(kept)


def test_a_recycled_pid_is_never_signalled_and_a_member_that_nobody_wrote_down_is_adopted(home: Home) -> None:
    home.ctl("up", "--nodes", "1")
    home.kill("n1")
    path = home.state / "local" / "cluster.json"
    description = json.loads(path.read_text())
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as innocent:
        description["members"][0]["pid"] = innocent.pid  # its start time is not the one that is written there
        path.write_text(json.dumps(description))
        assert home.ctl("down").startswith("local: no member was running.")
        assert innocent.poll() is None
        innocent.communicate(b"")
        assert innocent.returncode == 0

    home.ctl("up")
    pid = home.pid("n1")
    path.write_text(path.read_text().replace(f'"pid": {pid}', '"pid": 0'))
    assert valid(home.ctl("up", "-o", "json"))["started"] == []
    assert home.pid("n1") == pid


def test_bad_requests_of_up(home: Home) -> None:
    assert b"give 1 to 9" in home.run("up", "--nodes", "0").stderr
    (home.folder / "file").write_text("")
    refused = home.run("up", "--dir", str(home.folder / "file" / "x"))
    assert (refused.returncode, b"--dir" in refused.stderr) == (1, True)
    (home.state / "odd").mkdir(parents=True)
    (home.state / "odd" / "cluster.json").write_text("{}")
    refused = home.run("status", "-c", "odd")
    assert (refused.returncode, b"move" in refused.stderr) == (64, True)


# --- kv --------------------------------------------------------------------------------------------------------------


def test_values_go_in_and_out_byte_for_byte(shared: Home) -> None:
    odd = bytes(range(256)) * 8192  # 2 MiB would be too large; this is the largest value there is, 1 MiB and more is not
    value = odd[: 1024 * 1024]
    assert shared.ctl("kv", "put", "bytes", "-", stdin=value).startswith("revision ")
    assert shared.run("kv", "get", "bytes").stdout == value
    (shared.folder / "file").write_bytes(b"from a file\n")
    shared.ctl("kv", "put", "bytes", "@file", "-q")
    assert shared.ctl("kv", "get", "bytes") == "from a file\n"
    too_large = shared.run("kv", "put", "bytes", "-", stdin=odd)
    assert (too_large.returncode, b"1048576" in too_large.stderr) == (64, True)
    assert shared.ctl("kv", "get", "bytes") == "from a file\n"
    shared.ctl("kv", "put", "--", "-dash", "--value")
    assert shared.ctl("kv", "get", "--", "-dash") == "--value"
    assert shared.ctl("kv", "del", "--", "-dash").startswith("deleted at revision ")


def test_what_is_not_there(shared: Home) -> None:
    assert shared.run("kv", "get", "nothing").returncode == 1
    assert shared.ctl("kv", "ls", "nothing", code=1) == ""
    assert shared.ctl("kv", "del", "nothing") == "was not there\n"
    assert shared.run("session", "show", "999999").returncode == 1


def test_compare_and_set(shared: Home) -> None:
    first = valid(shared.ctl("kv", "cas", "cas", "one", "--absent", "-o", "json"))
    assert first["outcome"] == "done"
    refused = shared.run("kv", "cas", "cas", "two", "--absent")
    assert (refused.returncode, b"last changed at revision" in refused.stderr) == (1, True)
    different = valid(shared.ctl("kv", "cas", "cas", "two", "--prev-value", "other", "-o", "json", code=1))
    assert different["found"]["value"] == "one"  # type: ignore[index]
    shared.ctl("kv", "cas", "cas", "two", "--prev-revision", str(first["revision"]))
    shared.ctl("kv", "cas", "cas", "three", "--prev-value", "two")
    assert shared.ctl("kv", "get", "cas") == "three"
    assert shared.run("kv", "cas", "cas", "four").returncode == 64
    assert shared.run("kv", "cas", "absent", "x", "--prev-value", "y").returncode == 1


def test_a_request_id_makes_it_happen_once(shared: Home) -> None:
    once = valid(shared.ctl("kv", "put", "once", "1", "--request-id", "job-7", "-o", "json"))
    shared.ctl("kv", "put", "once", "2")
    again = valid(shared.ctl("kv", "put", "once", "1", "--request-id", "job-7", "-o", "json"))
    assert again["revision"] == once["revision"]
    assert shared.ctl("kv", "get", "once") == "2"


def test_lists_and_json(shared: Home) -> None:
    for name in ("a", "b", "c"):
        shared.ctl("kv", "put", f"list/{name}", f"value {name}", "-q")
    assert shared.ctl("kv", "ls", "list/") == "list/a\nlist/b\nlist/c\n"
    lines = shared.ctl("kv", "ls", "list/", "-o", "json")
    assert valid(lines)["value"] == "value c"
    assert len(lines.splitlines()) == 3
    assert valid(shared.ctl("kv", "get", "list/a", "-o", "json"))["outcome"] == "found"
    assert valid(shared.ctl("kv", "get", "list/z", "-o", "json", code=1))["item"] is None
    assert valid(shared.ctl("-o", "json", "kv", "del", "list/a"))["outcome"] == "deleted"
    assert shared.ctl("kv", "-o", "json", "get", "list/b") == shared.ctl("kv", "get", "list/b", "--output=json", "--stale")


def test_watch_streams_each_change_once(shared: Home) -> None:
    begin = int(str(valid(shared.ctl("kv", "put", "watched/0", "past", "-o", "json"))["revision"]))
    with shared.start("kv", "watch", "watched/", "--from-revision", str(begin), "--count", "3") as watching:
        shared.ctl("kv", "put", "watched/1", "two words")
        shared.ctl("kv", "put", "elsewhere", "x")
        shared.ctl("kv", "del", "watched/0")
        out, err = watching.communicate(timeout=60)
    assert watching.returncode == 0, err
    assert [line.split(b" ", 1)[1] for line in out.splitlines()] == [b"put watched/0 past", b"put watched/1 two words", b"delete watched/0"]
    assert err == f"watching from revision {begin} on\n".encode()
    line = shared.ctl("kv", "watch", "watched/", "--from-revision", str(begin), "--count", "1", "-o", "json", "-q")
    assert valid(line)["kind"] == "put"
    ended = shared.run("kv", "watch", "--timeout", "2s", "-q")
    assert (ended.returncode, ended.stdout) == (0, b"")


def test_a_closed_pipe_is_no_error(shared: Home) -> None:
    for number in range(3):
        shared.ctl("kv", "put", f"pipe/{number}", "x", "-q")
    script = f'"{sys.executable}" -m coordctl kv ls pipe/ | true; exit "${{PIPESTATUS[0]}}"'
    done = subprocess.run(["bash", "-c", script], env=shared.environment, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


# --- which cluster, and what cannot be reached -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code"), [(("kv", "put", "full", "blue"), 74), (("kv", "ls"), 1), (("health",), 3)], ids=["action", "query", "probe"]
)
def test_what_cannot_be_printed_may_be_done(shared: Home, words: tuple[str, ...], code: int) -> None:
    shared.ctl("kv", "put", "full", "green")
    with open("/dev/full", "wb") as full:
        command = [sys.executable, "-m", "coordctl", *words]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, env=shared.environment, cwd=shared.folder, check=False)
    assert done.stderr.decode() == f"coordctl: {' '.join(words[:2])} cannot print how it went: standard output: No space left on device\n"
    assert done.returncode == code


def test_which_cluster_is_meant(shared: Home) -> None:
    addresses = [str(member["address"]) for member in shared.members()]
    shared.ctl("kv", "put", "which", "this")
    nowhere = "127.0.0.1:1"
    assert shared.ctl("kv", "get", "which", "--endpoints", addresses[0], COORD_ENDPOINTS=nowhere) == "this"
    assert shared.ctl("--endpoints", ",".join(addresses), "kv", "get", "which", "-c", "no such") == "this"
    assert shared.ctl("kv", "get", "which", "-c", "local", COORD_ENDPOINTS=nowhere) == "this"
    assert shared.ctl("kv", "get", "which", COORD_ENDPOINTS=addresses[1], COORD_CLUSTER="no such") == "this"
    assert shared.ctl("kv", "get", "which", COORD_CLUSTER="local") == "this"
    unknown = shared.run("kv", "get", "which", COORD_CLUSTER="other")
    assert (unknown.returncode, b"there are: local" in unknown.stderr) == (64, True)
    for wrong in ("x", "host:", ":1", "::1:7001", "h:99999", ","):
        assert shared.run("kv", "get", "which", "--endpoints", wrong).returncode == 64, wrong


def test_nobody_there(shared: Home) -> None:
    for verb in (["kv", "get", "x"], ["kv", "put", "x", "y"], ["status"]):
        refused = shared.run(*verb, "--endpoints", "127.0.0.1:1", "--timeout", "300ms")
        assert refused.returncode == 69, (verb, refused)
    assert shared.run("health", "--endpoints", "127.0.0.1:1").returncode == 3
    assert b"connection refused" in shared.run("kv", "get", "x", "--endpoints", "127.0.0.1:1").stderr
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        assert shared.run("kv", "get", "x", "--endpoints", address, "--timeout", "300ms").returncode == 69
        unknown = shared.run("kv", "put", "x", "y", "--endpoints", address, "--timeout", "2s", "--request-id", "id-5")
        assert unknown.returncode == 74
        assert b"--request-id id-5" in unknown.stderr
        assert shared.run("status", "--endpoints", address, "--timeout", "300ms").returncode == 69


# --- seeing ----------------------------------------------------------------------------------------------------------


def test_status_and_health_of_a_cluster_that_is_well(shared: Home) -> None:
    def look(beginning: str, *words: str) -> str:
        """The first that begins so: compared with an earlier one, a disk that others keep busy would be told, and rightly."""

        def said() -> str:
            for earlier_look in (shared.state / "seen").glob("*.samples.json"):
                earlier_look.unlink()
            found = shared.ctl(*words, code=None)
            return found if found.startswith(beginning) else ""

        return str(until(said, f"{words[0]} does not begin with {beginning}"))

    screen = look("local  OK  ", "status").splitlines()
    assert screen[1].startswith("can lose: 1 more member ")
    assert [line.split()[0] for line in screen[3:7]] == ["MEMBER", "n1", "n2", "n3"]
    assert screen[-1].startswith("sources: API 3/3")
    assert all(len(line) <= 80 for line in screen)
    found = valid(look("{", "status", "-o", "json"))
    assert (found["judgement"], found["can_lose"], found["findings"]) == ("OK", 1, [])
    look("OK  3 of 3 members, can lose 1", "health")
    assert valid(look("{", "health", "-o", "json"))["exit_code"] == 0
    look("OK  3 of 3 members", "health", "--endpoints", str(shared.members()[2]["address"]))


def test_a_lost_member_stays_a_row_and_a_lost_quorum_is_called_so(home: Home) -> None:
    home.ctl("up")
    leader = str(home.json("status")["leader"])
    first, second = [name for name in ("n1", "n2", "n3") if name != leader]
    home.kill(first)
    found = valid(home.ctl("status", "-o", "json"))
    assert [(one["state"], one["seen_unix_s"] is not None) for one in found["members"] if one["name"] == first] == [("UNREACHABLE", True)]  # type: ignore[attr-defined]
    assert found["can_lose"] == 0
    warned = home.run("health")
    assert (warned.returncode, warned.stdout.startswith(b"WARNING  ")) == (1, True)
    lines = home.ctl("status").splitlines()
    assert any(line.startswith(first) and "UNREACHABLE" in line for line in lines)
    assert "sources: API 2/3" in lines[-1]
    assert home.ctl("kv", "put", "k", "v") == "revision 1\n"
    home.kill(second)
    lost = home.run("kv", "put", "k", "w", "--timeout", "1500ms")
    assert lost.returncode in (69, 74)
    home.ctl("wait", "--for", "leader", "--timeout", "300ms", code=1)
    assert home.run("health").returncode == 3
    assert valid(home.ctl("up", "-o", "json"))["started"] == sorted([first, second])
    assert valid(home.ctl("wait", "--for", "healthy", "-o", "json"))["outcome"] == "reached"
    assert home.ctl("kv", "get", "k") in ("v", "w")


def test_wait(shared: Home) -> None:
    assert valid(shared.ctl("wait", "--for", "members=3", "-o", "json"))["outcome"] == "reached"
    assert valid(shared.ctl("wait", "--for", "members=4", "--timeout", "100ms", "-o", "json", code=1))["outcome"] == "not reached"
    version = str(shared.json("version")["version"])
    shared.ctl("wait", "--for", f"version={version}", "-q")
    shared.ctl("wait", "--for", "version=9.9", "--timeout", "100ms", code=1)
    assert shared.run("wait", "--for", "rain").returncode == 64
    shared.ctl("wait", "--for", "unlocked=door")
    with shared.start("lock", "run", "door", "--note", "moving", "--", "sleep", "600") as holder:
        wait_until(lambda: shared.run("lock", "show", "door").returncode == 0, "the lock is held")
        held = valid(shared.ctl("wait", "--for", "unlocked=door", "--timeout", "2s", "-o", "json", code=1))
        assert str(held["now"]).startswith("door is held by ") and str(held["now"]).endswith(", 0 waiting")
        with shared.start("wait", "--for", "unlocked=door", "--timeout", "60s") as waiter:
            holder.terminate()
            assert waiter.wait(60) == 0
        holder.wait(60)


def test_the_leader_is_followed_when_it_is_killed(home: Home) -> None:
    home.ctl("up")
    leader = str(home.json("status")["leader"])
    home.ctl("kv", "put", "k", "1")
    home.kill(leader)
    began = time.monotonic()
    home.ctl("kv", "put", "k", "2")
    assert time.monotonic() - began < 3 + BUSY_SECONDS
    assert home.ctl("kv", "get", "k") == "2"
    assert home.json("status")["leader"] != leader


def test_sessions(shared: Home) -> None:
    address = str(shared.members()[0]["address"])
    with connect(address, identity="tests") as cluster:
        session = cluster.session(ttl=9, owner="the owner")
        session.kv.put("bound", "x", bound=True)
        assert "the owner" in shared.ctl("session", "ls")
        listed = valid(shared.ctl("session", "ls", "-o", "json"))
        assert (listed["session"], listed["keys"], listed["ttl_ms"]) == (session.id, 1, 9_000)
        shown = valid(shared.ctl("session", "show", str(session.id), "-o", "json"))
        assert shown["owner"] == "the owner"
        assert "1 key bound to it" in shared.ctl("session", "show", str(session.id))
        assert valid(shared.ctl("session", "close", str(session.id), "-o", "json"))["outcome"] == "closed"
        assert shared.run("kv", "get", "bound").returncode == 1
        assert session.wait_lost(timeout=60)
        with pytest.raises(SessionExpired, match="lost"):
            session.check()
    assert shared.run("session", "close", "0").returncode == 64
    assert shared.run("session", "close", "123456789").returncode == 1


def test_an_interrupted_command_says_so(shared: Home) -> None:
    with shared.start("kv", "watch") as watching:
        assert watching.stderr is not None
        assert watching.stderr.readline().startswith(b"watching from revision ")
        watching.send_signal(signal.SIGINT)
        watching.communicate(timeout=60)
    assert watching.returncode == 130


def test_a_command_asks_the_leader_first_once_another_has_found_it(shared: Home) -> None:
    def asked(*words: str) -> tuple[str, str]:
        """Whom it asked first, and who answered: somebody else only where that one is silent for a while, or leads no more."""
        lines = shared.run("kv", *words, "-v").stderr.decode().splitlines()
        first, (answered, word, _) = lines[0].partition(" ")[0], lines[-1].partition(" answered after ")
        assert word, lines
        return first.removesuffix(":"), answered

    _, leader = asked("put", "asked", "once")
    for _ in range(6):  # by chance two of three would go elsewhere first
        first, answered = asked("get", "asked")
        assert first == leader
        leader = answered
