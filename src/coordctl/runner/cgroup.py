"""A control group for one job, where we may make one: what is in it can be killed in one stroke, however fast it forks."""

from __future__ import annotations

import os

from coordnode.light import suppress


class Cgroup:
    """A folder below our own group; falsy: none could be made, and walking the tree of processes has to do."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __bool__(self) -> bool:
        return bool(self.folder)

    def add(self, pid: int) -> None:
        """With all that it forks from now on."""
        if self.folder:
            path = os.path.join(self.folder, "cgroup.procs")
            with suppress(OSError), open(path, "wb", buffering=0) as file:  # else the walk finds it
                file.write(b"%d" % pid)

    def kill(self) -> None:
        if self.folder:
            try:
                with open(os.path.join(self.folder, "cgroup.kill"), "wb", buffering=0) as file:
                    file.write(b"1")
            except OSError:
                pass  # a kernel before 5.14

    def remove(self) -> None:
        """Groups that the job made inside go with it; a group with processes stays."""
        if self.folder:
            for folder, _, _ in os.walk(self.folder, topdown=False):
                with suppress(OSError):
                    os.rmdir(folder)
            self.folder = ""


def make(name: str) -> Cgroup:
    parent = _own_folder()
    if not parent or not os.access(parent, os.W_OK):
        return Cgroup("")
    folder = os.path.join(parent, name)
    try:
        os.mkdir(folder)
    except OSError:
        return Cgroup("")
    if not os.access(os.path.join(folder, "cgroup.kill"), os.W_OK):
        os.rmdir(folder)
        return Cgroup("")
    return Cgroup(folder)


def _own_folder() -> str:
    """Of version 2, where it is mounted; "": there is none."""
    try:
        with open("/proc/self/cgroup", encoding="ascii") as file:
            own = next((line[3:].rstrip("\n") for line in file if line.startswith("0::")), "")
        with open("/proc/self/mountinfo", encoding="utf-8") as file:
            for line in file:
                mounted, _, kind = line.partition(" - ")
                if own and kind.startswith("cgroup2 "):
                    return os.path.join(mounted.split(" ")[4], own.lstrip("/"))
    except (OSError, ValueError):
        pass
    return ""
