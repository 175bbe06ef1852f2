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
    PUT_SECONDS_MAX,
    SOURCE,
    VALUE,
    Cluster,
    Crew,
    Entrant,
    Load,
    Member,
    Shape,
    compile_c,
    fetch,
    free_ports,
    processes,
    run_generator,
    wait_for,
)

HERE_VERSION = "here"
FILLING = Shape(100, 10)


def compile_load(folder: Path) -> Path:
    return compile_c(HERE.parent / "load.c", folder, "-lz")


class Coordnode(Cluster):
    product = "coordnode"
    layouts = ("leader", "spread")

    def __init__(self, members: list[Member], version: str, crew: Crew, load_program: Path) -> None:
        self._load_program = load_program
        super().__init__(members, version, crew)

    def leads(self, member: Member) -> bool | None:
        found = fetch(f"http://{member.address}/status")
        return None if found is None or not found["ready"] else bool(found["role"] == "leader")

    def load(self, kind: str, shape: Shape, seconds: float, layout: str = "leader", rate: float | None = None) -> Load:
        asked = "get-anywhere" if kind == "get" and layout == "spread" else kind
        found = self._run(shape, str(seconds), asked, *([] if rate is None else [str(rate)]))
        return found._replace(under_way=shape.connections) if kind == "task" else found  # each makes its queue, once

    def layouts_for(self, kind: str) -> tuple[str, ...]:
        return self.layouts if kind == "get" else ("leader",)  # whatever else is asked leads there

    def _run(self, shape: Shape, *how: str) -> Load:
        endpoints = ",".join(member.address for member in self.members)  # the generator finds who leads
        return run_generator([str(self._load_program), endpoints, *map(str, shape), *how])

    def fill(self, keys: int) -> None:
        self._run(FILLING, str(keys), "fill")

    def put(self, member: Member) -> bool:
        return fetch(f"http://{member.address}/v1/kv/key", VALUE, "PUT", PUT_SECONDS_MAX) is not None

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
    with processes() as crew:
        members = []
        for number, address in enumerate(addresses, 1):
            data = folder / f"n{number}"
            run = [python, "-m", "coordnode", "run", "--folder", str(data), "--listen", address, *flags]
            members.append(Member(crew.start(run, folder / f"n{number}.log", env=environment), address, data))
        yield Coordnode(members, HERE_VERSION, crew, load_program)


def entrants(load_program: Path) -> list[Entrant]:
    return [Entrant(Coordnode.product, HERE_VERSION, lambda folder: coordnode(folder, load_program))]
