"""What mutual TLS costs, and what roles cost on top of it: puts against the same members in the clear, with certificates, and with roles.

    PYTHONPATH=src:. python benchmarks/secured.py --rounds 5 --seconds 2

Three clusters of three members are up; each round asks each of them in turn, in another order, with one generator (load.c, built with
OpenSSL for this). The figure is the ratio within a round, then the median of the rounds; beside it the CPU that members took for a put.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks.beside.clusters import MEMBERS, Load, Member, Shape, compile_c, free_ports, parse_shape, processes, run_generator
from coordctl.authority.files import Authority
from coordnode.client.sync import connect
from tests.processes.members import SOURCE

CLEAR, SECURED, ROLES = "in the clear", "mTLS", "mTLS and roles"
LOAD = "benchmark"  # the user whose certificate the generator shows
WARM_SECONDS = 1.0


class Secured(NamedTuple):
    members: list[Member]
    tls: str  # the generator's folder; "": in the clear

    def load(self, program: Path, shape: Shape, seconds: float) -> tuple[Load, float]:
        """And the microseconds of CPU that all members took for each."""
        os.environ.pop("LOAD_TLS", None)
        if self.tls:
            os.environ["LOAD_TLS"] = self.tls
        before = sum(member.cpu_seconds() for member in self.members)
        endpoints = ",".join(member.address for member in self.members)
        load = run_generator([str(program), endpoints, *map(str, shape), str(seconds), "put"])
        return load, (sum(member.cpu_seconds() for member in self.members) - before) / load.done * 1e6


@contextmanager
def secured(folder: Path, *, tls: bool, roles: bool) -> Iterator[Secured]:
    addresses = [f"127.0.0.1:{port}" for port in free_ports(MEMBERS)]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    init = [sys.executable, "-m", "coordnode", "init"]
    for number, address in enumerate(addresses, 1):
        init += ["--make", f"{number}={folder / f'n{number}'}", "--contact", f"{number}={address}"]
    subprocess.run(init, check=True, stdout=subprocess.DEVNULL, env=environment)
    authority = Authority(str(folder / "ca"))
    authority.init("benchmark")
    with processes() as crew:
        members = []
        for number, address in enumerate(addresses, 1):
            data = folder / f"n{number}"
            run = [sys.executable, "-m", "coordnode", "run", "--folder", str(data), "--listen", address]
            if tls:
                authority.member(f"n{number}", number, 1)
                run += ["--tls", str(folder / "ca" / "members" / f"n{number}")]
            members.append(Member(crew.start(run, folder / f"n{number}.log", env=environment), address, data))
        client, operator = (authority.client(name, 1) if tls else "" for name in (LOAD, "operator"))
        with connect(",".join(addresses), tls=operator, timeout=120) as cluster:
            cluster.kv.put("ready", "")
        if roles:
            ctl = [sys.executable, "-m", "coordctl", "--endpoints", ",".join(addresses), "auth"]
            as_operator = {**environment, "COORD_TLS": operator}
            for words in (["role", "add", "puts", "kv:use"], ["user", "add", LOAD, "--role", "puts"]):
                subprocess.run([*ctl, *words], check=True, stdout=subprocess.DEVNULL, env=as_operator)
        yield Secured(members, client)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--shapes", default="100x1,100x10")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="coordnode-secured-") as folder, ExitStack() as stack:
        program = compile_c(Path(__file__).parent / "load.c", Path(folder), "-DWITH_TLS", "-lz", "-lssl", "-lcrypto")
        clusters = {}
        for name, tls, roles in ((CLEAR, False, False), (SECURED, True, False), (ROLES, True, True)):
            (Path(folder) / name).mkdir()
            clusters[name] = stack.enter_context(secured(Path(folder) / name, tls=tls, roles=roles))
        print("| puts | | a second | share of the one above, round by round | median | µs of members' CPU |\n|---|---|---|---|---|---|")
        for shape in map(parse_shape, wanted.shapes.split(",")):
            for cluster in clusters.values():
                cluster.load(program, shape, WARM_SECONDS)
            found: dict[str, list[tuple[Load, float]]] = {name: [] for name in clusters}
            for number in range(wanted.rounds):
                names = list(clusters)
                for name in names[number % 3 :] + names[: number % 3]:
                    found[name].append(clusters[name].load(program, shape, wanted.seconds))
            above = None
            for name, loads in found.items():
                rates = [load.per_second for load, _ in loads]
                shares = [rate / other for rate, other in zip(rates, above, strict=True)] if above else []
                middle = f"{statistics.median(shares):.2f}" if shares else ""
                cpu = statistics.median([cpu_us for _, cpu_us in loads])
                each = " ".join(f"{share:.2f}" for share in shares)
                print(f"| {shape} | {name} | {statistics.median(rates):,.0f} | {each} | {middle} | {cpu:.0f} |", flush=True)
                above = rates
    return 0


if __name__ == "__main__":
    sys.exit(main())
