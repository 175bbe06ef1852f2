"""What the `counter` verbs print."""

from typing import Literal

import msgspec


class CounterNamed(msgspec.Struct, frozen=True, kw_only=True):
    name: str | None
    name_base64: str


class CounterGot(CounterNamed, frozen=True, kw_only=True):
    schema: Literal["coordctl.counter-get/1"]
    outcome: Literal["found"]
    exit_code: Literal[0]
    value: int  # 0 also if there is none


class CounterAdded(CounterNamed, frozen=True, kw_only=True):
    schema: Literal["coordctl.counter-add/1"]
    outcome: Literal["done"]
    exit_code: Literal[0]
    value: int  # the sum
    request_id: str


class CounterListed(CounterNamed, frozen=True, kw_only=True):
    """One line for each counter."""

    schema: Literal["coordctl.counter-ls/1"]
    outcome: Literal["found"]
    exit_code: Literal[0]
    value: int


class CounterDeleted(CounterNamed, frozen=True, kw_only=True):
    schema: Literal["coordctl.counter-del/1"]
    outcome: Literal["deleted", "absent"]
    exit_code: Literal[0]
    request_id: str
