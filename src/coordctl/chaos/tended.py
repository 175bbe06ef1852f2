"""The member of another engine that somebody else deployed on this host, and runs: how it is found, kept down, and started again.

What the inventory says of it stands in a file here, for whoever heals when nobody asks any more.
"""

import math
import os
import subprocess
import time
from collections.abc import Collection
from contextlib import suppress

import msgspec

from coordctl.chaos import sockets
from coordctl.chaos.faults import FILL_DISK, KILLS, SIGNALLED
from coordctl.chaos.ledger import Entry, Ledger, write_durably
from coordctl.local import fleet, processes
from coordctl.local.clusters import LocalCluster, LocalMember, host_and_port
from coordctl.local.fleet import Failed
from coordnode.errors import UnknownFormat

FILE = "engine.json"
FORMAT = 1
START_LOG = "start.log"  # what a command says that starts it
START_SECONDS_MAX = 20.0
ASK_SECONDS = 10.0
PAUSE_SECONDS = 0.05
CLOCKS_SECONDS = 1.0  # by which those of processes and of files may differ
RUNTIME = "/run/systemd/system"  # what is there is gone with a reboot
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Neighbour(msgspec.Struct, frozen=True):
    name: str
    address: str
    peer_ports: tuple[int, ...]


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What the inventory says."""

    format: int = FORMAT
    engine: str
    cluster: str
    name: str  # of the member that is here
    members: tuple[Neighbour, ...]
    unit: str
    start: str
    pid_file: str
    data: str
    log: str


def tell(folder: str, told: Told) -> None:
    """Before anything is done here, and again where the inventory says something else by now."""
    path = os.path.join(folder, FILE)
    content = msgspec.json.encode(told)
    with suppress(FileNotFoundError), open(path, "rb") as file:
        if file.read() == content:
            return
    os.makedirs(folder, mode=0o755, exist_ok=True)
    write_durably(path, content)


class Tended:
    links_end_here = True
    how_harmed = ""  # its disks and clocks are not

    def __init__(self, folder: str) -> None:
        self._folder = folder
        path = os.path.join(folder, FILE)
        with open(path, "rb") as file:
            content = file.read()
        try:
            self._told = msgspec.json.decode(content, type=Told)
        except msgspec.DecodeError as error:
            raise UnknownFormat(f"{path} is not what chaos writes ({error}): use the coordctl that wrote it, or remove it") from None

    # --- what can be done to it ------------------------------------------------------------------------------------

    def lacks(self, fault: str) -> str:
        name, told = self._told.name, self._told
        if fault in KILLS and not (told.unit or told.start):
            return f"nothing says what starts {name} again: give unit or start below [run] of the inventory"
        if fault in KILLS and told.unit and (os.geteuid() != 0 or not os.path.isdir(RUNTIME)):
            return f"{told.unit} of {name} is started by root, with systemd: have `sudo = true` below [ssh] of the inventory"
        pid = self._pid() if fault in SIGNALLED else 0
        if fault in SIGNALLED and not pid:
            return f"no process of {name} is seen, {self._where_looked()}"
        if pid and os.geteuid() not in (0, os.stat(f"/proc/{pid}").st_uid):
            return f"process {pid} of {name} is another user's: have `sudo = true` below [ssh] of the inventory"
        return self._lacks_room() if fault == FILL_DISK else ""

    def _where_looked(self) -> str:
        if self._told.pid_file:
            others = f"none that ran when it was written, or not the one that listens at {self._own().address}"
            return f"and {self._told.pid_file} names {others}: correct it, or leave out pid-file below [run] of the inventory"
        return f"as nobody listens at {self._own().address}: is it started, and may {os.environ.get('USER', 'this user')} see it?"

    def _lacks_room(self) -> str:
        data, name = self._told.data, self._told.name
        if not data:
            return f"nothing says where {name} stores: give data below [run] of the inventory"
        if not os.path.isdir(data):
            return f"{data} of {name} is no folder: correct data below [run] of the inventory"
        if os.stat(data).st_dev == os.stat("/").st_dev:
            return f"{data} of {name} is on the host's own file system, and all that runs there would suffer: it needs one of its own"
        return ""

    # --- what there is ---------------------------------------------------------------------------------------------

    def cluster(self) -> LocalCluster:
        told, members = self._told, []
        for number, one in enumerate(self._told.members, 1):
            pid = self._pid() if one.name == told.name else 0
            members.append(LocalMember(one.name, number, one.address, pid, processes.started_mark(pid) if pid else "", one.peer_ports))
        return LocalCluster(self._folder, told.cluster, 0, 0, True, tuple(members), engine=told.engine)

    def _own(self) -> Neighbour:
        return next(one for one in self._told.members if one.name == self._told.name)

    def _pid(self) -> int:
        """0: it does not run. Who listens is the member, also where its unit's first process is something around it."""
        listening = sockets.listener(*host_and_port(self._own().address))
        if self._told.pid_file:
            return _written(self._told.pid_file, listening)
        return listening or self._main_pid()

    def _main_pid(self) -> int:
        """Of one that starts, and does not listen yet."""
        return int(self._shown("MainPID")["MainPID"] or 0) if self._told.unit and os.path.isdir(RUNTIME) else 0

    def here(self) -> Collection[str]:
        return [self._told.name]

    def folder(self, name: str) -> str:
        return self._told.data

    def logs(self) -> dict[str, str]:
        """None in which a bug of ours would be told."""
        return {}

    # --- kept down, and started again ------------------------------------------------------------------------------

    def keep_down(self, entry: Entry) -> None:
        """Its unit waits before it starts; without one nobody is expected to start it."""
        if self._told.unit:
            path = self._waiting_path(entry)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            write_durably(path, waiting(path, entry.deadline_ms).encode())
            self._systemctl("daemon-reload")

    def _waiting_path(self, entry: Entry) -> str:
        return os.path.join(RUNTIME, f"{self._service}.d", f"coordctl-chaos-{entry.id}.conf")

    @property
    def _service(self) -> str:
        return self._told.unit if self._told.unit.endswith(".service") else f"{self._told.unit}.service"

    def start(self, ledger: Ledger, entry: Entry) -> None:
        if self._told.unit:
            self._let_wait_no_more(entry)
            self._start_unit()
        elif self._told.start:
            self._start_by_command(ledger, entry)

    def _let_wait_no_more(self, entry: Entry) -> None:
        path = self._waiting_path(entry)
        for one in (path, path + ".tmp"):
            with suppress(FileNotFoundError):
                os.unlink(one)
        with suppress(OSError):  # another fault's, or somebody's own, are in it still
            os.rmdir(os.path.dirname(path))
        if path in self._shown("DropInPaths")["DropInPaths"].split():
            self._systemctl("daemon-reload")

    def _start_unit(self) -> None:
        """Where systemd does so itself, it is left to that; and one that its operator stopped stays so."""
        shown = self._shown("ActiveState", "SubState")
        if shown["ActiveState"] == "failed":
            self._systemctl("reset-failed", self._service)
            self._systemctl("start", "--no-block", self._service)
        elif shown["SubState"] == "exited" and not self._pid():  # a script that started it, and is done
            self._systemctl("restart", "--no-block", self._service)

    def _start_by_command(self, ledger: Ledger, entry: Entry) -> None:
        """One at a time, until its process is seen: two that heal the same start it once."""
        until = time.monotonic() + START_SECONDS_MAX
        with fleet.locked(self._folder, until, wakes=True):
            if self._pid() or ledger.find(entry) is None or any(one.id != entry.id for one in ledger.keeping_down(entry.member)):
                return
            with open(os.path.join(ledger.folder, START_LOG), "ab") as log:
                begun = subprocess.Popen(
                    ["/bin/sh", "-c", self._told.start],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd="/",
                    env={"PATH": PATH, "HOME": os.path.expanduser("~")},
                    start_new_session=True,
                )
            while not self._pid() and not begun.poll() and time.monotonic() < until:
                time.sleep(PAUSE_SECONDS)
            code = begun.poll()
            processes.let_go(begun)
            if code:
                raise Failed(f"what starts {self._told.name} ended with {code}: see {log.name}")

    def is_stopped(self, name: str) -> bool:
        return bool(self._told.unit) and self._shown("ActiveState")["ActiveState"] == "inactive"

    def _shown(self, *properties: str) -> dict[str, str]:
        wanted = [f"--property={one}" for one in properties]
        done = subprocess.run(
            ["systemctl", "show", self._service, *wanted], capture_output=True, text=True, timeout=ASK_SECONDS, check=False
        )
        found = dict(line.partition("=")[::2] for line in done.stdout.splitlines())
        return {one: found.get(one, "") for one in properties}

    def _systemctl(self, *words: str) -> None:
        done = subprocess.run(["systemctl", *words], capture_output=True, text=True, timeout=ASK_SECONDS, check=False)
        if done.returncode:
            said = (done.stderr.strip().splitlines() or [f"code {done.returncode}"])[0]
            raise Failed(f"systemctl {' '.join(words)}: {said}")


def waiting(path: str, deadline_ms: int) -> str:
    """Part of a unit: it starts again whatever it is that ended it, but only once this file is gone, or on the clock of /proc/uptime."""
    still = f'[ -e {path} ] && read -r up _ < /proc/uptime && [ "$${{up%%.*}}" -lt {math.ceil(deadline_ms / 1000)} ]'
    return (
        "# Of `coordctl chaos`, until it heals what it broke.\n"
        "[Unit]\nStartLimitIntervalSec=0\n"
        "[Service]\nRestart=always\nRestartSec=100ms\nTimeoutStartSec=infinity\n"
        f"ExecStartPre=-+/bin/sh -c 'while {still}; do sleep 0.1; done'\n"
    )


def _written(path: str, listening: int) -> int:
    """By whoever started it. The file stays when its process is gone, and after a reboot: any other may have that pid by now."""
    with suppress(OSError, ValueError, IndexError), open(path, encoding="ascii") as file:
        pid, written = int(file.read().split()[0]), os.fstat(file.fileno()).st_mtime
        if listening:
            return pid if pid == listening else 0
        is_older = processes.started_mark(pid) and time.time() - processes.age_seconds(pid) <= written + CLOCKS_SECONDS
        return pid if is_older else 0
    return 0
