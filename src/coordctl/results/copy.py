"""What `copy` prints."""

from typing import Literal

import msgspec

Why = Literal["another value", "missing", "refused", "changed meanwhile", "bound there"]


class Unlike(msgspec.Struct, frozen=True, kw_only=True):
    key: str  # what is no UTF-8 in it is shown as \\xNN
    why: Why
    sentence: str = ""  # of who refused it


class Copied(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.copy/1"] = "coordctl.copy/1"
    outcome: Literal["copied", "equal", "would copy", "different"]
    exit_code: Literal[0, 1]
    source: str
    target: str
    is_dry: bool
    keys: int  # of the source that begin with the prefix, but for those that are bound
    bound: int  # to a session: they are never copied
    alike: int  # before
    written: int  # as was answered; of a dry run, to be written
    unlike: list[Unlike]  # of a dry run: what would stay so
