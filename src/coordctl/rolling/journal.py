"""The plan of an upgrade, and how far it is: one value, written to every host before each step is done. Pure."""

from collections.abc import Iterable
from typing import Any, Literal

import msgspec

FORMAT = 1
HISTORY_MAX = 200  # records; the oldest go first

# Of the whole fleet, then of one host after the other, then of the whole again.
UNPACK, SETTLE, SWITCH, PROBE, LEAD, BAKE, LEVEL, CLOSE = "unpack", "settle", "switch", "probe", "lead", "bake", "level", "close"
# On the way back.
YIELD, RETURN, RECOVER = "yield", "return", "recover"

State = Literal["running", "paused", "done", "rolled back"]
ENDED: tuple[State, ...] = ("done", "rolled back")


class HostPlan(msgspec.Struct, frozen=True):
    name: str
    member: int
    before: str  # the version that it is to come back to
    after: str
    is_voter: bool  # others never lead


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    cluster: str
    before: str  # releases, for people
    after: str
    hosts: tuple[HostPlan, ...]  # those that change, in their order
    level: int  # to be raised to in the end; 0: left as it is
    bake_ms: int
    healthy_ms: int  # so long a member may take until it is well
    accepted: tuple[str, ...]  # risks
    who: str
    reason: str
    began_unix_ms: int

    def host(self, name: str) -> HostPlan:
        return next(host for host in self.hosts if host.name == name)


class Record(msgspec.Struct, frozen=True):
    unix_ms: int
    who: str
    what: str


class Journal(msgspec.Struct, frozen=True, kw_only=True):
    format: int = FORMAT
    plan: Plan
    number: int = 0  # counts changes: of two copies the higher one is right
    state: State = "running"
    goes_back: bool = False
    step: str = ""  # the one begun last; "": none yet
    turn: str = ""  # the host that it is for; "": all of them
    is_done: bool = False  # that step
    touched: tuple[str, ...] = ()  # hosts whose switch was begun, in that order
    passed: tuple[str, ...] = ()  # hosts that stood every gate
    returned: tuple[str, ...] = ()  # hosts that are at the version before again
    left: tuple[str, ...] = ()  # hosts that could not be brought back so far
    evidence: str = ""  # why it goes back, or stands still
    history: tuple[Record, ...] = ()

    @property
    def is_over(self) -> bool:
        return self.state in ENDED


def newest(found: Iterable[Journal]) -> Journal | None:
    """Of copies on hosts and in the cluster; of two upgrades, the later."""
    return max(found, key=lambda one: (one.plan.began_unix_ms, one.number), default=None)


def encode(journal: Journal) -> str:
    return msgspec.json.encode(journal).decode()


def of_host(said: dict[str, Any] | None) -> Journal | None:
    """None: there is none, or it is of a later coordctl, or damaged: another copy may be whole."""
    if said is None or said.get("format") != FORMAT:
        return None
    try:
        return msgspec.convert(said, Journal)
    except msgspec.ValidationError:
        return None


def decode(text: bytes) -> Journal | None:
    try:
        said = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return None
    return of_host(said) if isinstance(said, dict) else None
