"""What every transport is: a script to run, a file to put, and what came of it."""

import hashlib
from typing import Literal, NamedTuple, Protocol

from coordnode.errors import CoordError

OUTPUT_BYTES_MAX = 16 * 1024 * 1024

Kind = Literal["unreachable", "key", "login", "sudo", "late", "failed"]


class HostFailed(CoordError):
    """One host, and what is wrong with it or went wrong there. A second run goes on from wherever this one ended."""

    def __init__(self, host: str, kind: Kind, sentence: str) -> None:
        super().__init__(f"{host}: {sentence}")
        self.host = host
        self.kind = kind


class Script(NamedTuple):
    """For `sh -s`: it never stands in an argument list, where everybody on that host could read it."""

    name: str
    text: str
    is_secret: bool = False  # holds a key: its text is not kept by the audit

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


class Ran(NamedTuple):
    code: int
    stdout: str
    stderr: str

    def last_words(self) -> str:
        """Why it ended; of a script that says at which step it was, that too."""
        lines = [line[:300] for line in (self.stderr or self.stdout).splitlines() if line.strip()]
        if len(lines) > 1 and lines[-1].startswith("at: "):
            return f"{lines[-2]} ({lines[-1]})"
        return lines[-1] if lines else "it said nothing"


class Transport(Protocol):
    """To one host. All of this raises HostFailed."""

    @property
    def host(self) -> str: ...

    def run(self, script: Script, seconds: float) -> Ran: ...

    def put(self, content: bytes, path: str, seconds: float) -> None:
        """A file of the user that logs in, readable by nobody else; there as a whole or not at all."""

    def get(self, path: str, target: str, seconds: float) -> None:
        """A file there, that root or whoever runs scripts may read, becomes a file here."""

    def close(self) -> None: ...


def must_run(transport: Transport, script: Script, seconds: float) -> Ran:
    ran = transport.run(script, seconds)
    if ran.code:
        raise HostFailed(transport.host, "failed", f"{script.name} ended with code {ran.code}: {ran.last_words()}")
    return ran


def shell_words(*, sudo: bool) -> list[str]:
    return ["sudo", "-n", "sh", "-s"] if sudo else ["sh", "-s"]


def check_sudo(host: str, user: str, ran: Ran) -> None:
    """sudo's own refusals, which say nothing of the script."""
    words = ran.stderr.strip()
    if ran.code == 1 and words.startswith("sudo:") and not ran.stdout:
        allow = f"allow it without one (`{user} ALL=(root) NOPASSWD: ALL` below /etc/sudoers.d), or leave sudo out of the inventory"
        if "password" in words or "terminal" in words:
            raise HostFailed(host, "sudo", f"sudo wants a password of {user}, and none is ever asked for: {allow}")
        raise HostFailed(host, "sudo", f"{words.splitlines()[-1]}: {allow}")
    if ran.code == 1 and ("is not allowed to" in words or "is not in the sudoers file" in words):
        raise HostFailed(host, "sudo", f"{user} may not become root there: {words.splitlines()[-1]}")
    if ran.code == 127 and "sudo" in words:
        raise HostFailed(host, "sudo", "there is no sudo: log in as root, or leave sudo out of the inventory")
