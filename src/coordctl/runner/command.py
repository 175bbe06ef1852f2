"""The first process of a job, from fork to exec: waits for the word to go, so that nothing but exec is left to do then."""

from __future__ import annotations

import errno
import marshal
import os

from coordctl.hot.bare import signal
from coordnode.light import TYPE_CHECKING, NamedTuple, suppress

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn

FORWARDED = tuple(
    getattr(signal, name) for name in ("SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGUSR1", "SIGUSR2", "SIGWINCH") if hasattr(signal, name)
)
SET_BY_PYTHON = tuple(getattr(signal, name) for name in ("SIGPIPE", "SIGXFSZ", "SIGXFZ") if hasattr(signal, name))
JOB_CONTROL = (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGCONT, signal.SIGCHLD)
REMOVED = ("COORD_AUTH_TOKEN_FILE",)

NOT_EXECUTABLE, NOT_FOUND = 126, 127


class Go(NamedTuple):
    environment: dict[str, str]  # beside what we have
    terminal: int = -1  # to be taken as the foreground group


class Inherited(NamedTuple):
    """How signals were before we touched them: a command under nohup goes on ignoring hang-ups."""

    ignored: tuple[int, ...]
    blocked: tuple[int, ...]


def inherited() -> Inherited:
    touched = (*FORWARDED, *JOB_CONTROL)
    ignored = tuple(int(number) for number in touched if signal.getsignal(number) == signal.SIG_IGN)
    return Inherited(ignored, tuple(int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, ())))


class Waiting(NamedTuple):
    """A forked process that has not become the command yet. It ends if nobody gives the word."""

    pid: int
    word: int  # to write to
    trouble: int  # to read from: empty once exec succeeded, else the errno


def prepare(argv: Sequence[str], before: Inherited) -> Waiting:
    """What is sent to it from now on is heard once it is the command."""
    word_read, word_write = os.pipe()
    trouble_read, trouble_write = os.pipe()
    os.set_blocking(trouble_read, False)
    unblocked = signal.pthread_sigmask(signal.SIG_BLOCK, (*FORWARDED, *JOB_CONTROL))
    pid = os.fork()
    if pid == 0:
        try:
            os.close(word_write)
            os.close(trouble_read)
            _become(argv, before, word_read, trouble_write)
        finally:
            os._exit(NOT_EXECUTABLE)
    signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
    os.close(word_read)
    os.close(trouble_write)
    with suppress(OSError):
        os.setpgid(pid, pid)  # both sides say so: whoever comes first
    return Waiting(pid, word_write, trouble_read)


def release(waiting: Waiting, go: Go) -> None:
    with suppress(BrokenPipeError):  # somebody killed it: its status will say so
        os.write(waiting.word, marshal.dumps(tuple(go)))
    os.close(waiting.word)


def abandon(waiting: Waiting) -> None:
    """Nobody will say the word: it ends, even if somebody has stopped it."""
    os.kill(waiting.pid, signal.SIGKILL)
    os.waitpid(waiting.pid, 0)


def trouble(waiting: Waiting) -> int | None:
    """Of exec: 0, or the errno; None: it has not come to that yet."""
    try:
        said = os.read(waiting.trouble, 64)
    except BlockingIOError:
        return None
    os.close(waiting.trouble)
    return int(said or b"0")


def exit_code_of(number: int) -> int:
    return NOT_FOUND if number in (errno.ENOENT, errno.ENOTDIR) else NOT_EXECUTABLE


def open_descriptors() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc/self/fd")]
    except OSError:
        return list(range(256))


def _become(argv: Sequence[str], before: Inherited, word: int, trouble: int) -> NoReturn:
    os.setpgid(0, 0)
    paths = _paths(argv[0])
    said = b""
    while part := os.read(word, 65_536):
        said += part
    if not said:
        os._exit(0)
    go = Go(*marshal.loads(said))
    if go.terminal >= 0:
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTTOU,))
        with suppress(OSError):  # it is gone: the command will notice
            os.tcsetpgrp(go.terminal, os.getpid())
    environment = {**os.environ, **go.environment}
    for name in (*REMOVED, *_set_by_interpreter()):
        environment.pop(name, None)
    for number in (*FORWARDED, *SET_BY_PYTHON, *JOB_CONTROL):
        signal.signal(number, signal.SIG_IGN if number in before.ignored else signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, before.blocked)
    os.write(trouble, b"%d" % _execute(paths, argv, environment))
    os._exit(NOT_EXECUTABLE)


def _set_by_interpreter() -> tuple[str, ...]:
    """Where no language is set, as under cron, Python chooses one for itself; the command is to speak as it would without us."""
    if "LC_CTYPE" not in os.environ:
        return ()
    try:
        with open("/proc/self/environ", "rb") as file:
            given = file.read().split(b"\0")
    except OSError:
        return ()
    return () if any(one.startswith(b"LC_CTYPE=") for one in given) else ("LC_CTYPE",)


def _paths(name: str) -> list[str]:
    """Where it may be, in the order of PATH: as os.execvpe looks for it, which loads a module first that nobody needs here."""
    if not name:
        return []
    if os.path.dirname(name):
        return [name]
    places = [os.path.join(folder, name) for folder in os.environ.get("PATH", os.defpath).split(os.pathsep)]
    return [path for path in places if os.path.lexists(path)]


def _execute(paths: Sequence[str], argv: Sequence[str], environment: Mapping[str, str]) -> int:
    """Returns only if none of them can be executed: the errno."""
    trouble = errno.ENOENT
    for path in paths:
        try:
            os.execve(path, list(argv), environment)
        except (FileNotFoundError, NotADirectoryError):
            pass
        except OSError as error:
            trouble = trouble if trouble != errno.ENOENT else error.errno or errno.ENOEXEC
        except ValueError:
            return errno.ENOEXEC
    return trouble
