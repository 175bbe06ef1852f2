"""What passes through the embedded proxy on one core, beside no proxy and beside a real toxiproxy, in turn.

    python benchmarks/proxy.py [--rounds 3] [--seconds 2] [--real PATH]

The proxy has a core to itself; loads and what stands behind the proxy share the others. Figures are medians over the rounds. What a
second of the proxy's CPU carries is its own: it does not depend on what else the machine does.
"""

import argparse
import http.client
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
CONNECTIONS = 16
STILL = 5  # times as long as a load is to take: then it stands still


def start(command: list[str], core: int) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent / "src")}
    return subprocess.Popen(["taskset", "-c", str(core), *command], stdout=subprocess.PIPE, text=True, env=environment)


def api(port: int, method: str, path: str, body: object = None) -> object:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, json.dumps(body) if body is not None else None)
    return json.loads(connection.getresponse().read() or b"null")


def proxied(port: int, upstream: int, name: str) -> int:
    found = api(port, "POST", "/proxies", {"name": name, "listen": "127.0.0.1:0", "upstream": f"127.0.0.1:{upstream}"})
    assert isinstance(found, dict)
    return int(found["listen"].rpartition(":")[2])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--real", default=shutil.which("toxiproxy-server") or "")
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    own, others = cores[0], cores[-1]
    with tempfile.TemporaryDirectory() as folder:
        through = f"{folder}/through"
        subprocess.run(["cc", "-O2", "-o", through, str(HERE / "through.c")], check=True)
        running = [start([through, kind], others) for kind in ("echo", "sink")]
        try:
            behind = [int(one.stdout.readline()) for one in running if one.stdout is not None]
            ours = start([sys.executable, "-m", "coordctl.chaos.proxy.server", "--listen", "127.0.0.1:0"], own)
            running.append(ours)
            assert ours.stdout is not None
            ports = {"no proxy": behind}
            api_port = int(ours.stdout.readline().rpartition(":")[2])
            ports["embedded"] = [proxied(api_port, port, f"b{number}") for number, port in enumerate(behind)]
            if options.real:
                running.append(start([options.real, "-port", "18475", "-host", "127.0.0.1"], own))
                time.sleep(1)  # it says nothing that could be waited for
                ports["toxiproxy"] = [proxied(18475, port, f"b{number}") for number, port in enumerate(behind)]
            pids = {"embedded": ours.pid, "toxiproxy": running[-1].pid}
            measure(through, ports, pids, others, options.rounds, options.seconds)
        finally:
            for one in running:
                one.kill()
                one.wait()


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(through: str, ports: dict[str, list[int]], pids: dict[str, int], core: int, rounds: int, seconds: float) -> None:
    def run(name: str, *arguments: object) -> tuple[float, list[float]]:
        """CPU of the proxy, and what the load told."""
        command = ["taskset", "-c", str(core), through, *[str(one) for one in arguments]]
        before = cpu_seconds(pids[name]) if name in pids else 0.0
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=STILL * seconds)
        told = [float(word) for word in done.stdout.split()]
        return (cpu_seconds(pids[name]) - before if name in pids else 0.0), told

    found: dict[str, list[tuple[float, ...]]] = {name: [] for name in ports}
    for _ in range(rounds):
        for name, (echo, sink) in ports.items():
            try:
                bulk_cpu, (size, took) = run(name, "bulk", sink, seconds)
                many_cpu, (many, many_took, _, _) = run(name, "pairs", echo, CONNECTIONS, seconds)
                _, (_, _, p50, p99) = run(name, "pairs", echo, 1, seconds)
            except subprocess.TimeoutExpired:
                print(f"{name} passes nothing any more: this round is without it")
                continue
            own = (size / 1e6 / bulk_cpu, 2 * many / many_cpu) if name in pids else (0.0, 0.0)
            found[name].append((size / took / 1e6, 2 * many / many_took, p50, p99, *own))
    base = statistics.median(one[2] for one in found["no proxy"])
    print(f"{'':<10} {'MB/s':>6} {'64-byte messages/s':>19} {'p50':>8} {'p99':>8} {'added':>8}  a second of its CPU: MB, messages")
    for name, rows in found.items():
        if not rows:
            continue
        rate, messages, p50, p99, own_rate, own_messages = (statistics.median(column) for column in zip(*rows, strict=True))
        own = f"{own_rate:>8.0f} {own_messages:>10,.0f}" if name in pids else ""
        print(f"{name:<10} {rate:>6.0f} {messages:>19,.0f} {p50:>5.0f} us {p99:>5.0f} us {p50 - base:>5.0f} us  {own}")


if __name__ == "__main__":
    main()
