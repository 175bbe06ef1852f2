"""Ours, from this checkout, driven by load.c."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .clusters import (
    HERE,
    MEMBERS,
    SOURCE,
    Cluster,
    Entrant,
    Load,
    Member,
    Shape,
    compile_c,
    fetch,
    free_ports,
    leader_first,
    processes,
    run_generator,
    wait_for,
)

HERE_VERSION = "here"


def compile_load(folder: Path) -> Path:
    return compile_c(HERE.parent / "load.c", folder, "-lz")


class Coordnode(Cluster):
    product = "coordnode"

    def __init__(self, members: list[Member], version: str, load_program: Path) -> None:
        super().__init__(members, version)
        self._load_program = load_program

    def load(self, kind: str, shape: Shape, seconds: float, layout: str = "leader", rate: float | None = None) -> Load:
        endpoints = ",".join(member.address for member in self.members)  # the generator finds who leads
        command = [str(self._load_program), endpoints, *map(str, shape), str(seconds), kind]
        return run_generator([*command, *([] if rate is None else [str(rate)])])

    def statuses(self) -> list[Any]:
        return [fetch(f"http://{member.address}/status") for member in self.members]

    def writes(self) -> int:
        return int(self.statuses()[0]["revision"])

    def check(self) -> str:
        def look() -> str:
            said = {(one["applied"], one["revision"], one["applied_digest"]) for one in self.statuses()}
            if len(said) > 1:
                return ""
            applied, revision, digest = said.pop()
            return f"digest {digest:016x} at index {applied}, revision {revision}"

        return wait_for(look, "all members are equal")


@contextmanager
def coordnode(folder: Path, load_program: Path, flags: Sequence[str] = (), python: str = sys.executable) -> Iterator[Coordnode]:
    addresses = [f"127.0.0.1:{port}" for port in free_ports(MEMBERS)]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("COORDNODE_")} | {"PYTHONPATH": str(SOURCE)}
    init = [python, "-m", "coordnode", "init"]
    for number, address in enumerate(addresses, 1):
        init += ["--make", f"{number}={folder / f'n{number}'}", "--contact", f"{number}={address}"]
    subprocess.run(init, check=True, stdout=subprocess.DEVNULL, env=environment)
    with processes() as started:
        for number, address in enumerate(addresses, 1):
            run = [python, "-m", "coordnode", "run", "--folder", str(folder / f"n{number}"), "--listen", address]
            with (folder / f"n{number}.log").open("wb") as log:
                started.append(subprocess.Popen([*run, *flags], stderr=log, stdout=log, env=environment))
        members = [Member(process, address) for process, address in zip(started, addresses, strict=True)]

        def leads(member: Member) -> bool | None:
            found = fetch(f"http://{member.address}/status")
            return None if found is None or not found["ready"] else found["role"] == "leader"

        ordered = leader_first(members, leads, "coordnode")
        yield Coordnode(ordered, HERE_VERSION, load_program)


def entrants(load_program: Path) -> list[Entrant]:
    return [Entrant(Coordnode.product, HERE_VERSION, lambda folder: coordnode(folder, load_program))]
