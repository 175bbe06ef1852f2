"""The other verbs of `lock`: what they print, what they mean, and which codes they end with."""

import os
import select
import signal
import subprocess
import sys
import uuid

import pytest

from tests.processes.local import Home
from tests.processes.runner.jobs import ended, line, marked, named, started, until
from tests.processes.test_commands import valid


@pytest.mark.each_engine
def test_show_and_ls(shared: Home) -> None:
    absent = shared.run("lock", "show", "shown")
    assert (absent.returncode, absent.stderr) == (1, b"coordctl: nobody holds shown, and nobody waits for it\n")
    with started(shared, "shown", "--note", "nightly", "--", "sh", "-c", "echo $COORD_TOKEN; sleep 60") as holder:
        token = line(holder)
        with started(shared, "shown", "-v", "--", "true") as waiter:
            assert waiter.stderr is not None
            waiter.stderr.readline()
            screen = shared.ctl("lock", "show", "shown").splitlines()
            owner = f'ops@{os.uname().nodename} pid {holder.pid} "sh -c echo $COORD_TOKEN; sleep 60"'
            assert screen[0] == f"shown  exclusive  token {token}"
            assert screen[1].startswith("      held ")
            assert screen[1].endswith(" s, 1 waiting")
            assert screen[2] == f"      {owner} (nightly)"
            assert screen[3].startswith("   1. waits ")
            found = valid(shared.ctl("lock", "show", "shown", "-o", "json"))
            assert len(found["waiters"]) == 1  # type: ignore[arg-type]
            assert "shown " in shared.ctl("lock", "ls", "sho")
            assert valid(shared.ctl("lock", "ls", "shown", "-o", "json"))["waiters"] == 1
    assert shared.run("lock", "ls", "no such prefix").returncode == 1


def test_check(shared: Home) -> None:
    inside = f'"{sys.executable}" -m coordctl lock check -o json'
    done = shared.run("lock", "run", "checked", "--", "sh", "-c", inside)
    assert (done.returncode, valid(done.stdout.decode())["outcome"]) == (0, "held")
    assert valid(shared.ctl("lock", "check", "checked", "5", "-o", "json", code=1))["outcome"] == "lost"
    unknown = shared.run("lock", "check", "checked", "5", "--endpoints", f"{shared.scheme}127.0.0.1:1")
    assert (unknown.returncode, b"cannot tell" in unknown.stderr) == (74, True)
    for wrong in (["lock", "check"], ["lock", "check", "x"], ["lock", "check", "x", "y"], ["lock", "check", "", "5"]):
        assert shared.run(*wrong).returncode == 64, wrong


@pytest.mark.each_engine
def test_acquire_renew_and_release(shared: Home) -> None:
    token = shared.ctl("lock", "acquire", "kept", "--ttl", "20s").strip()
    assert shared.run("lock", "acquire", "kept", "--try").returncode == 75
    if shared.engine == "zookeeper":
        assert b"renews a session only for who opened it" in shared.run("lock", "renew", "kept", token).stderr
    else:
        assert valid(shared.ctl("lock", "renew", "kept", token, "-o", "json"))["ttl_ms"] == 20_000
    assert shared.run("lock", "renew", "kept", "5").returncode == 1
    assert shared.run("lock", "release", "kept", "5").returncode == 1, "nobody else's acquisition is released"
    assert shared.ctl("lock", "check", "kept", token).startswith(f"kept: held with token {token}")
    assert valid(shared.ctl("lock", "release", "kept", token, "-o", "json"))["outcome"] == "released"
    assert shared.run("lock", "release", "kept", token).returncode == 1
    found = valid(shared.ctl("lock", "acquire", "kept", "-o", "json", "--ttl", "1s"))
    assert int(str(found["token"])) > int(token)
    until(lambda: shared.run("lock", "show", "kept").returncode == 1, "unrenewed, it ends with its lease")


def test_who_is_interrupted_while_waiting_leaves_the_line(shared: Home) -> None:
    token = shared.ctl("lock", "acquire", "crowded", "--ttl", "60s").strip()
    for number in (signal.SIGINT, signal.SIGTERM):
        with started(shared, "crowded", "-v", "--ttl", "60s", verb=("lock", "acquire")) as waiter:
            assert waiter.stderr is not None
            assert b"crowded is held" in waiter.stderr.readline()
            waiter.send_signal(number)
            code, said = ended(waiter)
        assert shared.json("lock", "show", "crowded")["waiters"] == []
        assert code == 128 + number
        assert "Traceback" not in said
    shared.ctl("lock", "release", "crowded", token)


@pytest.mark.each_engine
def test_a_keeper_holds_it_for_the_life_of_a_process(shared: Home) -> None:
    note = uuid.uuid4().hex
    with subprocess.Popen(["sleep", "60"]) as script:
        try:
            token = shared.ctl("lock", "acquire", "scripted", "--ttl", "5s", "--note", note, "--pid", str(script.pid)).strip()
            (keeper,) = marked(note)
            view = valid(shared.ctl("lock", "show", "scripted", "-o", "json"))
            assert view["holders"][0]["owner"] == f"ops@{os.uname().nodename}, pid {script.pid}"  # type: ignore[index]
            waited = shared.run("lock", "run", "scripted", "--wait", "7s", "--", "true")
            assert waited.returncode == 75, "longer than its lease, which etcd ends late: it is renewed"
            shared.ctl("lock", "check", "scripted", token)
        finally:
            script.kill()
    until(lambda: shared.run("lock", "check", "scripted", token).returncode == 1)
    until(lambda: marked(note) == [], f"the keeper {keeper} ends with it")
    assert shared.run("lock", "acquire", "scripted", "--pid", str(script.pid)).returncode == 64, "it lives no more"


def test_what_a_command_is_called_draws_nothing_on_the_screen_of_others(shared: Home) -> None:
    with started(shared, "drawn", "--", "sh", "-c", "echo on; sleep 60", "\x1b[2J\x07\n") as running:
        assert line(running) == "on"
        assert "\N{REPLACEMENT CHARACTER}[2J" in shared.ctl("lock", "show", "drawn")
        assert "\x1b" not in shared.ctl("lock", "show", "drawn")
        running.terminate()
        ended(running)


def test_a_keeper_keeps_nothing_that_it_was_given(shared: Home) -> None:
    """As in `exec 3> >(logger)` around it: whoever reads there waits for the end of the script only."""
    reading, writing = os.pipe()
    with subprocess.Popen(["sleep", "60"]) as script:
        command = [sys.executable, "-m", "coordctl", "lock", "acquire", "piped", "--pid", str(script.pid)]
        done = subprocess.run(command, pass_fds=(writing,), env=shared.environment, stdout=subprocess.PIPE, timeout=60, check=True)
        os.close(writing)
        is_over = select.select([reading], [], [], 5)[0]
        shared.ctl("lock", "check", "piped", done.stdout.decode().strip())
        script.kill()
    os.close(reading)
    assert is_over


@pytest.mark.each_engine
def test_break_asks_and_names_what_ends(shared: Home) -> None:
    nobody = shared.run("lock", "break", "unheld", "--yes")
    assert (nobody.returncode, nobody.stderr) == (1, b"coordctl: nobody holds unheld\n")
    with started(shared, "asked", "--", "sh", "-c", "echo $COORD_TOKEN; sleep 60") as holder:
        token = line(holder)
        refused = shared.run("lock", "break", "asked")
        assert (refused.returncode, b"--yes" in refused.stderr) == (76, True)
        assert shared.run("lock", "break", "asked", "--token", "5", "--yes").returncode == 1
        found = valid(shared.ctl("lock", "break", "asked", "--token", token, "--yes", "-o", "json"))
        assert found["tokens"] == [int(token)]
        assert isinstance(found["told_ms"], int)
        assert ended(holder)[0] == 79
    assert named(marked(token), "sh") == []
