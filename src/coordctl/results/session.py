"""What the `session` verbs print."""

from typing import Literal

import msgspec


class SessionFound(msgspec.Struct, frozen=True, kw_only=True):
    session: int
    owner: str
    ttl_ms: int
    open_ms: int  # at least: the cluster's clock stands still between commands
    keys: int  # that go when it ends


class SessionListed(SessionFound, frozen=True, kw_only=True):
    """One line for each session."""

    schema: Literal["coordctl.session-ls/1"]
    outcome: Literal["found"]
    exit_code: Literal[0]


class SessionShown(SessionFound, frozen=True, kw_only=True):
    schema: Literal["coordctl.session-show/1"]
    outcome: Literal["found"]
    exit_code: Literal[0]


class SessionClosed(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.session-close/1"]
    outcome: Literal["closed"]
    exit_code: Literal[0]
    session: int
    revision: int
