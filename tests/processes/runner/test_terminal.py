"""`lock run` at a terminal: a real shell with job control on a real pty, typed at."""

import os
import signal
import termios
import time
from collections.abc import Iterator

import pytest

from coordnode.client.sync import connect
from tests.processes.local import Home
from tests.processes.runner.jobs import BUSY_SECONDS, children, groups, is_alive, marked, named, until
from tests.processes.runner.shell import Shell


@pytest.fixture
def shell(shared: Home) -> Iterator[Shell]:
    made = Shell(shared)
    made.type('coordctl() { "$PYTHON" -m coordctl "$@"; }')
    made.prompt()
    yield made
    made.close()


COUNTS = (
    "import os,signal,sys,time\n"
    "def heard(number, frame):\n    os.write(1, b'heard %d\\n' % number)\n"
    "signal.signal(signal.SIGINT, heard)\n"
    "os.write(1, b'pid %d\\n' % os.getpid())\n"
    "for text in sys.stdin:\n"
    "    print('read', text.strip(), flush=True)\n"
    "    if text.strip() == 'end': sys.exit(7)\n"
)


def start(shell: Shell, home: Home, name: str, mark: str, *flags: str, ahead: str = "", behind: str = "") -> int:
    """The pid of a command that counts Ctrl-C and reads lines."""
    script = home.folder / "counts.py"
    script.write_text(COUNTS)
    command = f'{ahead}coordctl lock run {name} --note {mark} {" ".join(flags)} -- "$PYTHON" {script} {mark}{behind}'
    shell.type(command)
    return int(shell.expect(r"pid (\d+)\n")[1])


def test_the_command_gets_the_terminal_and_gives_it_back(shell: Shell, shared: Home, mark: str) -> None:
    command = start(shell, shared, "tty/a", mark)
    assert shell.foreground() == command == groups(command)[0]
    shell.type("hello")
    shell.expect("read hello\n")
    shell.type("end")
    shell.prompt()
    shell.type("echo code $?")
    shell.expect("code 7\n")
    shell.prompt()
    assert shell.foreground() == shell.process.pid


def test_control_c_reaches_it_exactly_once(shell: Shell, shared: Home, mark: str) -> None:
    start(shell, shared, "tty/b", mark)
    for _ in range(3):
        shell.press("C")
        shell.expect(f"^heard {signal.SIGINT:d}\n")
        shell.type("and")
        assert shell.expect("(?s)^(.*?)read and\n")[1] == "", "it was heard once"
    shell.type("end")
    shell.prompt()


# Not `sh -c 'echo on; sleep 60'`: a Ctrl-C between a shell's fork and its child's exec is lost, with or without a runner.
DOES_NOT_MIND = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_DFL); print('on', flush=True); time.sleep(60)"


def test_control_c_ends_a_command_that_does_not_mind_it(shell: Shell, shared: Home) -> None:
    shell.type(f'coordctl lock run tty/c -- "$PYTHON" -c "{DOES_NOT_MIND}"')
    shell.expect("on\n")
    shell.press("C")
    shell.prompt()
    shell.type("echo code $?")
    shell.expect("code 130\n")


@pytest.mark.parametrize(
    ("does", "shown"),
    [
        (f'lock run tty/o -- "$PYTHON" -c "{DOES_NOT_MIND}"', "on\n"),
        ("lock run tty/p -v -- true", "held by"),
        ("elect observe tty/q", "no leader now"),
    ],
    ids=["the command", "in line", "observing"],
)
def test_control_c_ends_the_script_around_us_too(shell: Shell, shared: Home, does: str, shown: str) -> None:
    """As it would around the command itself: else the next line of a script runs without the lock."""
    script = shared.folder / "deploys.sh"
    script.write_text(f'trap "echo trapped; exit 9" INT\n"$PYTHON" -m coordctl {does}\necho went on $?\n')
    with connect([str(one["address"]) for one in shared.members()]) as cluster, cluster.lock("tty/p"):
        shell.type(f"bash {script}")
        shell.expect(shown)
        shell.press("C")
        assert "trapped" in (said := shell.prompt())
        assert "went on" not in said
        shell.type("echo code $?")
        shell.expect("code 9\n")
        shell.prompt()
        shell.type(f'for number in 1 2; do echo "round $number"; "$PYTHON" -m coordctl {does}; done')
        shell.expect(shown)
        shell.press("C")
        assert "round 2" not in shell.prompt()
        shell.type("echo code $?")
        shell.expect("code 130\n")


def test_control_z_suspends_command_and_runner_and_fg_goes_on(shell: Shell, shared: Home, mark: str) -> None:
    command = start(shell, shared, "tty/d", mark, "--ttl", "60s")
    shell.press("Z")
    assert "Stopped" in shell.prompt()
    runner = runner_of(command, mark)
    assert state(command) == state(runner) == "T"
    shell.type("fg")
    shell.type("again")
    shell.expect("read again\n")
    assert shell.foreground() == command
    shell.press("Z")
    shell.prompt()
    shell.type("bg")
    shell.prompt()
    until(lambda: state(command) == state(runner) == "T", "reading from the background stops both")
    shell.type("fg")
    shell.type("end")
    shell.prompt()
    shell.type("echo code $?")
    shell.expect("code 7\n")


def test_control_z_suspends_what_the_command_left(shell: Shell, shared: Home) -> None:
    shell.type("coordctl lock run tty/l -- sh -c 'sleep 600 & echo left $!'")
    left = int(shell.expect(r"left (\d+)\n")[1])
    shell.expect("held until they end")
    shell.press("Z")
    assert "Stopped" in shell.prompt()
    until(lambda: state(left) == "T")
    shell.type("fg")
    until(lambda: state(left) == "S")
    shell.press("C")
    shell.prompt()


def test_a_command_that_stops_itself_gives_the_terminal_back(shell: Shell, shared: Home) -> None:
    shell.type("coordctl lock run tty/m -- sh -c 'echo on; kill -STOP $$; echo again'")
    shell.expect("on\n")
    assert "Stopped" in shell.prompt(), "su does that at each Ctrl-Z"
    shell.type("fg")
    shell.expect("again\n")
    shell.prompt()


def test_a_runner_that_was_stopped_from_outside_leaves_the_terminal_to_the_shell(shell: Shell, shared: Home, mark: str) -> None:
    shell.type(f"touch {mark}; coordctl lock run tty/n --note {mark} -- sh -c 'echo pid $$; while test -e {mark}; do sleep 0.1; done'")
    runner = runner_of(int(shell.expect(r"pid (\d+)\n")[1]), mark)
    os.kill(runner, signal.SIGSTOP)
    assert "Stopped" in shell.prompt()
    shell.type("bg")
    shell.prompt()
    (shared.folder / mark).unlink()
    until(lambda: not is_alive(runner))
    assert shell.foreground() == shell.process.pid, "bash logs out when somebody takes it"


def test_a_command_that_wants_the_terminal_where_nobody_could_bring_it_to_the_foreground_is_ended(
    shell: Shell, shared: Home, mark: str
) -> None:
    shell.type(f"(coordctl lock run tty/o --note {mark} -- sh -c 'read x </dev/tty' &)")
    shell.expect("the command stopped for want of the terminal")
    until(lambda: marked(mark) == [])


def runner_of(command: int, mark: str) -> int:
    (runner,) = [pid for pid in marked(mark) if groups(pid)[0] == pid and pid != command and named([pid], "coordctl-guard") == []]
    return runner


def state(pid: int) -> str:
    with open(f"/proc/{pid}/stat", "rb") as file:
        return file.read().rpartition(b")")[2].split()[0].decode()


def test_the_guard_keeps_the_deadline_of_what_is_suspended_and_fg_says_that_it_is_lost(shell: Shell, shared: Home, mark: str) -> None:
    command = start(shell, shared, "tty/e", mark, "--ttl", "4s")
    shell.press("Z")
    stopped = time.monotonic()
    shell.prompt()
    until(lambda: not is_alive(command))
    assert time.monotonic() - stopped < 4 + BUSY_SECONDS
    assert shared.run("lock", "run", "tty/e", "--", "true").returncode == 0, "others get it while the runner is still suspended"
    shell.type("fg")
    said = shell.prompt()
    assert "tty/e is lost: its lease was not renewed in time; command ended" in said
    shell.type("echo code $?")
    shell.expect("code 79\n")
    shell.prompt()
    assert shell.foreground() == shell.process.pid


def test_fg_continues_what_goes_on_although_its_lock_was_lost_meanwhile(shell: Shell, shared: Home, mark: str) -> None:
    command = start(shell, shared, "tty/k", mark, "--ttl", "4s", "--on-lost", "ignore")
    shell.press("Z")
    shell.prompt()
    until(lambda: shared.run("lock", "run", "tty/k", "--try", "--", "true").returncode == 0, "it is somebody else's by then")
    shell.type("fg")
    shell.type("still")
    assert "the command goes on (--on-lost ignore)" in shell.expect(r"(?s)(.*?)read still\n")[1]
    assert shell.foreground() == command
    shell.type("end")
    assert "tty/k is lost" not in shell.prompt(), "it was said"


# No `sh` here, either: while it forks, Ctrl-Z does not stop it.
HEARS_ALSO = (
    "import os, signal; signal.signal(signal.SIGINT, lambda *_: os.write(2, b'also\\n'));"
    " print('there', flush=True); [signal.pause() for _ in range(9)]"
)


def test_in_a_pipeline_no_foreground_is_moved_and_control_c_reaches_all_once(shell: Shell, shared: Home, mark: str) -> None:
    command = start(shell, shared, "tty/f", mark, ahead=f'"$PYTHON" -c "{HEARS_ALSO}" | ', behind=" | sh -c 'trap \"\" INT; cat'")
    shell.expect("read there\n")
    job = shell.foreground()
    assert job != groups(command)[0] == command

    def assert_all_hear_it() -> None:
        shell.press("C")
        heard = shell.expect(r"(?s)(also|heard 2)\n.*?(also|heard 2)\n")
        assert {heard[1], heard[2]} == {"also", "heard 2"}

    assert_all_hear_it()
    shell.press("Z")
    assert "Stopped" in shell.prompt()
    until(lambda: sum(state(pid) == "T" for pid in marked(mark)) == 2, "for these the shell does not wait: `coordctl` is a function")
    shell.type("fg")
    until(lambda: state(command) == "S")
    assert shell.foreground() == job
    assert_all_hear_it()
    shell.press("\\")
    assert "heard" not in shell.prompt()


def test_a_command_in_a_pipeline_that_asks_for_the_terminal_gets_it(shell: Shell, shared: Home) -> None:
    shell.type("coordctl lock run tty/g -- sh -c 'echo on; read answer; echo got $answer' | cat")
    shell.expect("on\n")
    shell.type("this")
    shell.expect("got this\n")
    shell.prompt()
    assert shell.foreground() == shell.process.pid


def test_the_modes_of_the_terminal_are_put_right_after_a_violent_end(shell: Shell, shared: Home) -> None:
    before = termios.tcgetattr(shell.terminal)
    shell.type("coordctl lock run tty/h -- sh -c 'stty raw; echo on; sleep 60'; stty -a")
    shell.expect("on")
    shared.ctl("lock", "break", "tty/h", "--yes")
    assert " icanon" in shell.prompt()
    assert termios.tcgetattr(shell.terminal)[3] == before[3]
    shell.type("coordctl lock run tty/h -- stty -icanon; stty -a")
    assert "-icanon" in shell.prompt(), "what a command does on purpose stays"


def test_without_a_terminal_it_runs_all_the_same(shared: Home) -> None:
    done = shared.run("lock", "run", "tty/i", "--", "sh", "-c", "tty; ps -o tpgid= -p $$", stdin=b"")
    assert (done.returncode, done.stdout.split(b"\n")[0]) == (0, b"not a tty")


def test_a_shell_that_hangs_up_takes_the_command_with_it(shell: Shell, shared: Home, mark: str) -> None:
    command = start(shell, shared, "tty/j", mark)
    shell.process.kill()
    until(lambda: not is_alive(command))
    until(lambda: marked(mark) == [])
    assert shared.run("lock", "run", "tty/j", "--try", "--", "true").returncode == 0, "released, not left to its lease"


HEARS = (
    "import os,signal,time\n"
    "def heard(number, frame):\n    os.write(1, b'shard %s heard %d\\n' % (os.environ['COORD_SHARD'].encode(), number))\n"
    "for number in (signal.SIGINT, signal.SIGUSR1):\n    signal.signal(number, heard)\n"
    "os.write(1, b'shard %s heard 0\\n' % os.environ['COORD_SHARD'].encode())\n"
    "while True:\n    time.sleep(60)\n"
)


def test_control_c_reaches_each_command_of_a_run_of_shards_exactly_once(shell: Shell, shared: Home, mark: str) -> None:
    shared.ctl("shard", "create", mark, f"{mark}-workers", "2")
    script = shared.folder / "hears-shards.py"
    script.write_text(HEARS)
    shell.type(f'coordctl shard run {mark} -- "$PYTHON" {script}')

    def both() -> set[str]:
        return {shell.expect(r"shard (\d heard \d+)\n")[1] for _ in range(2)}

    assert both() == {"0 heard 0", "1 heard 0"}
    found = marked(mark)
    owner = next(pid for pid in found if not any(pid in children(other) for other in found))
    shell.press("Z")  # it would lose all it owns
    for _ in range(2):
        shell.press("C")
        assert both() == {f"{shard} heard {signal.SIGINT:d}" for shard in range(2)}
        os.kill(owner, signal.SIGUSR1)
        assert both() == {f"{shard} heard {signal.SIGUSR1:d}" for shard in range(2)}, "had it come twice, it would stand before"
    os.kill(owner, signal.SIGTERM)
    shell.prompt()
    shell.type("echo code $?")
    shell.expect("code 143\n")
    shared.ctl("shard", "delete", mark, "--yes")


def test_the_command_of_a_shard_has_no_terminal_to_stop_for(shell: Shell, shared: Home, mark: str) -> None:
    shared.ctl("shard", "create", mark, f"{mark}-workers", "1")
    shell.type(f"coordctl shard run {mark} -- sh -c 'read x </dev/tty'")
    assert "/dev/tty" in shell.prompt(), "it says that it cannot read there, and ends"
    shared.ctl("shard", "delete", mark, "--yes")
