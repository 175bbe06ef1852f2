"""Of which engine a log is, and who reads it. Pure."""

import re
from typing import Any

from coordctl.logs import etcd, etcd_plain
from coordctl.logs.foreign import Dialect, Lexicon, Said
from coordctl.logs.lines import CAPNSLOG, RAFT, ZOOKEEPER, Line
from coordctl.logs.zookeeper import ZooKeeper


class Etcd:
    """In JSON, in plain lines, or in both: what it says before it has read how it is to log is plain."""

    engine = "etcd"

    def __init__(self) -> None:
        self.identity = ""
        self.facts: list[tuple[str, str]] = []
        self._json = Lexicon(etcd.WORDS)
        self._plain = Lexicon(etcd_plain.WORDS)

    def speaks(self, found: Any) -> bool:
        return isinstance(found, dict) or found.re in (CAPNSLOG, RAFT)

    def said(self, line: Line, found: Any) -> Said | None:
        said = self._said_plainly(line, found) if isinstance(found, re.Match) else self._said_in_json(line, found)
        if said is not None and said.kind == "started":
            self.facts.append(("build", said.fields["build"]))
        return said

    def _said_in_json(self, line: Line, found: etcd.Found) -> Said | None:
        self.identity = self.identity or str(found.get(etcd.IDENTITY, ""))
        word = self._json.word(line.kind)
        return word(found) if word is not None else etcd.failed(found)

    def _said_plainly(self, line: Line, found: "re.Match[bytes]") -> Said | None:
        message = etcd_plain.message_of(found)
        self.identity = self.identity or etcd_plain.identity(line.kind, message)
        word = self._plain.word(line.kind)
        return word(message) if word is not None else etcd_plain.failed(found, message)

    def more(self, raw: bytes) -> Said | None:
        return None


def of(found: Any) -> Dialect | None:
    """By what one of its lines was made of; None: it is of nobody known."""
    if isinstance(found, dict):  # many write such lines
        return Etcd() if etcd.speaks(found) else None
    return ZooKeeper() if found.re is ZOOKEEPER else Etcd()
