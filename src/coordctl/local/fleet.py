"""One local cluster's life: made once, started, looked at, ended, removed. One command at a time works on it."""

import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from coordctl.local import foreign, locks, processes, seen
from coordctl.local.clusters import COORDNODE, LocalCluster, LocalMember, forget_led, write
from coordnode.errors import BadRequest, CoordError, Overloaded

LOCK_FILE = "lock"  # of the cluster's folder, and of a member's own
LINKS_FILE = "links.json"  # in it: which proxy stands in which link
CHAOS_FOLDER = "chaos"  # what is broken on purpose, as long as it is
PORTS_VARIABLE = "COORD_LOCAL_PORTS"
PORT_MIN, PORT_MAX = 20_000, 31_999  # below the ports that systems hand out to outgoing connections
ID_MAX = 2**53 - 1
MEMBERS_MAX = 9
HOLDS_SECONDS_MAX = 10.0  # from being started to having its folder
HOLDS_PAUSE_SECONDS = 0.01


class Failed(CoordError):
    """Something on this machine did not work; nothing is half-done that the next `up` or `down` does not finish."""

    definite = True


class Started(NamedTuple):
    member: LocalMember
    process: "subprocess.Popen[bytes]"


def log_path(cluster: LocalCluster, member: LocalMember) -> str:
    return os.path.join(cluster.folder, f"{member.name}.log")


def data_folder(cluster: LocalCluster, member: LocalMember) -> str:
    return os.path.join(cluster.folder, member.name)


@contextmanager
def locked(folder: str, until: float, *, wakes: bool = False) -> Iterator[None]:
    """`wakes`: a command that is suspended with it goes on, as something is to be healed."""
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        descriptor = os.open(os.path.join(folder, LOCK_FILE), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Failed(f"{folder} cannot be used: {error.strerror}; name another folder with --dir") from None
    wakes_at = time.monotonic() + locks.WAKES_SECONDS
    try:
        while not locks.take(descriptor):
            if time.monotonic() >= until:
                raise Overloaded(f"another coordctl is at work on {folder}; try again when it is done")
            if wakes and time.monotonic() >= wakes_at:
                locks.wake(descriptor)
            time.sleep(locks.PAUSE_SECONDS)
        yield
    finally:
        os.close(descriptor)


def plan(folder: str, name: str, members: int, engine: str = COORDNODE) -> LocalCluster:
    """A new cluster; written down before anything is made, so that making can be repeated."""
    cluster = drawn(folder, name, members, engine)
    write(cluster)
    return cluster


def drawn(folder: str, name: str, members: int, engine: str = COORDNODE) -> LocalCluster:
    """Its ids and free ports."""
    chance = random.SystemRandom()
    ids = [new_id() for _ in range(members)]
    among = foreign.PEER_PORTS.get(engine, 0)
    ports = free_ports(members * (1 + among), chance)
    made = []
    for number in range(1, members + 1):
        peers = tuple(ports[members + (number - 1) * among : members + number * among])
        made.append(LocalMember(f"n{number}", ids[number - 1], f"127.0.0.1:{ports[number - 1]}", peers=peers))
    return LocalCluster(folder, name, new_id(), int(time.time()), False, tuple(made), engine=engine)


def new_id() -> int:
    return random.SystemRandom().randint(1, ID_MAX)


def port_range() -> range:
    """Who draws beside others, and wants nobody to get the port of a member that is down just now, gives each a range of its own."""
    said = os.environ.get(PORTS_VARIABLE, "") or f"{PORT_MIN}-{PORT_MAX}"
    first, _, last = said.partition("-")
    if not (first.isdecimal() and last.isdecimal() and 0 < int(first) < int(last) < 65_536):
        raise BadRequest(f"{PORTS_VARIABLE}={said}: give the first and the last port, such as {PORT_MIN}-{PORT_MAX}")
    return range(int(first), int(last) + 1)


def free_ports(count: int, chance: random.Random) -> list[int]:
    ports: list[int] = []
    there = port_range()
    for port in chance.sample(there, min(1_000, len(there))):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        ports.append(port)
        if len(ports) == count:
            return ports
    raise Failed(f"{count} free ports from {there[0]} to {there[-1]} were not found on this machine: stop something that listens there")


def make(cluster: LocalCluster, *, digest: int = 0) -> LocalCluster:
    """The folders of its members. Repeated until it succeeded once, and never again: a lost folder is a lost voter. `digest`: of the
    state of the archive that they begin with."""
    if cluster.is_made:
        return cluster
    if cluster.engine != COORDNODE:
        foreign.make(cluster)
        made = cluster._replace(is_made=True)
        write(made)
        return made
    arguments = ["init", "--cluster", str(cluster.cluster), "--created", str(cluster.created)]
    for member in cluster.members:
        arguments += ["--make", f"{member.member}={data_folder(cluster, member)}", "--contact", f"{member.member}={member.address}"]
    if cluster.archive:
        arguments += ["--from", cluster.archive]
    path = os.path.join(cluster.folder, "init.log")
    with processes.start(arguments, path, cluster.folder) as process:
        code = process.wait()
    if code:
        raise Failed(f"the members' folders could not be made: {_last_words(path)}")
    if digest and f'"digest": {digest},' not in _last_words(path):
        raise Failed(f"the members' folders hold another state than the rehearsal came to: {_last_words(path)}")
    os.unlink(path)
    made = cluster._replace(is_made=True, archive="", is_recovery=False)
    write(made)
    return made


def make_joiner(cluster: LocalCluster, member: LocalMember) -> None:
    """The folder of one that the running cluster takes in: it gets its state from the leader."""
    arguments = ["init", "--join", "--cluster", str(cluster.cluster), "--make", f"{member.member}={data_folder(cluster, member)}"]
    path = log_path(cluster, member)
    with processes.start(arguments, path, cluster.folder) as process:
        code = process.wait()
    if code:
        raise Failed(f"the folder of {member.name} could not be made: {_last_words(path)}")


def start(cluster: LocalCluster, kept_down: Collection[str] = ()) -> tuple[LocalCluster, list[Started]]:
    """Starts the members that do not run: all of them, or none. `kept_down`: those that are not to run."""
    started: list[Started] = []
    try:
        return _start_all(cluster, started, kept_down), started
    except BaseException:
        for one in started:
            one.process.kill()
            one.process.wait()
        raise


def _start_all(cluster: LocalCluster, started: list[Started], kept_down: Collection[str]) -> LocalCluster:
    members: list[LocalMember] = []
    for member in cluster.members:
        if member.name not in kept_down and not processes.is_running(member.pid, member.started):
            started.append(start_one(cluster, member))
            member = started[-1].member
        members.append(member)
    return cluster._replace(members=tuple(members))


def start_one(cluster: LocalCluster, member: LocalMember) -> Started:
    path = log_path(cluster, member)
    if cluster.engine != COORDNODE:
        process = processes.start_program(foreign.command(cluster, member), path, cluster.folder)
        return Started(member._replace(pid=process.pid, started=processes.started_mark(process.pid)), process)
    arguments = ["run", "--folder", data_folder(cluster, member), "--listen", member.address]
    arguments += ["--name", member.name, "--cluster-name", cluster.name, "--log-file", path]  # the member bounds it
    if cluster.replaces:
        arguments += ["--replaces", ",".join(map(str, cluster.replaces))]
    process = processes.start([*arguments, *_detour(cluster, member)], path, cluster.folder)
    return Started(member._replace(pid=process.pid, started=processes.started_mark(process.pid)), process)


def _detour(cluster: LocalCluster, member: LocalMember) -> list[str]:
    """It may be harmed, and its links to the others lead through proxies, as long as these are installed."""
    import json

    harmed = ["--fault-injection"] if cluster.fault_injection else []
    try:
        with open(os.path.join(cluster.folder, CHAOS_FOLDER, LINKS_FILE), encoding="utf-8") as file:
            found = json.load(file)
    except FileNotFoundError:
        return harmed
    dial = found["dial"].get(member.name)  # a member that came later reaches the others directly
    return ["--fault-injection", *(["--dial", dial] if dial else [])] if found["is_used"] else harmed


def holder(cluster: LocalCluster, member: LocalMember) -> LocalMember | None:
    """The process that has the member's folder, although nobody wrote it down: whoever started it was killed before that."""
    try:
        with open(os.path.join(data_folder(cluster, member), LOCK_FILE), encoding="ascii") as file:
            pid = int(file.read(32))
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().split(b"\0")
    except (OSError, ValueError):
        return None
    started = processes.started_mark(pid)
    return member._replace(pid=pid, started=started) if started and os.fsencode(data_folder(cluster, member)) in words else None


def whoever_has_it(cluster: LocalCluster, started: Started) -> LocalMember:
    """The process that has the member's folder in the end: the one that was started now, or one that was a moment faster, whose starter was
    killed before it had it, so that `holder` could not know."""
    until = time.monotonic() + HOLDS_SECONDS_MAX
    while cluster.engine == COORDNODE and time.monotonic() < until:
        has_ended = started.process.poll() is not None
        found = holder(cluster, started.member)
        if has_ended or (found is not None and found.pid == started.process.pid):
            return found or started.member
        time.sleep(HOLDS_PAUSE_SECONDS)
    return started.member


def explain_end(cluster: LocalCluster, started: Started) -> Failed:
    """Of a member that ended right after it was started."""
    path = log_path(cluster, started.member)
    words = processes.tail(path, 4)
    words = [line for line in words if not line.startswith("{")] or words  # why it ended, in words; events only where it had none left
    shown = "".join(f"\n          {line[:300]}" for line in words)
    return Failed(f"{started.member.name} ended with code {started.process.returncode}; the end of its log, {path}:{shown}")


def _last_words(path: str) -> str:
    return " ".join(processes.tail(path, 2)) or f"see {path}"


def end(cluster: LocalCluster, until: float) -> tuple[int, list[LocalMember]]:
    """TERM to all that run. (how many ended, which are still there)"""
    running = [member for member in cluster.members if processes.send(member.pid, member.started, signal.SIGTERM)]
    left = [member for member in running if not processes.wait_gone(member.pid, member.started, until - time.monotonic())]
    gone = [member._replace(pid=0, started="") if member not in left else member for member in cluster.members]
    write(cluster._replace(members=tuple(gone)))
    return len(running) - len(left), left


def remove(cluster: LocalCluster) -> list[str]:
    """All that was made; returns what else is in the folder, and stays."""
    for member in cluster.members:
        if os.path.isdir(data_folder(cluster, member)):
            shutil.rmtree(data_folder(cluster, member))
        for path in (log_path(cluster, member), log_path(cluster, member) + ".1"):
            if os.path.exists(path):
                os.unlink(path)
    shutil.rmtree(os.path.join(cluster.folder, CHAOS_FOLDER), ignore_errors=True)
    for name in ("cluster.json", "cluster.json.tmp", "init.log", LOCK_FILE):
        path = os.path.join(cluster.folder, name)
        if os.path.exists(path):
            os.unlink(path)
    seen.forget(cluster.cluster)
    forget_led(cluster.endpoints())
    left = sorted(os.listdir(cluster.folder))
    if not left:
        os.rmdir(cluster.folder)
    return left
