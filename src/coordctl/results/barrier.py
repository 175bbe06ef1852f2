"""What the `barrier` verbs print."""

from typing import Literal

import msgspec


class BarrierEntered(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.barrier-enter/1"]
    outcome: Literal["open", "not open"]
    exit_code: Literal[0, 75]
    name: str
    name_base64: str
    count: int
    session: int  # that stays inside; 0: none does


class BarrierFound(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    name_base64: str
    count: int
    inside: int
    round: int  # its number: no other round of any barrier has it
    is_open: bool


class BarrierLeft(BarrierFound, frozen=True, kw_only=True):
    schema: Literal["coordctl.barrier-leave/1"]
    outcome: Literal["left"]
    exit_code: Literal[0]


class BarrierListed(BarrierFound, frozen=True, kw_only=True):
    """One line for each barrier."""

    schema: Literal["coordctl.barrier-ls/1"]
    outcome: Literal["found"]
    exit_code: Literal[0]


class BarrierSession(msgspec.Struct, frozen=True, kw_only=True):
    session: int
    owner: str


class BarrierShown(BarrierFound, frozen=True, kw_only=True):
    schema: Literal["coordctl.barrier-show/1"]
    outcome: Literal["found", "absent"]
    exit_code: Literal[0, 1]
    sessions: list[BarrierSession]
