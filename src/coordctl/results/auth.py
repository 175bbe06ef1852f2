"""What the `auth` verbs print."""

from typing import Literal

import msgspec


class AuthRole(msgspec.Struct, frozen=True, kw_only=True):
    """One line for each role."""

    schema: Literal["coordctl.auth-role-ls/1"]
    outcome: Literal["found"]
    exit_code: Literal[0]
    name: str
    grants: list[str]  # as `auth role add` takes them


class AuthUser(msgspec.Struct, frozen=True, kw_only=True):
    """One line for each user."""

    schema: Literal["coordctl.auth-user-ls/1"]
    outcome: Literal["found"]
    exit_code: Literal[0]
    name: str
    roles: list[str]
    tokens: int


class AuthToken(msgspec.Struct, frozen=True, kw_only=True):
    """One line for each token."""

    schema: Literal["coordctl.auth-token-ls/1"]
    outcome: Literal["found"]
    exit_code: Literal[0]
    id: str
    user: str
    note: str
    since: str
    sha256: str  # of the token


class AuthChanged(msgspec.Struct, frozen=True, kw_only=True):
    outcome: Literal["done", "unchanged"]  # unchanged: it was so already
    exit_code: Literal[0]
    name: str
    request_id: str


class AuthRoleAdded(AuthChanged, frozen=True, kw_only=True):
    schema: Literal["coordctl.auth-role-add/1"]


class AuthRoleRemoved(AuthChanged, frozen=True, kw_only=True):
    schema: Literal["coordctl.auth-role-remove/1"]


class AuthUserAdded(AuthChanged, frozen=True, kw_only=True):
    schema: Literal["coordctl.auth-user-add/1"]


class AuthUserRemoved(AuthChanged, frozen=True, kw_only=True):
    schema: Literal["coordctl.auth-user-remove/1"]


class AuthTokenRemoved(AuthChanged, frozen=True, kw_only=True):
    schema: Literal["coordctl.auth-token-remove/1"]


class AuthTokenAdded(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.auth-token-add/1"]
    outcome: Literal["done"]
    exit_code: Literal[0]
    id: str
    user: str
    token: str | None  # what was drawn; null: it was given
    request_id: str
