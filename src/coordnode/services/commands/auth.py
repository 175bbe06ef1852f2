"""Who may do what: roles, users, tokens, and what was changed by whom; what may be asked and what is answered. Pure.

`by` and `place` are written by the leader, which knows who asked; what a client says there is not believed.
"""

import msgspec

from coordnode.ids import Revision
from coordnode.services.commands.base import OperationBase, ResultBase


class Grant(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The right to do things of one area with every name that begins with `prefix`."""

    area: int  # of services/rights.py
    level: int  # READ, USE, MANAGE: each includes those before
    prefix: bytes = b""


class SetRole(OperationBase, frozen=True, array_like=True, gc=False, tag=120):
    """Makes it, or replaces what it grants. With the first one, who has no right to something may not do it any more."""

    name: str
    grants: tuple[Grant, ...]
    reason: str = ""
    by: str = ""
    place: str = ""


class RemoveRole(OperationBase, frozen=True, array_like=True, gc=False, tag=121):
    """The last one is only removed with `opens`: then everybody who can connect may do everything again."""

    name: str
    opens: bool = False
    reason: str = ""
    by: str = ""
    place: str = ""


class SetUser(OperationBase, frozen=True, array_like=True, gc=False, tag=122):
    """Makes it, or replaces the roles it has. A certificate of that name, and each of its tokens, stands for it."""

    name: str
    roles: tuple[str, ...]
    reason: str = ""
    by: str = ""
    place: str = ""


class RemoveUser(OperationBase, frozen=True, array_like=True, gc=False, tag=123):
    """And all its tokens."""

    name: str
    reason: str = ""
    by: str = ""
    place: str = ""


class AddToken(OperationBase, frozen=True, array_like=True, gc=False, tag=124):
    user: str
    digest: bytes  # SHA-256 of the token, which the cluster never sees written down
    note: str = ""
    reason: str = ""
    by: str = ""
    place: str = ""


class RemoveToken(OperationBase, frozen=True, array_like=True, gc=False, tag=125):
    digest: bytes
    reason: str = ""
    by: str = ""
    place: str = ""


class ListRoles(OperationBase, frozen=True, array_like=True, gc=False, tag=126):
    after: str = ""  # the last name of the page before
    limit: int = 0  # 0: as many as one page may hold


class ListUsers(OperationBase, frozen=True, array_like=True, gc=False, tag=127):
    after: str = ""
    limit: int = 0


class ListTokens(OperationBase, frozen=True, array_like=True, gc=False, tag=128):
    after: bytes = b""  # the last digest of the page before
    limit: int = 0


class ReadAudit(OperationBase, frozen=True, array_like=True, gc=False, tag=129):
    """What was changed by whom, in order."""

    after: int = 0  # the last number of the page before
    limit: int = 0


# --- what is answered ----------------------------------------------------------------------------------------------


class RoleInfo(msgspec.Struct, frozen=True, array_like=True, gc=False):
    name: str
    grants: tuple[Grant, ...]


class RolePage(ResultBase, frozen=True, array_like=True, gc=False, tag=120):
    revision: Revision
    roles: list[RoleInfo]
    more: bool


class UserInfo(msgspec.Struct, frozen=True, array_like=True, gc=False):
    name: str
    roles: tuple[str, ...]
    tokens: int


class UserPage(ResultBase, frozen=True, array_like=True, gc=False, tag=121):
    revision: Revision
    users: list[UserInfo]
    more: bool


class TokenInfo(msgspec.Struct, frozen=True, array_like=True, gc=False):
    digest: bytes
    user: str
    note: str
    since_wall_ms: int


class TokenPage(ResultBase, frozen=True, array_like=True, gc=False, tag=122):
    revision: Revision
    tokens: list[TokenInfo]
    more: bool


class AuditRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """`chain` is the SHA-256 of `previous` and of all that stands before it, in msgpack."""

    number: int  # counted from 1, without a gap
    index: int  # where in the log it happened
    wall_ms: int
    by: str
    place: str  # from where
    what: str
    before: str
    after: str
    reason: str
    previous: bytes  # the chain of the record before; nothing, for the first
    chain: bytes = b""


class AuditPage(ResultBase, frozen=True, array_like=True, gc=False, tag=123):
    revision: Revision
    records: list[AuditRecord]
    more: bool


# --- all of them --------------------------------------------------------------------------------------------------

AuthOperation = SetRole | RemoveRole | SetUser | RemoveUser | AddToken | RemoveToken
AuthRead = ListRoles | ListUsers | ListTokens | ReadAudit
AuthResult = RolePage | UserPage | TokenPage | AuditPage
