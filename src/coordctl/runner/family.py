"""The processes of one job: all that descend from us. Their signals, their deaths, and what is left of them."""

from __future__ import annotations

import os

from coordctl.hot.bare import signal
from coordctl.runner.cgroup import Cgroup
from coordnode.light import TYPE_CHECKING, NamedTuple, suppress

if TYPE_CHECKING:
    from collections.abc import Iterator


class Relative(NamedTuple):
    pid: int
    name: str


class Family:
    """`command` is the one that was asked for; as long as it is not reaped, its pid and its group are nobody else's."""

    def __init__(self, command: int, cgroup: Cgroup) -> None:
        self.command = command
        self.is_reaped = False
        self._cgroup = cgroup

    def reap(self) -> Iterator[tuple[int, int]]:
        """(pid, status) of each child that stopped or ended since, without waiting."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self.command and not os.WIFSTOPPED(status):
                self.is_reaped = True
            yield pid, status

    def has_members(self) -> bool:
        """Every descendant hangs below a child of ours: without children the job is gone."""
        try:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return False
        return True

    def members(self) -> list[Relative]:
        """Those that live, parents before their children."""
        children: dict[int, list[Relative]] = {}
        for entry in os.listdir("/proc") if os.path.isdir("/proc/self") else ():
            if entry.isdecimal():
                with suppress(OSError, ValueError, IndexError):
                    with open(f"/proc/{entry}/stat", "rb") as file:
                        head, _, tail = file.read().rpartition(b")")
                    fields = tail.split()
                    if fields[0] not in (b"Z", b"X"):
                        name = head.partition(b"(")[2].decode(errors="replace")
                        children.setdefault(int(fields[1]), []).append(Relative(int(entry), name))
        found = list(children.get(os.getpid(), ()))
        for relative in found:  # grows while it is walked
            found += children.get(relative.pid, ())
        return found

    def signal_group(self, number: int) -> None:
        if not self.is_reaped:
            with suppress(OSError):
                os.killpg(self.command, number)
            return
        for relative in self.members():  # the group's number may be another's by now, unless one of us is still in it
            with suppress(OSError):
                if os.getpgid(relative.pid) == self.command:
                    os.kill(relative.pid, number)

    def kill(self) -> list[tuple[int, str, int]]:
        """Once; whoever was forked meanwhile needs another time. (pid, name, errno) of those that were there still."""
        self._cgroup.kill()
        if not self.is_reaped:
            with suppress(OSError):
                os.killpg(self.command, signal.SIGKILL)
        found = []
        for relative in self.members():
            try:
                os.kill(relative.pid, signal.SIGKILL)
                found.append((relative.pid, relative.name, 0))
            except ProcessLookupError:
                pass
            except OSError as error:  # it runs as somebody else
                found.append((relative.pid, relative.name, error.errno or 0))
        return found

    def gather(self, cgroup: Cgroup) -> None:
        """Into a control group, with all that they fork from now on."""
        self._cgroup = cgroup
        if cgroup:
            for _ in range(2):  # those, too, that were forked meanwhile
                for relative in self.members():
                    cgroup.add(relative.pid)

    def forget(self) -> None:
        self._cgroup.remove()
