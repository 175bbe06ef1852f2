"""Roles, users and tokens, and whose a session is. Pure.

What a user may do is decided by the leader before it proposes anything (`permits`); here is what it decides by. A change that would
leave nobody who could undo it is refused; not where certificates say who asks, since the operator's gets in there whatever is changed.
"""

from collections.abc import Iterator, Mapping
from struct import Struct
from typing import Any, ClassVar

import msgspec

from coordnode.errors import BadRequest, Conflict, CoordError, Full, Missing, StateFull, TooLarge
from coordnode.ids import SessionId
from coordnode.services.auth.audit import Audit
from coordnode.services.commands import (
    AddToken,
    Done,
    Grant,
    ListRoles,
    ListTokens,
    ListUsers,
    Noted,
    ReadAudit,
    RemoveRole,
    RemoveToken,
    RemoveUser,
    Result,
    RoleInfo,
    RolePage,
    SetRole,
    SetUser,
    TokenInfo,
    TokenPage,
    UserInfo,
    UserPage,
)
from coordnode.services.context import Check, Context, Service, failure
from coordnode.services.names import check_text
from coordnode.services.rights import ADMIN, AREAS, LEVELS, MANAGE, NONE, READ, Rights, needs
from coordnode.services.state import Settings
from coordnode.services.tables import Table

ROLES_ID = 100
USERS_ID = 101
TOKENS_ID = 102
OWNERS_ID = 103

LEVEL = 4
ADMIN_ROLE = "admin"
OPERATOR = "operator"
BY_CERTIFICATE = "cert:"  # what `by` begins with where a certificate proves who asked; else "token:", or "unproven:" while that is enough
ADMIN_GRANTS = tuple([Grant(area, MANAGE) for area in range(len(AREAS))])

# Bounds of this feature level: apply decides by them.
ROLES_MAX = 1_000
ROLE_GRANTS_MAX = 64
USERS_MAX = 10_000
USER_ROLES_MAX = 32
USER_TOKENS_MAX = 16
NAME_BYTES_MAX = 63
DIGEST_BYTES = 32
ROW_CHARGE_BYTES = 300

_LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
_OTHERS = _LETTERS | frozenset("._@-")
_pack = Struct(">Q").pack


class Role(msgspec.Struct, frozen=True, array_like=True, gc=False):
    grants: tuple[Grant, ...]


class User(msgspec.Struct, frozen=True, array_like=True, gc=False):
    roles: tuple[str, ...]
    tokens: int


class Token(msgspec.Struct, frozen=True, array_like=True, gc=False):
    user: str
    note: str
    since_wall_ms: int


def shown_grant(grant: Grant) -> str:
    """As `coordctl auth role add` takes it."""
    return f"{AREAS[grant.area]}:{LEVELS[grant.level]}" + (f":{grant.prefix.decode(errors='replace')}" if grant.prefix else "")


def _shown_grants(grants: tuple[Grant, ...]) -> str:
    return " ".join([shown_grant(grant) for grant in grants])


def _shown_roles(user: User) -> str:
    return " ".join(user.roles) or "no role"


def _check_name(kind: str, name: str) -> CoordError | None:
    if not name or len(name) > NAME_BYTES_MAX or name[0] not in _LETTERS or any([letter not in _OTHERS for letter in name]):
        return BadRequest(f"a {kind}'s name has up to {NAME_BYTES_MAX} of A-Z, a-z, 0-9 and ._@-, and begins with none of the last")
    return None


def _check_texts(operation: Any, settings: Settings) -> CoordError | None:
    for what, text in (("reason", operation.reason), ("identity", operation.by), ("address", operation.place)):
        if (error := check_text(what, text, settings.note_bytes_max)) is not None:
            return error
    return None


def _check_set_role(operation: SetRole, settings: Settings) -> CoordError | None:
    if operation.name == ADMIN_ROLE:
        return BadRequest("the role admin is there always, and may do everything; choose another name")
    if not 1 <= len(operation.grants) <= ROLE_GRANTS_MAX:
        return BadRequest(f"a role grants 1 to {ROLE_GRANTS_MAX} things, not {len(operation.grants)}")
    for grant in operation.grants:
        if not (0 <= grant.area < len(AREAS) and 0 <= grant.level < len(LEVELS)):
            return BadRequest(f"there is no area {grant.area} or no level {grant.level} of rights")
        if len(grant.prefix) > settings.name_bytes_max:
            return TooLarge(f"the prefix of a grant has {len(grant.prefix)} bytes, at most {settings.name_bytes_max}")
        if grant.area == ADMIN and grant.prefix:
            return BadRequest("rights of admin are over the whole cluster: they have no prefix")
    return _check_name("role", operation.name) or _check_texts(operation, settings)


def _check_named(operation: RemoveRole | RemoveUser, settings: Settings) -> CoordError | None:
    return _check_name("role" if type(operation) is RemoveRole else "user", operation.name) or _check_texts(operation, settings)


def _check_set_user(operation: SetUser, settings: Settings) -> CoordError | None:
    if operation.name == OPERATOR:
        return BadRequest("the user operator is whoever has the certificate of that name, and may do everything; choose another name")
    if len(operation.roles) > USER_ROLES_MAX:
        return BadRequest(f"a user has at most {USER_ROLES_MAX} roles, not {len(operation.roles)}")
    if len(set(operation.roles)) < len(operation.roles):
        return BadRequest("one role is named twice")
    return _check_name("user", operation.name) or _check_texts(operation, settings)


def _check_token(operation: AddToken | RemoveToken, settings: Settings) -> CoordError | None:
    if len(operation.digest) != DIGEST_BYTES:
        return BadRequest(f"the digest of a token has {DIGEST_BYTES} bytes, not {len(operation.digest)}")
    if type(operation) is AddToken and (error := check_text("note", operation.note, settings.note_bytes_max)) is not None:
        return error
    return _check_texts(operation, settings)


def _check_page(operation: ListRoles | ListUsers | ListTokens | ReadAudit, settings: Settings) -> CoordError | None:
    if operation.limit < 0 or (type(operation) is ReadAudit and not 0 <= operation.after < 2**53):
        return BadRequest("a list begins after something and has a limit: neither is below 0")
    return None


_CHANGES = (SetRole, RemoveRole, SetUser, RemoveUser, AddToken, RemoveToken)
_READS = (ListRoles, ListUsers, ListTokens, ReadAudit)


class Auth(Service):
    LEVELS: ClassVar[Mapping[type, int]] = dict.fromkeys((*_CHANGES, *_READS, Noted), LEVEL)
    RIGHTS: ClassVar[Mapping[type, Rights]] = {
        **dict.fromkeys(_CHANGES, needs(ADMIN, MANAGE, over=NONE)),
        **dict.fromkeys(_READS, needs(ADMIN, READ, over=NONE)),
    }
    CHECKS: ClassVar[Mapping[type, Check]] = {
        SetRole: _check_set_role,
        RemoveRole: _check_named,
        SetUser: _check_set_user,
        RemoveUser: _check_named,
        AddToken: _check_token,
        RemoveToken: _check_token,
        **dict.fromkeys(_READS, _check_page),
    }
    ADDS_DATA: ClassVar[tuple[type, ...]] = (SetRole, SetUser, AddToken)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._roles: Table[Role] = Table(ROLES_ID, Role)
        self._users: Table[User] = Table(USERS_ID, User)
        self._tokens: Table[Token] = Table(TOKENS_ID, Token)
        self._owners: Table[str] = Table(OWNERS_ID, str)  # session -> user; no row: nobody had to say who it is
        self.audit = Audit(context)
        self.version = 0  # of what is decided by; grows with each change of it, here only: what was derived from an older one is void
        self.containers = (self._roles, self._users, self._tokens, self._owners, self.audit.table)
        self.routes = {
            SetRole: self.set_role,
            RemoveRole: self.remove_role,
            SetUser: self.set_user,
            RemoveUser: self.remove_user,
            AddToken: self.add_token,
            RemoveToken: self.remove_token,
            Noted: self.note,
        }
        self.reads = {ListRoles: self.roles, ListUsers: self.users, ListTokens: self.tokens, ReadAudit: self.audit.page}
        context.own = self.own

    # --- what is decided by --------------------------------------------------------------------------------------------

    def is_on(self) -> bool:
        return self._roles.count > 0

    def user_of(self, digest: bytes) -> str | None:
        """Whose token it is; None: nobody's."""
        token = self._tokens.get(digest)
        return token.user if token is not None else None

    def grants_of(self, user: str) -> Iterator[Grant]:
        """None for a user that is not there."""
        found = self._users.get(user.encode())
        for name in found.roles if found is not None else ():
            if name == ADMIN_ROLE:
                yield from ADMIN_GRANTS
            elif (role := self._roles.get(name.encode())) is not None:
                yield from role.grants

    def owner_of(self, session: SessionId) -> str:
        """ "": it was opened by somebody who did not have to say who it is."""
        return (self._owners.get(_pack(session)) or "") if session > 0 else ""

    # --- sessions ------------------------------------------------------------------------------------------------------

    def own(self, session: SessionId, user: str) -> None:
        self._owners.set(_pack(session), user)
        self.context.scalars.state_bytes += len(user)

    def on_session_end(self, session: SessionId, is_clean: bool) -> None:
        user = self._owners.get(_pack(session))
        if user is not None:
            self._owners.delete(_pack(session))
            self.context.scalars.state_bytes -= len(user)

    # --- changes -------------------------------------------------------------------------------------------------------

    def set_role(self, operation: SetRole) -> Result:
        key = operation.name.encode()
        old, new = self._roles.get(key), Role(operation.grants)
        if old is None and self._roles.count >= ROLES_MAX:
            return failure(Full(f"there are {ROLES_MAX} roles already; remove one"))
        before, after = _shown_grants(old.grants) if old is not None else "", _shown_grants(new.grants)
        return self._change(operation, self._roles, key, old, new, f"role {operation.name}", before, after)

    def remove_role(self, operation: RemoveRole) -> Result:
        key = operation.name.encode()
        old = self._roles.get(key)
        if old is None:
            return failure(Missing(f"there is no role {operation.name}"))
        holder = next((name for name, user in self._users.items() if operation.name in user.roles), None)
        if holder is not None:
            return failure(Conflict(f"user {holder.decode()} has role {operation.name}; give that user other roles first"))
        if self._roles.count == 1 and not operation.opens:
            return failure(
                Conflict(
                    f"{operation.name} is the last role: without it everybody who can connect may do everything; say that this is meant"
                )
            )
        return self._change(operation, self._roles, key, old, None, f"role {operation.name}", _shown_grants(old.grants), "")

    def set_user(self, operation: SetUser) -> Result:
        key = operation.name.encode()
        old = self._users.get(key)
        for name in operation.roles:
            if name != ADMIN_ROLE and self._roles.get(name.encode()) is None:
                return failure(Missing(f"there is no role {name}; make it before it is given to somebody"))
        if old is None and self._users.count >= USERS_MAX:
            return failure(Full(f"there are {USERS_MAX} users already; remove one"))
        new = User(operation.roles, old.tokens if old is not None else 0)
        before = _shown_roles(old) if old is not None else ""
        return self._change(operation, self._users, key, old, new, f"user {operation.name}", before, _shown_roles(new))

    def remove_user(self, operation: RemoveUser) -> Result:
        key = operation.name.encode()
        old = self._users.get(key)
        if old is None:
            return failure(Missing(f"there is no user {operation.name}"))
        result = self._change(operation, self._users, key, old, None, f"user {operation.name}", _shown_roles(old), "")
        if type(result) is Done and old.tokens:
            for digest in [digest for digest, token in self._tokens.items() if token.user == operation.name]:
                self._put(self._tokens, digest, self._tokens.get(digest), None)
        return result

    def add_token(self, operation: AddToken) -> Result:
        key = operation.user.encode()
        user = self._users.get(key)
        if user is None:
            return failure(Missing(f"there is no user {operation.user}"))
        if self._tokens.get(operation.digest) is not None:
            return failure(Conflict("this token is there already"))
        if user.tokens >= USER_TOKENS_MAX:
            return failure(Full(f"user {operation.user} has {USER_TOKENS_MAX} tokens already; remove one"))
        new = Token(operation.user, operation.note, self.context.wall_ms)
        what = f"token {_shown_token(operation.digest)} of {operation.user}"
        result = self._change(operation, self._tokens, operation.digest, None, new, what, "", operation.note or "there")
        if type(result) is Done:
            self._users.set(key, User(user.roles, user.tokens + 1))
        return result

    def remove_token(self, operation: RemoveToken) -> Result:
        old = self._tokens.get(operation.digest)
        if old is None:
            return failure(Missing("there is no such token"))
        user = self._users.get(old.user.encode())
        assert user is not None, "a token without its user"
        self._users.set(old.user.encode(), User(user.roles, user.tokens - 1))
        what = f"token {_shown_token(operation.digest)} of {old.user}"
        result = self._change(operation, self._tokens, operation.digest, old, None, what, old.note or "there", "")
        if type(result) is not Done:
            self._users.set(old.user.encode(), user)
        return result

    def note(self, operation: Noted) -> Result:
        self.audit.note(operation.by, operation.place, operation.what, operation.before, operation.after, operation.reason)
        return Done(self.context.scalars.revision)

    def _change(self, operation: Any, table: Table[Any], key: bytes, old: Any, new: Any, what: str, before: str, after: str) -> Result:
        """Undone and refused where it would leave nobody who could change it again. `changed` 0: it was so already."""
        context = self.context
        if old == new:
            return Done(context.scalars.revision, 0)
        if new is not None and not context.has_room(_charge(key, new)):
            return failure(StateFull(f"{what} would pass {context.settings.state_bytes_max} bytes in all; delete something"))
        self._put(table, key, old, new)
        if not operation.by.startswith(BY_CERTIFICATE) and self.is_on() and not self._has_admin():
            self._put(table, key, new, old)
            return failure(
                Conflict(
                    "nobody could change this again: first `coordctl auth user add NAME --role admin` and `coordctl auth token add NAME`, "
                    "or ask with the operator's certificate"
                )
            )
        self.version += 1
        self.audit.note(operation.by, operation.place, what, before, after, operation.reason)
        return Done(context.scalars.revision)

    def _put(self, table: Table[Any], key: bytes, old: Any, new: Any) -> None:
        scalars = self.context.scalars
        if old is not None:
            scalars.state_bytes -= _charge(key, old)
        if new is None:
            table.delete(key)
        else:
            table.set(key, new)
            scalars.state_bytes += _charge(key, new)

    def _has_admin(self) -> bool:
        """Somebody who can prove it by a token may change what is here."""
        for name, user in self._users.items():
            if user.tokens and any([(grant.area, grant.level) == (ADMIN, MANAGE) for grant in self.grants_of(name.decode())]):
                return True
        return False

    # --- reads ---------------------------------------------------------------------------------------------------------

    def roles(self, operation: ListRoles, items_max: int, bytes_max: int) -> Result:
        admin = [] if operation.after else [RoleInfo(ADMIN_ROLE, ADMIN_GRANTS)]
        rows, more = _page(self._roles, operation.after.encode(), operation.limit or items_max, items_max)
        return RolePage(self.context.scalars.revision, admin + [RoleInfo(name.decode(), role.grants) for name, role in rows], more)

    def users(self, operation: ListUsers, items_max: int, bytes_max: int) -> Result:
        rows, more = _page(self._users, operation.after.encode(), operation.limit or items_max, items_max)
        return UserPage(self.context.scalars.revision, [UserInfo(name.decode(), user.roles, user.tokens) for name, user in rows], more)

    def tokens(self, operation: ListTokens, items_max: int, bytes_max: int) -> Result:
        rows, more = _page(self._tokens, operation.after, operation.limit or items_max, items_max)
        found = [TokenInfo(digest, token.user, token.note, token.since_wall_ms) for digest, token in rows]
        return TokenPage(self.context.scalars.revision, found, more)


def _page(table: Table[Any], after: bytes, limit: int, items_max: int) -> tuple[list[tuple[bytes, Any]], bool]:
    rows: list[tuple[bytes, Any]] = []
    for key, leaf in table.scan(after + b"\0" if after else b""):
        if len(rows) == min(limit, items_max):
            return rows, True
        rows.append((key, leaf))
    return rows, False


def _shown_token(digest: bytes) -> str:
    return digest[:4].hex()


def _charge(key: bytes, leaf: Role | User | Token) -> int:
    """Of a user's tokens each counts for itself."""
    if type(leaf) is Role:
        return ROW_CHARGE_BYTES + len(key) + sum([ROW_CHARGE_BYTES + len(grant.prefix) for grant in leaf.grants])
    if type(leaf) is User:
        return ROW_CHARGE_BYTES + len(key) + sum([len(role) for role in leaf.roles])
    assert type(leaf) is Token
    return ROW_CHARGE_BYTES + len(leaf.user) + len(leaf.note)
