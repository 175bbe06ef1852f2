"""Each page of runbooks/: a real cluster is put into its situation, and every command of the page is typed as it stands there.

What a page shows of a command's output must be printed, in that order; only figures, and which member it is, may differ. "…" on a line
of its own stands for whatever is left out. To write a page's outputs anew: python -m tests.processes.test_runbooks PAGE
"""

import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from coordctl.authority.files import Authority
from coordctl.inventory.template import template
from coordctl.local import processes
from coordctl.local.clusters import Endpoint, LocalCluster, LocalMember
from coordctl.local.clusters import write as write_cluster
from coordctl.logs.evidence import CAUSES
from coordctl.operations import statuses
from coordnode.client.clock import now_ms
from coordnode.client.sync import connect
from coordnode.harm.orders import CLOCK_JUMP, DISK_FULL, ORDERS_FILE, SLOW_FSYNC, Order, boot_mark, encode
from tests.hosts import fleet
from tests.hosts.fleet import Hosts
from tests.hosts.operator import Operator
from tests.processes.local import Home
from tests.processes.members import Cluster
from tests.processes.networks import Networks, why_not
from tests.processes.runner.jobs import until
from tests.upgrade import builds
from tests.upgrade.fleets import killed_at

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "runbooks").glob("*.md"))
BLOCK = re.compile(r"^```\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHIM = ROOT / "benchmarks" / "causes" / "shim.c"
LAGGING_CLIENTS = 8
QUIET_SECONDS = 5.0  # a silence is one when it is four seconds long
QUIET = "\nnothing abnormal\n"
STALL_SECONDS = 100.0  # until a stall of the machine, which is told, too, is longer ago than the minute that a page looks at


def masked(text: str) -> list[str]:
    """Figures, which member it is, and the spaces that make columns of them."""
    text = re.sub(r"\S*/state/coordctl", "STATE", text)
    text = re.sub(r"\bops@[\w.-]+", "ops@HOST", text)
    text = re.sub(r"\b\d+\.\d+\.\d+-[0-9a-f]{10}\b", "VERSION", text)
    text = re.sub(r"\bn\d\b", "M", text)
    text = re.sub(r"^\w{3} \w{3} +\d+ [\d:]+ UTC \d+$|\b\d{4}-\d\d-\d\d [\d:]+Z|\b[0-9a-f]{8}\b", "N", text, flags=re.MULTILINE)
    text = re.sub(r"(?<![\w.])(?<![Ee]xit )[-+]?\d[\d.,:]*(Z| ?(ms|[GMK]iB|B|s|m|h|d|MB|%)\b)?", "N", text)
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def steps(page: str) -> list[tuple[str, str]]:
    found = []
    for block in BLOCK.findall(page):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            found.append((command, output))
    return found


def missing(shown: str, said: str) -> list[str]:
    """What the page shows and was not printed behind what stands before it; where lines are wrapped does not matter."""
    printed = " ".join(masked(said))
    wanting = []
    for piece in filter(None, map(str.strip, " ".join(masked(shown)).split("…"))):
        before, found, after = printed.partition(piece)
        printed = after if found else before
        wanting += [] if found else [piece]
    return wanting


def type_in(home: Home, command: str) -> str:
    programs = home.folder / "bin"
    if not programs.exists():
        programs.mkdir()
        path = programs / "coordctl"
        path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m coordctl "$@"\n')
        path.chmod(0o755)
    environment = {**home.environment, "PATH": f"{programs}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        cwd=home.folder,
        timeout=120,
        check=False,
    )
    home.note()
    return done.stdout.decode()


# --- situations ----------------------------------------------------------------------------------------------------


def up(home: Home, *flags: str, **environment: str) -> None:
    home.ctl("up", *flags, **environment)
    home.ctl("kv", "put", "color", "blue")


def harm(home: Home, member: str, fault: str, amount: float = 0.0) -> None:
    """As `chaos inject` orders it, for as long as the page takes."""
    order = Order(id="page", fault=fault, amount=amount, boot=boot_mark(), deadline_ms=now_ms() + 600_000)
    path = home.state / "local" / member / ORDERS_FILE
    path.with_suffix(".new").write_bytes(encode([order]))
    path.with_suffix(".new").replace(path)


def unharm(home: Home) -> None:
    for path in (home.state / "local").glob(f"*/{ORDERS_FILE}"):
        path.unlink()


def leading(home: Home) -> str:
    return statuses.of_cluster([Endpoint(str(one["address"])) for one in home.members()], 1).leader_name


def member_killed(home: Home) -> None:
    up(home)
    home.kill("n2")
    time.sleep(QUIET_SECONDS)


def member_paused(home: Home) -> None:
    up(home)
    time.sleep(2)
    os.kill(home.pid("n2"), signal.SIGSTOP)
    time.sleep(QUIET_SECONDS + 1)


def quorum_lost(home: Home) -> None:
    up(home)
    home.kill("n1")
    home.kill("n2")
    time.sleep(QUIET_SECONDS)


def client_cannot_connect(home: Home) -> None:
    up(home)
    home.kill("n2")


def certificate_expiring(home: Home) -> None:
    folder = home.folder / ".config" / "coordctl"
    folder.mkdir(parents=True)
    (folder / "payments.toml").write_text(template("payments", "dev", ["127.0.0.1"]))
    home.ctl("ca", "init", "-c", "payments")
    Authority(str(folder / "payments.ca")).member("n1", 7, 6)
    home.ctl("ca", "issue", "ops", "-c", "payments")


def restore_from_backup(home: Home) -> None:
    up(home)
    home.ctl("backup", "create")
    for name in ("n1", "n2", "n3"):
        home.kill(name)
        shutil.rmtree(home.state / "local" / name)


def member_will_not_start(home: Home) -> None:
    up(home)
    for number in range(20):
        home.ctl("kv", "put", "color", f"blue {number}")
    home.ctl("down")
    damaged = [path for path in (home.state / "local" / "n2" / "wal").glob("*.seg") if b"blue 7" in path.read_bytes()]
    for path in damaged:
        path.write_bytes(path.read_bytes().replace(b"blue 7", b"blue X"))
    assert damaged
    home.ctl("up")
    until(lambda: "regained" in home.ctl("logs", "search", "regained", code=None))


def disk_full(home: Home) -> None:
    """Of all members; then there is room again."""
    up(home, "--fault-injection")
    for name in ("n1", "n2", "n3"):
        harm(home, name, DISK_FULL)
    until(lambda: home.run("kv", "put", "color", "blue").returncode == 75)


def slow_commits(home: Home) -> None:
    """Of the one disk that all three share."""
    up(home, **shim(home))
    time.sleep(2)
    control(home, sync_us=120_000)
    with connect([str(one["address"]) for one in home.members()]) as cluster:
        began = time.monotonic()
        while time.monotonic() - began < QUIET_SECONDS:
            cluster.kv.put("color", "blue")


def clock_offset(home: Home) -> None:
    """Of n2 alone."""
    up(home, "--fault-injection")
    time.sleep(2)
    harm(home, "n2", CLOCK_JUMP, -90_000)
    time.sleep(QUIET_SECONDS - 1)


def no_leader(home: Home) -> None:
    """Two of three processes stand still."""
    up(home)
    time.sleep(2)
    for name in ("n1", "n2"):
        os.kill(home.pid(name), signal.SIGSTOP)
    home.heal = lambda: [os.kill(home.pid(name), signal.SIGCONT) for name in ("n1", "n2")]
    time.sleep(QUIET_SECONDS + 1)


def disk_filling(home: Home) -> None:
    up(home)


def session_churn(home: Home) -> None:
    """Clients that come, and go without a word."""
    up(home)
    home.ctl("lock", "acquire", "deploy", "--ttl", "1s")
    until(lambda: "deploy" not in home.ctl("lock", "ls", code=None))
    home.ctl("lock", "acquire", "deploy", "--ttl", "60s")


def member_lagging(home: Home) -> None:
    """Of n2 no sync comes to its end, while the others go on."""
    up(home, "--fault-injection")
    home.ctl("member", "lead", "n3")  # a leader whose disk does nothing is another situation
    harm(home, "n2", SLOW_FSYNC, 600_000)
    home.heal = lambda: (unharm(home), home.kill("n2"))
    members = [Endpoint(str(one["address"])) for one in home.members()]
    with connect([one.address for one in members]) as cluster, ThreadPoolExecutor(LAGGING_CLIENTS) as clients:

        def is_behind() -> bool:
            facts = statuses.of_cluster(members, 1)
            return "BEHIND" in [facts.state(one) for one in facts.members]

        while not is_behind():
            list(clients.map(lambda number: cluster.kv.put(f"k{number}", "x"), range(200)))


def upgrade_stuck(home: Home) -> None:
    """On hosts; whoever drives it is killed while the first member leads."""
    if fleet.why_not():
        pytest.skip(fleet.why_not())
    opened = ExitStack()
    home.closers.append(opened.close)
    hosts = opened.enter_context(Hosts.opened(3, "plain"))
    operator = Operator(home.folder, hosts, "payments")
    operator.trust()
    operator.ctl("deploy")
    build = builds.made(home.folder, "0.2.0")
    flags = ("--bake", "1h", "--accept", "no-backup", "--reason", "0.2.0")
    assert killed_at(operator, "watch it lead", "run", "--to", build, *flags)


def canary_burning(home: Home) -> None:
    up(home)
    home.kill("n3")


def different_settings(home: Home) -> None:
    up(home)
    os.kill(home.pid("n2"), signal.SIGTERM)
    until(lambda: b"UNREACHABLE" in home.run("status").stdout)
    home.ctl("up", COORDNODE_SLOW_COMMIT="70ms")
    time.sleep(QUIET_SECONDS)


def lock_held_for_ever(home: Home) -> None:
    up(home)
    holder = home.start("lock", "run", "deploy", "--note", "nightly", "--", "sleep", "600")
    home.others.append(holder)
    until(lambda: b"deploy" in home.run("lock", "ls").stdout)


def control(home: Home, *, sync_us: int = 0) -> None:
    with (home.folder / "control").open("r+b") as file:
        file.write(struct.pack("<qqq", sync_us, 0, 0))


def split_network(home: Home) -> None:
    """Each member in a network of its own; n2's is cut, without a word to anybody."""
    if why_not():
        pytest.skip(why_not())
    networks = Networks()
    home.closers.append(networks.close)
    hosts = networks.open(3)
    folder = home.state / "local"
    folder.mkdir(parents=True)
    cluster = Cluster(folder, 3, hosts=hosts)
    networks.put_inside(cluster)
    home.closers.insert(0, cluster.end)
    members = []
    for number, one in cluster.members.items():
        one.start("--name", f"n{number}", "--cluster-name", "local")
        assert one.running is not None
        pid = one.running.pid
        address = f"{one.address[0]}:{one.address[1]}"
        members.append(LocalMember(f"n{number}", number, address, pid, processes.started_mark(pid)))
    write_cluster(LocalCluster(str(folder), "local", cluster.cluster, 1, True, tuple(members)))
    cluster.wait_ready()
    cluster.leader()
    time.sleep(3)
    networks.cut(2)
    home.heal = lambda: networks.heal(2)
    time.sleep(QUIET_SECONDS)


def election_storm(home: Home) -> None:
    """Whoever leads is stopped for two seconds, again and again."""
    up(home)
    for _ in range(4):
        leader = until(lambda: leading(home))
        pid = home.pid(leader)
        os.kill(pid, signal.SIGSTOP)
        until(lambda stopped=leader: leading(home) not in ("", stopped))  # type: ignore[misc]
        os.kill(pid, signal.SIGCONT)
        time.sleep(0.5)
    home.ctl("wait", "--for", "healthy", "--timeout", "30s")


def shim(home: Home) -> dict[str, str]:
    """The environment of a member behind the shim that the benchmark of causes uses."""
    library = home.folder / "shim.so"
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", str(library), str(SHIM), "-ldl"], check=True)
    (home.folder / "control").write_bytes(bytes(24))
    return {"LD_PRELOAD": str(library), "CAUSES_CONTROL": str(home.folder / "control")}


SITUATIONS: dict[str, Callable[[Home], None]] = {
    one.__name__.replace("_", "-"): one
    for one in (
        *(
            member_killed,
            member_paused,
            quorum_lost,
            client_cannot_connect,
            certificate_expiring,
            restore_from_backup,
            member_will_not_start,
            disk_full,
        ),
        *(slow_commits, clock_offset, different_settings, lock_held_for_ever, split_network, election_storm),
        *(no_leader, disk_filling, session_churn, canary_burning, member_lagging, upgrade_stuck),
    )
}
# What heals while the page is typed: before the command with this beginning.
HEALS: dict[str, tuple[str, Callable[[Home], object]]] = {
    "disk-full": ("coordctl wait", unharm),
    "slow-commits": ("coordctl logs explain --since 3s", lambda home: (control(home), time.sleep(5))),
    "split-network": ("coordctl wait", lambda home: home.heal()),
    "member-lagging": ("coordctl up", lambda home: home.heal()),
    "no-leader": ("coordctl wait", lambda home: home.heal()),
    "election-storm": ("coordctl timeline --since 3s", lambda home: time.sleep(4)),
    "clock-offset": ("coordctl logs explain --since 3s", lambda home: (unharm(home), time.sleep(6))),
}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_of_the_page_does_what_it_says(page: Path, home: Home) -> None:
    SITUATIONS[page.stem](home)
    typed = steps(page.read_text(encoding="utf-8"))
    assert typed
    for command, shown in typed:
        heal = HEALS.get(page.stem)
        if heal is not None and command.startswith(heal[0]):
            heal[1](home)
        said, ends = type_in(home, command), time.monotonic() + STALL_SECONDS
        while QUIET in shown and missing(shown, said) and time.monotonic() < ends:
            said = type_in(home, command)
        assert missing(shown, said) == [], f"{command}\n{said}"


def test_every_cause_with_a_runbook_has_its_page() -> None:
    pages = [page.name for page in PAGES]
    assert {cause.runbook for cause in CAUSES.values() if cause.runbook} <= set(pages)
    assert {page.stem for page in PAGES} == set(SITUATIONS)


def test_what_a_page_shows_and_was_not_printed_is_noticed() -> None:
    assert missing("a 1\n…\nc n2\n", "a 7\nb\nc n3\n") == []
    assert missing("a 1\n…\nc n2\n", "c n2\na 1\n") == ["c M"]
    assert missing("a 1 c n2\n", "a 7\n   c n3\n") == []
    assert missing("exit 1\n", "exit 2\n") == ["exit 1"]


def write(name: str) -> None:
    """The page with what its commands print now."""
    page = ROOT / "runbooks" / f"{name}.md"
    folder = Path(tempfile.mkdtemp())
    home = Home(folder)
    try:
        SITUATIONS[name](home)

        def filled(block: "re.Match[str]") -> str:
            parts = []
            for command, _ in steps(block[0]):
                heal = HEALS.get(name)
                if heal is not None and command.startswith(heal[0]):
                    heal[1](home)
                said = type_in(home, command).replace(str(folder), "~")
                parts.append(f"$ {command}\n" + "".join(f"{line.rstrip()}\n" for line in said.splitlines()))
            return f"```\n{''.join(parts)}```"

        page.write_text(BLOCK.sub(filled, page.read_text(encoding="utf-8")), encoding="utf-8")
    finally:
        home.close()
        shutil.rmtree(folder)


if __name__ == "__main__":
    for wanted in sys.argv[1:]:
        write(wanted)
