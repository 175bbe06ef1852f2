"""What `elect` prints."""

from typing import Literal

import msgspec


class ElectionLeader(msgspec.Struct, frozen=True, kw_only=True):
    token: int
    session: int
    owner: str
    candidate: str  # the name it stood under; "" if it gave none
    value: str | None  # null: it is no text
    value_base64: str
    since_unix_ms: int
    led_ms: int  # as the cluster counts: its clock stands still between commands


class ElectionCandidate(msgspec.Struct, frozen=True, kw_only=True):
    ticket: int
    session: int
    owner: str
    candidate: str
    value: str | None
    value_base64: str
    since_unix_ms: int
    waited_ms: int


class ElectionListed(msgspec.Struct, frozen=True, kw_only=True):
    """One line for each election that somebody leads."""

    schema: Literal["coordctl.elect-ls/1"]
    outcome: Literal["found"]
    exit_code: Literal[0]
    name: str
    name_base64: str
    leader: ElectionLeader
    candidates: int  # who stand


class ElectionShown(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.elect-show/1"]
    outcome: Literal["led", "vacant"]
    exit_code: Literal[0, 1]
    name: str
    name_base64: str
    leader: ElectionLeader | None
    candidates: list[ElectionCandidate]  # in the order in which they follow


class ElectionObservedLeader(msgspec.Struct, frozen=True, kw_only=True):
    token: int
    session: int
    owner: str
    candidate: str
    value: str | None
    value_base64: str


class ElectionObserved(msgspec.Struct, frozen=True, kw_only=True):
    """One line for what is, and one for each change."""

    schema: Literal["coordctl.elect-observe/1"]
    outcome: Literal["led", "vacant"]
    exit_code: Literal[0]
    name: str
    name_base64: str
    revision: int
    leader: ElectionObservedLeader | None  # null: nobody leads now
    reason: str  # why nobody does, where that was seen to happen


class ElectionProclaimed(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.elect-proclaim/1"]
    outcome: Literal["proclaimed"]
    exit_code: Literal[0]
    name: str
    name_base64: str
    token: int
    revision: int


class ElectionEnded(msgspec.Struct, frozen=True, kw_only=True):
    outcome: Literal["ended"]
    exit_code: Literal[0]
    name: str
    name_base64: str
    token: int  # of the leadership that is over
    told_ms: int | None  # until its holder had been told; null: it could not be observed
    leader: ElectionLeader | None  # who leads now, as read afterwards


class ElectionResigned(ElectionEnded, frozen=True, kw_only=True):
    schema: Literal["coordctl.elect-resign/1"]


class ElectionTransferred(ElectionEnded, frozen=True, kw_only=True):
    schema: Literal["coordctl.elect-transfer/1"]
