"""Hosts without root: for each an sshd of one's own on 127.0.0.11 and on, as whoever runs the tests; and an operator who may log in there.

They share this machine's name, clock, users, disks and network. So nothing here cuts a host off, fills its disk, hides our packages
from it, or tries sudo and systemd: that is for tests.hosts.fleet, which needs root. A reboot is the end of all that runs for a host, and
then what its crontab says.
"""

import os
import pwd
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tests.processes.local import Home
from tests.processes.members import wait_until

COUNT = 3
SSHD = """\
ListenAddress {address}:{port}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
SetEnv PATH={folder}/bin:/usr/local/bin:/usr/bin:/bin
Subsystem sftp internal-sftp
"""
CRONTAB = """\
#!/bin/sh
# A host's own, where the user's is shared by all of them.
case "$1" in
-l) cat "{folder}/crontab" ;;
-) cat > "{folder}/crontab.part" && mv "{folder}/crontab.part" "{folder}/crontab" ;;
esac
"""


class Neighbours(Home):
    SECONDS_MAX = 300.0

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._daemons: dict[int, subprocess.Popen[bytes]] = {}
        self._ports = {number: two_free_ports(self.address(number)) for number in range(1, COUNT + 1)}
        make_key(folder / "key")
        for number in self._ports:
            self._furnish(number)
            self.open(number)
        (folder / "ssh_config").touch()
        (folder / "fleet.toml").write_text("\n".join(self._inventory()) + "\n")

    def address(self, number: int) -> str:
        return f"127.0.0.{10 + number}"

    def endpoint(self, number: int) -> str:
        return f"{self.address(number)}:{self._ports[number][1]}"

    def host(self, number: int) -> Path:
        """All that there is of it."""
        return self.folder / f"n{number}"

    def _furnish(self, number: int) -> None:
        host = self.host(number)
        (host / "bin").mkdir(parents=True)
        make_key(host / "host_key")
        (host / "authorized").write_text((self.folder / "key.pub").read_text())
        (host / "sshd_config").write_text(SSHD.format(address=self.address(number), port=self._ports[number][0], folder=host))
        (host / "crontab").touch()
        (host / "bin/crontab").write_text(CRONTAB.format(folder=host))
        (host / "bin/crontab").chmod(0o755)

    def _inventory(self) -> Iterator[str]:
        user = pwd.getpwuid(os.geteuid()).pw_name
        yield from ('name = "fleet"', 'environment = "staging"', "[ssh]", f'user = "{user}"')
        yield from (f'key = "{self.folder}/key"', f'config = "{self.folder}/ssh_config"', "sudo = false")
        for number, (ssh_port, port) in self._ports.items():
            yield from (
                f"[hosts.n{number}]",
                f'address = "{self.address(number)}"',
                f"port = {port}",
                f'folder = "{self.host(number)}/base"',
            )
            yield from (f"[hosts.n{number}.ssh]", f"port = {ssh_port}")

    # --- their lives -----------------------------------------------------------------------------------------------

    def open(self, number: int) -> None:
        log = self.host(number) / "sshd.log"
        with log.open("ab") as file:
            command = ["/usr/sbin/sshd", "-D", "-e", "-f", str(self.host(number) / "sshd_config")]
            daemon = self._daemons[number] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file)

        def answers() -> bool:
            assert daemon.poll() is None, log.read_text()
            with suppress(OSError), socket.create_connection((self.address(number), self._ports[number][0]), 1) as connection:
                return connection.recv(4) == b"SSH-"
            return False

        wait_until(answers, f"the sshd of n{number}")

    def shut(self, number: int) -> None:
        """Nobody logs in there; what runs, runs on."""
        daemon = self._daemons.pop(number)
        daemon.terminate()
        daemon.wait()

    def members(self, number: int) -> list[int]:  # type: ignore[override]
        return [pid for pid in self._processes(number) if b"coordnode" in words_of(pid)]

    def reboot(self, number: int) -> None:
        self.halt(number)
        for line in (self.host(number) / "crontab").read_text().splitlines():
            when, _, command = line.partition(" ")
            assert when == "@reboot", line
            subprocess.Popen(["sh", "-c", f"{command} &"], stdin=subprocess.DEVNULL, start_new_session=True).wait()
        self.open(number)

    def halt(self, number: int) -> None:
        if number in self._daemons:
            self.shut(number)
        while pids := self._processes(number):
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def _processes(self, number: int) -> list[int]:
        mark = f"{self.host(number)}/".encode()
        return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if any(mark in word for word in words_of(pid))]

    def close(self) -> None:
        for number in self._ports:
            self.halt(number)
        super().close()


def words_of(pid: int) -> list[bytes]:
    """Its command line; of one that has ended: nothing."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:-1]
    except OSError:
        return []


def two_free_ports(address: str) -> tuple[int, int]:
    with socket.create_server((address, 0)) as one, socket.create_server((address, 0)) as other:
        return one.getsockname()[1], other.getsockname()[1]


def make_key(path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
