"""Networks of the tests' own, that can be cut: one namespace for each member, on a bridge. Needs root."""

import itertools
import os
import shutil
import subprocess
from collections.abc import Iterable
from functools import cache

from tests.processes.members import Cluster

_opened = itertools.count()


@cache
def why_not() -> str:
    """Empty: they can be had here."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "there is no `ip` (iproute2) here"
    networks = Networks()
    try:
        networks.open(1)
    except subprocess.CalledProcessError as error:
        return f"network namespaces cannot be made here: {error.stderr.decode().strip()}"
    finally:
        networks.close()
    return ""


class Networks:
    """A bridge and one namespace for each member; all of it goes when it is closed."""

    def __init__(self) -> None:
        number = os.getpid() * 8 + next(_opened) % 8
        self._mark = f"cn{number % 10_000_000}"  # names of links have 15 characters at most
        self._prefix = f"10.{200 + number % 50}.{number // 50 % 250}"
        self._made: list[list[str]] = []  # how to undo it

    def open(self, count: int) -> list[str]:
        """The members' addresses."""
        mark, prefix = self._mark, self._prefix
        self._do(f"link add {mark} type bridge", undo=f"link del {mark}")
        self._do(f"addr add {prefix}.1/24 dev {mark}")
        self._do(f"link set {mark} up")
        for number in range(1, count + 1):
            self._do(f"netns add {mark}n{number}", undo=f"netns del {mark}n{number}")
            self._do(f"link add {mark}v{number} type veth peer name eth0 netns {mark}n{number}")
            self._do(f"link set {mark}v{number} master {mark} up")
            self._do(f"-n {mark}n{number} addr add {prefix}.{10 + number}/24 dev eth0")
            self._do(f"-n {mark}n{number} link set eth0 up")
            self._do(f"-n {mark}n{number} link set lo up")
        return [f"{prefix}.{10 + number}" for number in range(1, count + 1)]

    def put_inside(self, cluster: Cluster) -> None:
        for number, one in cluster.members.items():
            one.prefix = ["ip", "netns", "exec", f"{self._mark}n{number}"]

    def cut(self, number: int) -> None:
        """Without a word to anybody: what is sent from or to it is gone."""
        self._do(f"link set {self._mark}v{number} down")

    def heal(self, number: int) -> None:
        self._do(f"link set {self._mark}v{number} up")

    def part(self, number: int, others: Iterable[int]) -> None:
        """It reaches these members no more, and so they do not get through to it; everybody else does."""
        for other in others:
            self._do(f"-n {self._mark}n{number} route add blackhole {self._prefix}.{10 + other}/32")

    def join(self, number: int, others: Iterable[int]) -> None:
        """What `part` did is undone."""
        for other in others:
            self._do(f"-n {self._mark}n{number} route del blackhole {self._prefix}.{10 + other}/32")

    def double(self, number: int) -> str:
        """Another host has that member's address, too: its namespace. Until it says so, who knows the member's does not notice."""
        mark, space = self._mark, f"{self._mark}d{number}"
        self._do(f"netns add {space}", undo=f"netns del {space}")
        self._do(f"link add {mark}w{number} type veth peer name eth0 netns {space}")
        self._do(f"link set {mark}w{number} master {mark} up")
        self._do(f"-n {space} addr add {self._prefix}.{10 + number}/24 dev eth0")
        self._do(f"-n {space} link set eth0 up")
        return space

    def _do(self, words: str, *, undo: str = "") -> None:
        subprocess.run(["ip", *words.split()], check=True, capture_output=True)
        if undo:
            self._made.append(undo.split())

    def close(self) -> None:
        while self._made:
            subprocess.run(["ip", *self._made.pop()], check=False)
