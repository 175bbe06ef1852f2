"""One line of a log: whose format it is, when it was written, what kind of thing it says. Pure.

Known are this project's events, etcd's lines, JSON or plain, other JSON with a time and a message, ZooKeeper's lines, and any text with a
timestamp at its beginning. What a line says in words becomes its kind once numbers, addresses and quoted things are masked.
"""

import re
from calendar import timegm
from typing import Any, Final

import msgspec

INFO, WARNING, ERROR = 0, 1, 2
LEVEL_NAMES = ("info", "warning", "error")
LEVELS: Final = {
    **dict.fromkeys(("trace", "debug", "info", "notice", "informational", "d", "i"), INFO),
    **dict.fromkeys(("warn", "warning", "w"), WARNING),
    **dict.fromkeys(("error", "err", "fatal", "panic", "dpanic", "critical", "crit", "alert", "emerg", "severe", "e", "f", "c"), ERROR),
}
KIND_CHARS_MAX = 120
KILLED_PID = "killed_pid"  # field of a kernel's line: whom it ended for want of memory
FIRST_MS, LAST_MS = timegm((1990, 1, 1, 0, 0, 0)) * 1_000, timegm((2100, 1, 1, 0, 0, 0)) * 1_000  # what is outside is no time of a log
DAY_MS = 86_400_000
YEAR_MS = 365 * DAY_MS
TEMPLATES_MAX = 20_000  # remembered shapes of plain lines; beyond that each is masked anew

_TIME_KEYS = ("ts", "time", "@timestamp", "timestamp", "at", "asctime")
_MESSAGE_KEYS = ("msg", "message", "event", "log")
_LEVEL_KEYS = ("level", "severity", "lvl", "levelname")
_ISO = re.compile(rb"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?\s?(Z|[+-]\d\d:?\d\d)?")
_SYSLOG = re.compile(rb"(?:<\d+>)?([A-Z][a-z]{2}) ([ \d]\d) (\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))? ")
ZOOKEEPER = re.compile(rb"[^\[]{0,40}(?:\[myid:(\d*)\] )?- ([A-Z]+) +\[([^\]]*(?:\[[^\]]*\][^\]]*)*)\] - (.*)", re.DOTALL)
CAPNSLOG = re.compile(rb"([A-Z]) \| ([\w/]+): (.*)", re.DOTALL)
RAFT = re.compile(
    rb"(raft)(\d{4})/(\d\d)/(\d\d) (\d\d):(\d\d):(\d\d) ([A-Z]+): (.*)", re.DOTALL
)  # among them, with a time of whole seconds
KILLED = b"Killed process "
_KILLED = re.compile(KILLED + rb"(\d+)")
_LEVEL_WORD = re.compile(
    rb"\b(TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|ERR|FATAL|PANIC|CRITICAL|warn|warning|error|fatal|panic|critical)\b"
)
_MONTHS = {
    name: number
    for number, name in enumerate((b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"), 1)
}
_MASKED = re.compile(
    r"""(?P<quoted>"[^"]{0,400}"|'[^'\s]{0,400}')"""
    r"|(?P<number>(?<![A-Za-z_])[-+]?(?:0x[0-9a-fA-F]+|(?=[0-9a-fA-F:.-]*\d)[0-9a-fA-F]{6,}(?:[-:.][0-9a-fA-F]+)*|\d(?:[\d.,:/-]*\d)?)(?:[a-zµ]{1,3}\b|%)?)"
    r"|(?P<path>(?:/[\w.@%+-]+){2,})"
)
_DIGITS = bytes(range(48, 58))
_SPAN = re.compile(r"(?:(\d+(?:\.\d+)?)(h|ms|µs|us|ns|m|s))")
_SPAN_MS = {"h": 3_600_000.0, "m": 60_000.0, "s": 1_000.0, "ms": 1.0, "µs": 0.001, "us": 0.001, "ns": 0.000_001}


def is_host(label: str) -> bool:
    """What a host has to say is no member's: `host` where there is one, `n1-host` of several."""
    return label == "host" or label.endswith("-host")


class Line(msgspec.Struct, frozen=True, gc=False):
    at_ms: int  # by the clock of whoever wrote it
    kind: str
    level: int
    member: str  # as the line itself says; "": it does not
    term: int  # 0: the line has no place in the log
    index: int
    fields: dict[str, Any]  # numbers to compare, and, of our own events, everything
    is_event: bool = False  # ours, or told in our words


class Parser:
    """Of one file: what was learnt from its earlier lines makes the later ones quick."""

    def __init__(self, written_ms: int) -> None:
        """`written_ms`: when the file was, so that no time in it is much later; syslog's have no year."""
        self._latest_ms = written_ms + DAY_MS
        self._minutes: dict[str, int] = {}
        self._shapes: dict[bytes, str] = {}
        self._decode = msgspec.json.Decoder().decode
        self._plain_ms = 0  # of etcd's plain lines, the newest
        self.found: Any = None  # what the last line was made of, as far as it is of another engine: a dictionary, or the match of its parts

    def parse(self, raw: bytes) -> Line | None:
        """None: no line of its own. Raises ValueError where it began as one of ours and is damaged."""
        line = self._json(raw) if raw[:1] == b"{" else self._text(raw)
        return line if line is not None and FIRST_MS <= line.at_ms < LAST_MS else None

    # --- JSON ------------------------------------------------------------------------------------------------------

    def _json(self, raw: bytes) -> Line | None:
        try:
            found = self._decode(raw)  # msgspec.DecodeError is a ValueError
        except RecursionError:
            raise ValueError("nested too deeply") from None
        if "hlc" in found:
            term, index, kind = found["term"], found["index"], found["event"]
            if not isinstance(term, int) or not isinstance(index, int) or not isinstance(kind, str):
                raise ValueError("no event of ours")
            return Line(self._iso_ms(found["at"]), kind, LEVELS.get(found["level"], INFO), str(found["member"]), term, index, found, True)
        at_ms = None
        for key in _TIME_KEYS:
            if key in found:
                at_ms = self._any_time(found[key])
                break
        message = next((found[key] for key in _MESSAGE_KEYS if key in found), None)
        if at_ms is None or not isinstance(message, str):
            return None
        level = next((LEVELS.get(str(found[key]).lower(), INFO) for key in _LEVEL_KEYS if key in found), INFO)
        self.found = found
        term, index = _place(found)
        member = str(found.get("local-member-id") or found.get("member") or "")
        return Line(at_ms, self._kind(message.encode()), level, member, term, index, _durations(found))

    def _any_time(self, value: object) -> int | None:
        if isinstance(value, str):
            match = _ISO.match(value.encode())
            return self._matched_ms(match) if match else None
        if isinstance(value, int | float) and value > 0:  # seconds, milliseconds or nanoseconds since 1970
            return int(value * 1_000 if value < 1e11 else value if value < 1e14 else value / 1e6)
        return None

    def _iso_ms(self, text: str) -> int:
        """`2026-11-28T14:02:07.123Z`, as our own events have it."""
        minute = self._minutes.get(text[:16])
        if minute is None:
            match = _ISO.match(text.encode())
            if match is None:
                raise ValueError(f"no time: {text[:40]!r}")
            minute = timegm((int(match[1]), int(match[2]), int(match[3]), int(match[4]), int(match[5]), 0)) * 1_000
            if len(self._minutes) > TEMPLATES_MAX:
                self._minutes.clear()
            self._minutes[text[:16]] = minute
        return minute + int(text[17:19]) * 1_000 + int(text[20:23])

    # --- text ------------------------------------------------------------------------------------------------------

    def _raft(self, match: "re.Match[bytes]") -> Line:
        year, month, day, hour, minute, second = (int(match[number]) for number in range(2, 8))
        at_ms = timegm((year, month, day, hour, minute, second)) * 1_000
        at_ms = max(at_ms, min(self._plain_ms, at_ms + 999))  # not before what was said in the same second
        self.found = match
        return Line(at_ms, self._kind(b"raft: " + match[9]), LEVELS.get(match[8].decode().lower(), INFO), "", 0, 0, {})

    def _text(self, raw: bytes) -> Line | None:
        if raw[:5] == b"raft2" and (raft := RAFT.match(raw)) is not None:
            return self._raft(raft)
        start = 1 if raw[:1] == b"[" else 0
        match = _ISO.match(raw, start)
        if match is not None:
            at_ms = self._matched_ms(match)
        else:
            match = _SYSLOG.match(raw)
            if match is None:
                return None
            month = _MONTHS.get(match[1])
            if month is None:
                return None
            day, hour, minute, second = (int(match[number]) for number in (2, 3, 4, 5))
            at_ms = self._without_year_ms((month, day, hour, minute, second)) + _fraction_ms(match[6])
        zookeeper = ZOOKEEPER.match(raw, match.end())
        if zookeeper is not None:
            self.found = zookeeper
            message = zookeeper[4]
            level = LEVELS.get(zookeeper[2].decode().lower(), INFO)
            return Line(at_ms, self._kind(message), level, (zookeeper[1] or b"").decode(), 0, 0, {})
        rest = raw[match.end() :].lstrip(b"] ")
        plain = CAPNSLOG.match(rest)
        if plain is not None:
            self.found = plain
            self._plain_ms = at_ms
            return Line(at_ms, self._kind(rest[4:]), LEVELS.get(plain[1].decode().lower(), INFO), "", 0, 0, {})
        killed = _KILLED.search(rest) if KILLED in rest else None
        word = _LEVEL_WORD.search(rest, 0, 80)
        level = LEVELS[word[1].decode().lower()] if word else INFO
        return Line(at_ms, self._kind(rest), level, "", 0, 0, {KILLED_PID: int(killed[1])} if killed else {})

    def _without_year_ms(self, parts: tuple[int, int, int, int, int]) -> int:
        """The last time that was so, but for what is later than the file."""
        year = 1970 + self._latest_ms // YEAR_MS  # or the next one: leap years are longer
        while (at_ms := timegm((year, *parts)) * 1_000) > self._latest_ms:
            year -= 1
        return at_ms

    def _matched_ms(self, match: "re.Match[bytes]") -> int:
        year, month, day, hour, minute, second = (int(match[number]) for number in range(1, 7))
        zone = match[8]
        shift = 0
        if zone and zone != b"Z":
            shift = (int(zone[1:3]) * 60 + int(zone[-2:])) * (-60_000 if zone[:1] == b"+" else 60_000)
        return timegm((year, month, day, hour, minute, second)) * 1_000 + _fraction_ms(match[7]) + shift

    def _kind(self, message: bytes) -> str:
        shape = message.translate(None, _DIGITS)
        known = self._shapes.get(shape)
        if known is None:
            known = masked(message.decode(errors="replace"))
            if len(self._shapes) < TEMPLATES_MAX:
                self._shapes[shape] = known
        return known


def masked(text: str) -> str:
    """What the line says, without what is different each time it says it."""
    return " ".join(_MASKED.sub("*", text[: 4 * KIND_CHARS_MAX]).split())[:KIND_CHARS_MAX] or "(empty)"


def _fraction_ms(digits: bytes | None) -> int:
    return int(digits[:3].ljust(3, b"0")) if digits else 0


def _place(found: dict[str, Any]) -> tuple[int, int]:
    """etcd says where it is in some of its lines."""
    term = found.get("raft-term", found.get("term", 0))
    index = found.get("raft-applied-index", found.get("applied-index", found.get("local-member-applied-index", 0)))
    try:
        return int(term), int(index)
    except (TypeError, ValueError):
        return 0, 0


def _durations(found: dict[str, Any]) -> dict[str, Any]:
    """`"took":"1.2s"` becomes took_ms."""
    spans = {}
    for key, value in found.items():
        if isinstance(value, str) and 2 <= len(value) <= 24 and value[0].isdecimal() and value[-1] in "smh" and (ms := milliseconds(value)):
            spans[f"{key}_ms"] = ms
    return spans


def milliseconds(text: str) -> float:
    """Of `1m2.5s`, as Go writes it; 0: it is none."""
    parts = _SPAN.findall(text)
    return (
        sum(float(number) * _SPAN_MS[unit] for number, unit in parts) if "".join(number + unit for number, unit in parts) == text else 0.0
    )
