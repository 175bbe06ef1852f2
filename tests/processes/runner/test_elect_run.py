"""`coordctl elect run` and `group run`: what differs from `lock run`, whose machinery they stand on."""

import json
import os
import signal
import sys

import pytest

from tests.processes.local import Home
from tests.processes.runner.jobs import ended, guard_of, line, marked, started, until
from tests.processes.test_commands import valid

ELECT, GROUP = ("elect", "run"), ("group", "run")
SHOWS_ITSELF = ["--", "sh", "-c", "echo $COORD_ELECTION $COORD_TOKEN $COORD_LOCK; sh -c 'sleep 60; :' $COORD_ELECTION"]


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    return f"run-{request.node.name}"


@pytest.mark.each_engine
def test_the_command_runs_while_it_leads(shared: Home, name: str) -> None:
    report = shared.folder / f"{name}.json"
    with started(shared, name, "--value", "here", "--candidate", "a", *SHOWS_ITSELF, verb=ELECT) as leader:
        election, token = line(leader).split()
        assert election == name
        shown = valid(shared.ctl("elect", "show", name, "-o", "json"))["leader"]
        assert isinstance(shown, dict)
        assert (str(shown["token"]), shown["candidate"], shown["value"]) == (token, "a", "here")
        busy = shared.run(*ELECT, name, "--try", "-E", "9", "--report", str(report), "--", "true")
        assert (busy.returncode, json.loads(report.read_text())["outcome"]) == (9, "not acquired")
        assert f"coordctl: {name} is led by a, for ".encode() in busy.stderr
        assert f"see the queue with: coordctl elect show {name}".encode() in busy.stderr
        with started(shared, name, "-v", "--", "sh", "-c", "exit 7", verb=ELECT) as waiting:
            assert waiting.stderr is not None
            assert waiting.stderr.readline().startswith(f"coordctl: {name} is led by a, for ".encode())
            (stands,) = valid(shared.ctl("elect", "show", name, "-o", "json"))["candidates"]  # type: ignore[misc]
            assert stands["candidate"] == os.uname().nodename, "others can hand over to it without more ado"
            leader.send_signal(signal.SIGTERM)
            assert ended(leader)[0] == 128 + signal.SIGTERM
            assert ended(waiting)[0] == 7
    assert shared.run("elect", "show", name).returncode == 1, "it has resigned"
    assert marked(name) == []


def test_who_is_told_to_hand_over_ends_its_command_with_79(shared: Home, name: str) -> None:
    with started(shared, name, "--candidate", "a", *SHOWS_ITSELF, verb=ELECT) as first:
        _, token = line(first).split()
        with started(shared, name, "--candidate", "b", *SHOWS_ITSELF, verb=ELECT) as second:
            until(lambda: valid(shared.ctl("elect", "show", name, "-o", "json"))["candidates"])
            shared.ctl("elect", "transfer", name, "b", "--reason", "upgrade")
            code, said = ended(first)
            assert (code, "was ended by ops@" in said, "upgrade; command ended (TERM)" in said) == (79, True, True), said
            assert int(line(second).split()[1]) > int(token)
    assert marked(token) == []


@pytest.mark.each_engine
def test_a_command_may_proclaim_what_it_has_become(shared: Home, name: str) -> None:
    ours = f'"{sys.executable}" -m coordctl elect'
    code = f"echo ready >value; {ours} proclaim @value -o json; {ours} show $COORD_ELECTION -o json"
    proclaimed, shown = shared.ctl(*ELECT, name, "--value", "starting", "--", "sh", "-c", code).splitlines()
    assert valid(proclaimed)["outcome"] == "proclaimed"
    leader = valid(shown)["leader"]
    assert isinstance(leader, dict)
    assert (leader["value"], leader["token"]) == ("ready\n", valid(proclaimed)["token"])


@pytest.mark.each_engine
def test_a_command_may_resign_for_itself(shared: Home, name: str) -> None:
    code = f'"{sys.executable}" -m coordctl elect resign --reason done; sleep 60'
    done = shared.run(*ELECT, name, "--", "sh", "-c", code)
    assert (done.returncode, b"was ended by ops@" in done.stderr, b"done" in done.stderr) == (79, True, True)


def test_killing_the_guard_or_the_runner_of_a_leader_ends_its_command(shared: Home, name: str) -> None:
    with started(shared, name, "--ttl", "60s", *SHOWS_ITSELF, verb=ELECT) as leader:
        token = line(leader).split()[1]
        os.kill(guard_of(leader.pid), signal.SIGKILL)
        assert ended(leader)[0] == 79
    with started(shared, name, "--ttl", "60s", "--", "sh", "-c", f"echo up; setsid sleep 60 {token}; true", verb=ELECT) as leader:
        line(leader)
        leader.kill()
        until(lambda: marked(token) == [], "nothing of the job outlives its runner")


def test_a_member_for_as_long_as_the_command_runs(shared: Home, name: str) -> None:
    inside = f'"{sys.executable}" -m coordctl'
    code = f"{inside} group update $COORD_GROUP $COORD_MEMBER --data ready >&2; {inside} group show $COORD_GROUP; exit 7"
    done = shared.run(*GROUP, name, "me", "--data", "starting", "--labels", "zone=eu", "--", "sh", "-c", code)
    assert done.returncode == 7, done.stderr
    assert done.stdout.decode().splitlines()[1] == "  me  ready  zone=eu"
    assert shared.run("group", "show", name).returncode == 1, "it has left"
    report = shared.folder / f"{name}.json"
    with started(shared, name, "me", "--", "sh", "-c", "echo $COORD_VIEW ${COORD_TOKEN-none}; sleep 60", verb=GROUP) as member:
        view, token = line(member).split()
        assert (view.isdigit(), token) == (True, "none")
        taken = shared.run(*GROUP, name, "me", "--report", str(report), "--", "true")
        assert (taken.returncode, b"is there already" in taken.stderr) == (75, True)
        told = json.loads(report.read_text())
        assert (told["outcome"], told["token"]) == ("not acquired", None)
        unnamed = shared.run(*GROUP, name, "--report", str(report), "--", "true")
        assert (unnamed.returncode, json.loads(report.read_text())["token"]) == (0, None)
        session = valid(shared.ctl("group", "show", name, "-o", "json"))["members"][0]["session"]  # type: ignore[index]
        shared.ctl("session", "close", str(session))
        code_, said = ended(member)
        assert (code_, "is lost" in said) == (79, True), said


REFUSED: list[tuple[list[str], int, str]] = [
    ([*ELECT, "x"], 64, "which command? coordctl elect run NAME"),
    ([*ELECT, "x", "--try", "--wait", "1s", "--", "true"], 64, "exclude each other"),
    ([*ELECT, "", "--", "true"], 64, "the election has no name"),
    ([*ELECT, "x", "-o", "json", "--", "true"], 64, "--report FILE"),
    ([*ELECT, "x", "--endpoints", "127.0.0.1:1", "--", "true"], 69, "no member can be reached"),
    ([*ELECT, "x", "--", "no-such-command"], 127, "there is no such command"),
    ([*GROUP, "x"], 64, "which command? coordctl group run GROUP"),
    ([*GROUP, "x", "--labels", "zone", "--", "true"], 64, "give key=value"),
    ([*GROUP, "x", "--weight", "5000", "--", "true"], 64, "weight is 5000; give 0 to 1000"),
]


@pytest.mark.parametrize(("words", "code", "sentence"), REFUSED, ids=[" ".join(row[0]) for row in REFUSED])
def test_each_failure_has_its_code(shared: Home, words: list[str], code: int, sentence: str) -> None:
    refused = shared.run(*words)
    assert (refused.returncode, refused.stdout) == (code, b""), refused
    assert sentence in refused.stderr.decode()
