"""Every script and file that was sent to a host, and what came of it: one file per cluster, and the scripts by their digest."""

import getpass
import hashlib
import json
import os
import socket
import time

from coordctl.transport.base import HostFailed, Ran, Script, Transport
from coordnode.errors import CoordError


class Unwritable(CoordError):
    """Nothing is done that cannot be written down."""

    definite = True


class Audit:
    def __init__(self, folder: str, cluster: str, verb: str, reason: str) -> None:
        self._folder = folder
        self._path = os.path.join(folder, f"{cluster}.jsonl")
        self._head = {"who": f"{getpass.getuser()}@{socket.gethostname()}", "verb": verb, "reason": reason}

    def note(self, host: str, what: str, **more: object) -> None:
        line = {"unix_ms": time.time_ns() // 1_000_000, "host": host, **self._head, "what": what, **more}
        try:
            os.makedirs(self._folder, mode=0o700, exist_ok=True)
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                said = json.dumps(line, ensure_ascii=False).encode(errors="backslashreplace")  # what is no text: as JSON escapes it
                os.write(descriptor, said + b"\n")  # one write: lines of threads do not mix
            finally:
                os.close(descriptor)
        except OSError as error:
            raise Unwritable(f"the audit log {self._path} cannot be written ({error.strerror}): nothing was done without it") from None

    def keep(self, script: Script) -> None:
        if script.is_secret:
            return
        folder = os.path.join(self._folder, "scripts")
        path = os.path.join(folder, script.digest)
        if not os.path.exists(path):
            os.makedirs(folder, mode=0o700, exist_ok=True)
            beside = f"{path}.{os.getpid()}.{time.monotonic_ns()}"
            with open(beside, "w", encoding="utf-8") as file:
                file.write(script.text)
            os.replace(beside, path)


class Audited:
    """Implements base.Transport around another. Written down before it is done: what never came back is known, too."""

    def __init__(self, inner: Transport, audit: Audit) -> None:
        self._inner = inner
        self._audit = audit

    @property
    def host(self) -> str:
        return self._inner.host

    def run(self, script: Script, seconds: float) -> Ran:
        self._audit.keep(script)
        self._audit.note(self.host, "run", script=script.name, sha256=script.digest)
        began = time.monotonic()
        try:
            ran = self._inner.run(script, seconds)
        except HostFailed as error:
            self._audit.note(self.host, "failed", script=script.name, error=error.sentence)
            raise
        said = {} if script.is_secret or not ran.code else {"stderr": ran.stderr[-2_000:]}
        self._audit.note(self.host, "ran", script=script.name, code=ran.code, ms=int((time.monotonic() - began) * 1_000), **said)
        return ran

    def put(self, content: bytes, path: str, seconds: float) -> None:
        self._audit.note(self.host, "put", path=path, bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
        self._inner.put(content, path, seconds)

    def get(self, path: str, target: str, seconds: float) -> None:
        self._audit.note(self.host, "get", path=path, target=target)
        self._inner.get(path, target, seconds)

    def close(self) -> None:
        self._inner.close()
