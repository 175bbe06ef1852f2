"""What mutual TLS costs, and what roles cost on top of it: puts against the same members in the clear, with certificates, and with roles.

    PYTHONPATH=src:. python benchmarks/secured.py --rounds 5 --seconds 2

Three clusters of three members are up, and one of etcd with TLS where that and h2load are here (its clients show no certificate, as
h2load has none); each round asks each of them in turn, in another order. Our generator is load.c, built with OpenSSL for this. The
figure is the ratio within a round, then the median of the rounds; beside it the CPU that members took for a put.
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

from benchmarks.beside.clusters import MEMBERS, Load, Member, Shape, compile_c, free_ports, missing, parse_shape, processes, run_generator
from benchmarks.beside.etcd import Etcd, etcd
from coordctl.authority.files import Authority
from coordnode.client.sync import connect
from tests.processes.members import SOURCE

CLEAR, SECURED, ROLES, ETCD = "in the clear", "mTLS", "mTLS and roles", "etcd, TLS"
COMPARED = {SECURED: (SECURED, CLEAR), ROLES: (ROLES, SECURED), ETCD: (SECURED, ETCD)}
LOAD = "benchmark"  # the user whose certificate the generator shows
WARM_SECONDS = 1.0


class Secured:
    def __init__(self, members: list[Member], tls: str, program: Path) -> None:
        self.members = members
        self._tls = tls  # the generator's folder; "": in the clear
        self._program = program

    def load(self, shape: Shape, seconds: float) -> Load:
        os.environ.pop("LOAD_TLS", None)
        if self._tls:
            os.environ["LOAD_TLS"] = self._tls
        endpoints = ",".join(member.address for member in self.members)
        return run_generator([str(self._program), endpoints, *map(str, shape), str(seconds), "put"])


def once(cluster: Secured | Etcd, shape: Shape, seconds: float) -> tuple[Load, float]:
    """And the microseconds of CPU that all members took for each."""
    before = sum(member.cpu_seconds() for member in cluster.members)
    load = cluster.load("put", shape, seconds, "leader") if isinstance(cluster, Etcd) else cluster.load(shape, seconds)
    return load, (sum(member.cpu_seconds() for member in cluster.members) - before) / load.done * 1e6


@contextmanager
def secured(folder: Path, program: Path, *, tls: bool, roles: bool) -> Iterator[Secured]:
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
        yield Secured(members, client, program)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--shapes", default="100x1,100x10")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="coordnode-secured-") as folder, ExitStack() as stack:
        program = compile_c(Path(__file__).parent / "load.c", Path(folder), "-DWITH_TLS", "-lz", "-lssl", "-lcrypto")
        clusters: dict[str, Secured | Etcd] = {}
        for name, tls, roles in ((CLEAR, False, False), (SECURED, True, False), (ROLES, True, True)):
            (Path(folder) / name).mkdir()
            clusters[name] = stack.enter_context(secured(Path(folder) / name, program, tls=tls, roles=roles))
        if missing("etcd", "h2load", "openssl"):
            print(f"left out, as not installed here: {', '.join(missing('etcd', 'h2load', 'openssl'))}")
        else:
            (Path(folder) / "etcd").mkdir()
            clusters[ETCD] = stack.enter_context(etcd(Path(folder) / "etcd", tls=True))
        print("| puts | | a second | compared | round by round | median | µs of members' CPU |\n|---|---|---|---|---|---|---|")
        for shape in map(parse_shape, wanted.shapes.split(",")):
            for cluster in clusters.values():
                once(cluster, shape, WARM_SECONDS)
            found: dict[str, list[tuple[Load, float]]] = {name: [] for name in clusters}
            for number in range(wanted.rounds):
                names = list(clusters)
                turn = number % len(names)
                for name in names[turn:] + names[:turn]:
                    found[name].append(once(clusters[name], shape, wanted.seconds))
            rates = {name: [load.per_second for load, _ in loads] for name, loads in found.items()}
            for name, loads in found.items():
                compared, each, middle = "", "", ""
                if name in COMPARED:
                    ours, other = COMPARED[name]
                    shares = [mine / theirs for mine, theirs in zip(rates[ours], rates[other], strict=True)]
                    compared, each = f"{ours} / {other}", " ".join(f"{share:.2f}" for share in shares)
                    middle = f"{statistics.median(shares):.2f}"
                cpu = statistics.median([cpu_us for _, cpu_us in loads])
                line = f"| {shape} | {name} | {statistics.median(rates[name]):,.0f} | {compared} | {each} | {middle} | {cpu:.0f} |"
                print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
