"""What hosts said, written down and played again: for tests, and to look at a fleet that is not there."""

import base64
import json
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from coordctl.transport.base import HostFailed, Ran, Script, Transport


class Said(NamedTuple):
    host: str
    script: str  # its name
    ran: Ran


class Recorder:
    """Implements base.Transport around another, and keeps what it says."""

    def __init__(self, inner: Transport, record: list[Said]) -> None:
        self._inner = inner
        self._record = record

    @property
    def host(self) -> str:
        return self._inner.host

    def run(self, script: Script, seconds: float) -> Ran:
        ran = self._inner.run(script, seconds)
        self._record.append(Said(self.host, script.name, ran))
        return ran

    def put(self, content: bytes, path: str, seconds: float) -> None:
        self._inner.put(content, path, seconds)
        self._record.append(Said(self.host, f"put {path}", Ran(0, "", "")))

    def get(self, path: str, target: str, seconds: float) -> None:
        self._inner.get(path, target, seconds)
        with open(target, "rb") as file:
            self._record.append(Said(self.host, f"get {path}", Ran(0, base64.b64encode(file.read()).decode(), "")))

    def close(self) -> None:
        self._inner.close()


class RecordedTransport:
    """Implements base.Transport: what was said to each script, in the order in which it was."""

    def __init__(self, host: str, record: Sequence[Said]) -> None:
        self._host = host
        self._left = [said for said in record if said.host == host]

    @property
    def host(self) -> str:
        return self._host

    def run(self, script: Script, seconds: float) -> Ran:
        for said in self._left:
            if said.script == script.name:
                self._left.remove(said)
                return said.ran
        raise HostFailed(self._host, "unreachable", f"the record has no answer to {script.name}")

    def put(self, content: bytes, path: str, seconds: float) -> None:
        self.run(Script(f"put {path}", ""), seconds)

    def get(self, path: str, target: str, seconds: float) -> None:
        content = base64.b64decode(self.run(Script(f"get {path}", ""), seconds).stdout)
        with open(target, "wb") as file:
            file.write(content)

    def close(self) -> None:
        pass


def written(record: Sequence[Said]) -> str:
    return "".join(json.dumps({"host": said.host, "script": said.script, **said.ran._asdict()}) + "\n" for said in record)


def read(text: str) -> Iterator[Said]:
    for line in text.splitlines():
        found = json.loads(line)
        yield Said(found["host"], found["script"], Ran(found["code"], found["stdout"], found["stderr"]))
