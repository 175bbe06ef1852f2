"""Hosts in namespaces of this machine, on a bridge of their own, without a route out. Needs root.

Each has its own network, hostname, process ids and files: an overlay of this machine's, where our checkout, interpreter and packages
are masked. All of it has names that tell whose it is; what a killed run left behind is removed by the next one.
"""

import fcntl
import itertools
import json
import os
import re
import shutil
import signal
import site
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Literal

from coordctl.local import processes

ROOT = Path(__file__).resolve().parents[2]
BOOT = Path(__file__).with_name("boot.sh")
NEEDED = ("ip", "unshare", "nsenter", "setpriv", "ssh-keygen", "/usr/sbin/sshd", "useradd", "sudo", "cron")
PLACE = Path("/tmp")
OURS = re.compile(r"(cch([0-9]+)[c-m])(?:b|[vn][0-9]+)?")  # pid of the run, which of its fleets, and what of it
SECONDS_MAX = 60.0
USER = "ops"

TURNS = "cdefghijklm"
_turns = itertools.cycle(range(len(TURNS)))

Init = Literal["systemd", "plain"]

SSHD = """\
Port 22
HostKey /etc/ssh/ssh_host_ed25519_key
AuthorizedKeysFile /etc/ssh/authorized/%u
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
PermitRootLogin prohibit-password
MaxStartups 100
Subsystem sftp internal-sftp
"""


@cache
def why_not() -> str:
    """Empty: such hosts can be had here."""
    if os.geteuid() != 0:
        return "hosts in namespaces need root"
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if missing:
        return f"there is no {', '.join(missing)} here"
    try:
        with Hosts.opened(1, "plain"):
            return ""
    except (subprocess.CalledProcessError, OSError) as error:  # a host that was made and does not come up is a failure
        return f"hosts in namespaces cannot be made here: {getattr(error, 'stderr', None) or error}"


@cache
def has_systemd() -> bool:
    return os.path.exists("/lib/systemd/systemd")


class Hosts:
    """n1, n2 … : addresses 10.X.Y.11, .12 …; their operator is this machine."""

    def __init__(self, count: int, init: Init) -> None:
        self.init: Init = init
        self.count = count
        # Names of links have 15 characters at most. One that is open longer than the ten after it keeps its own.
        marks = ((turn, f"cch{os.getpid()}{TURNS[turn]}") for turn in itertools.islice(_turns, len(TURNS)))
        turn, self.mark = next((turn, mark) for turn, mark in marks if not (PLACE / mark).exists())
        number = os.getpid() * 11 + turn
        self.prefix = f"10.{150 + number % 50}.{number // 50 % 250}"
        self.folder = PLACE / self.mark
        self.key = str(self.folder / "key")
        self._booted: dict[int, subprocess.Popen[bytes]] = {}

    @classmethod
    @contextmanager
    def opened(cls, count: int, init: Init) -> Iterator["Hosts"]:
        sweep()
        hosts = cls(count, init)
        try:
            hosts._open()
            yield hosts
        finally:
            hosts.close()

    def address(self, number: int) -> str:
        return f"{self.prefix}.{10 + number}"

    def namespace(self, number: int) -> str:
        return f"{self.mark}n{number}"

    # --- making them -----------------------------------------------------------------------------------------------

    def _open(self) -> None:
        self.folder.mkdir()
        _do("mount", "-t", "tmpfs", "-o", "mode=755,size=2g", self.mark, str(self.folder))
        (self.folder / "owner").write_text(processes.started_mark(os.getpid()))
        _do("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.key)
        _do("ip", "link", "add", f"{self.mark}b", "type", "bridge")
        _do("ip", "addr", "add", f"{self.prefix}.1/24", "dev", f"{self.mark}b")
        _do("ip", "link", "set", f"{self.mark}b", "up")
        for number in range(1, self.count + 1):
            self._wire(number)
            self._furnish(number)
            self.boot(number)
        for number in range(1, self.count + 1):
            self.wait_ssh(number)

    def _wire(self, number: int) -> None:
        space, link = self.namespace(number), f"{self.mark}v{number}"
        _do("ip", "netns", "add", space)
        _do("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", space)
        _do("ip", "link", "set", link, "master", f"{self.mark}b", "up")
        _do("ip", "-n", space, "addr", "add", f"{self.address(number)}/24", "dev", "eth0")
        for device in ("eth0", "lo"):
            _do("ip", "-n", space, "link", "set", device, "up")

    def _furnish(self, number: int) -> None:
        base = self.folder / f"n{number}"
        upper = base / "upper"
        for path in (upper / "etc/ssh/authorized", upper / "etc/systemd/system", upper / "etc/sudoers.d", base / "work", base / "root"):
            path.mkdir(parents=True)
        etc = upper / "etc"
        (etc / "hostname").write_text(f"n{number}\n")
        names = "".join(f"{self.address(other)} n{other}\n" for other in range(1, self.count + 1))
        (etc / "hosts").write_text(f"127.0.0.1 localhost\n{names}")
        (etc / "resolv.conf").write_text("")
        _do("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"n{number}", "-f", str(etc / "ssh/ssh_host_ed25519_key"))
        (etc / "ssh/sshd_config").write_text(SSHD)
        for user in ("root", USER):
            shutil.copy(f"{self.key}.pub", etc / "ssh/authorized" / user)
            (etc / "ssh/authorized" / user).chmod(0o644)
        sudoers = etc / "sudoers.d" / USER
        sudoers.write_text(f"{USER} ALL=(root) NOPASSWD: ALL\n")
        sudoers.chmod(0o440)
        _add_user(etc)
        self._quieten(etc)

    def _quieten(self, etc: Path) -> None:
        """Of this machine's own services a host starts none but sshd and cron."""
        for wants in Path("/etc/systemd/system").glob("*.wants"):
            here = etc / "systemd/system" / wants.name
            here.mkdir()
            os.setxattr(here, "trusted.overlay.opaque", b"y")
        wanted = etc / "systemd/system/multi-user.target.wants"
        wanted.mkdir(exist_ok=True)
        (wanted / "ssh.service").symlink_to("/lib/systemd/system/ssh.service")
        (etc / "systemd/system/default.target").symlink_to("/lib/systemd/system/multi-user.target")
        for unit in ("getty.target", "systemd-logind.service", "systemd-update-utmp.service", "systemd-networkd.service"):
            (etc / "systemd/system" / unit).symlink_to("/dev/null")

    # --- their lives -----------------------------------------------------------------------------------------------

    def boot(self, number: int) -> None:
        assert number not in self._booted
        masked = [str(ROOT), sys.prefix, sys.base_prefix, *site.getsitepackages(), "/root", "/work", "/usr/lib/python3/dist-packages"]
        masked += [str(path) for path in Path("/usr/local/lib").glob("python3*")]
        kept = ("/usr", "/", "/usr/lib/python3")
        inside = [place for place in dict.fromkeys(masked) if place not in kept and not place.startswith(("/usr/lib/python3.", "/tmp"))]
        host = self.folder / f"n{number}"
        shares = ["--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child"]
        if self.init == "systemd":
            shares.append("--cgroup")
        command = ["setpriv", "--pdeathsig", "KILL", "ip", "netns", "exec", self.namespace(number), "unshare", *shares]
        command += [str(BOOT), str(host), f"n{number}", self.init, *inside]
        with open(host / "boot.log", "ab") as log:
            self._booted[number] = subprocess.Popen(
                ["sh", "-c", 'for group; do [ "$group" = -- ] && break; echo $$ > "$group"; shift; done; shift; exec "$@"', "boot"]
                + [f"{group}/cgroup.procs" for group in self._make_groups(number)]
                + ["--", *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _make_groups(self, number: int) -> list[str]:
        if self.init != "systemd":
            return []
        groups = [f"{root}/{self.mark}n{number}" for root in _group_roots()]
        for group in groups:
            os.makedirs(group, exist_ok=True)
        return groups

    def halt(self, number: int) -> None:
        """The power is gone: its first process is killed, and with it all there is."""
        process = self._booted.pop(number)
        process.kill()
        process.wait(SECONDS_MAX)
        _wait(lambda: not _pids_in(self.namespace(number)), f"the processes of n{number} to be gone")
        _remove_groups(f"{self.mark}n{number}")

    def reboot(self, number: int) -> None:
        self.halt(number)
        self.boot(number)
        self.wait_ssh(number)

    def wait_ssh(self, number: int) -> None:
        def answers() -> bool:
            assert self._booted[number].poll() is None, (self.folder / f"n{number}" / "boot.log").read_text()
            with suppress(OSError), socket.create_connection((self.address(number), 22), 1) as connection:
                return connection.recv(4) == b"SSH-"
            return False

        _wait(answers, f"sshd of n{number}")

    def run(self, number: int, *command: str, check: bool = True, stdin: str = "") -> str:
        """As root there, not through SSH."""
        pid = Path(f"/proc/{self._booted[number].pid}/task/{self._booted[number].pid}/children").read_text().split()[0]
        done = subprocess.run(
            ["nsenter", "-t", pid, "-a", "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/", *command],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS_MAX,
        )
        assert not check or done.returncode == 0, (command, done.returncode, done.stdout, done.stderr)
        return done.stdout

    def cut(self, number: int) -> None:
        _do("ip", "link", "set", f"{self.mark}v{number}", "down")

    def heal(self, number: int) -> None:
        _do("ip", "link", "set", f"{self.mark}v{number}", "up")

    def close(self) -> None:
        for process in self._booted.values():
            process.kill()
            process.wait(SECONDS_MAX)
        self._booted.clear()
        remove(self.mark)


# --- leftovers -----------------------------------------------------------------------------------------------------


@contextmanager
def sweeping() -> Iterator[None]:
    """Of several runs at once one sweeps: what another is just taking away cannot be taken away a second time."""
    with open(PLACE / "coordctl-hosts.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def sweep() -> None:
    """What runs that are no more left behind."""
    with sweeping():
        remove_leftovers()


def remove_leftovers() -> None:
    """For whoever is `sweeping`."""
    for mark in leftovers():
        remove(mark)


def leftovers() -> list[str]:
    found = {match[1] for match in map(OURS.fullmatch, _names()) if match}
    return sorted(mark for mark in found if not _is_alive(mark))


def _names() -> list[str]:
    links = json.loads(_do("ip", "-j", "link"))
    spaces = json.loads(_do("ip", "-j", "netns") or "[]")
    groups = [path.name for root in _group_roots() for path in Path(root).glob("cch*")]
    return [one["ifname"] for one in links] + [one["name"] for one in spaces] + groups + [path.name for path in PLACE.glob("cch*")]


def _is_alive(mark: str) -> bool:
    match = OURS.fullmatch(mark)
    assert match is not None
    try:
        written = (PLACE / mark / "owner").read_text()
    except OSError:  # not written yet, if whoever is to write it is there
        return os.path.exists(f"/proc/{match[2]}")
    return processes.is_running(int(match[2]), written)


def remove(mark: str) -> None:
    for space in [one["name"] for one in json.loads(_do("ip", "-j", "netns") or "[]") if one["name"].startswith(f"{mark}n")]:
        for pid in _pids_in(space):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        _wait(lambda space=space: not _pids_in(space), f"the processes in {space} to be gone")  # type: ignore[misc]
        _do("ip", "netns", "del", space)
    for link in json.loads(_do("ip", "-j", "link")):
        match = OURS.fullmatch(link["ifname"])
        if match and match[1] == mark:
            subprocess.run(
                ["ip", "link", "del", link["ifname"]], check=False, capture_output=True
            )  # one end of a pair takes the other along
    for root in _group_roots():
        for path in Path(root).glob(f"{mark}n*"):
            _remove_groups(path.name)
    folder = PLACE / mark
    if folder.exists():
        while os.path.ismount(folder):
            _do("umount", "-l", str(folder))
        folder.rmdir()


def _pids_in(space: str) -> list[int]:
    return [int(pid) for pid in _do("ip", "netns", "pids", space).split()]


def _group_roots() -> list[str]:
    if os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
        return ["/sys/fs/cgroup"]
    return [root for root in ("/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified") if os.path.isdir(root)]


def _remove_groups(name: str) -> None:
    for root in _group_roots():
        for folder, _, _ in os.walk(f"{root}/{name}", topdown=False):
            _wait(lambda folder=folder: _removed(folder), f"{folder} to be empty")  # type: ignore[misc]


def _removed(folder: str) -> bool:
    with suppress(FileNotFoundError):
        try:
            os.rmdir(folder)
        except OSError:
            return False
    return True


def _add_user(etc: Path) -> None:
    for name, line in (
        ("passwd", f"{USER}:x:61000:61000::/home/{USER}:/bin/sh\n"),
        ("shadow", f"{USER}:*:19000:0:99999:7:::\n"),
        ("group", f"{USER}:x:61000:\n"),
    ):
        shutil.copy2(f"/etc/{name}", etc / name)
        with open(etc / name, "a", encoding="utf-8") as file:
            file.write(line)
    home = etc.parent / "home" / USER
    home.mkdir(parents=True)
    os.chown(home, 61000, 61000)


def _do(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _wait(is_so: Callable[[], object], what: str) -> None:
    """The last look is one of after that time: meanwhile the machine may have stood still."""
    until = time.monotonic() + SECONDS_MAX
    while True:
        is_last = time.monotonic() >= until
        if is_so():
            return
        assert not is_last, f"waited in vain for {what}"
        time.sleep(0.02)
