"""What one caller may do, compiled from the grants of its user, so that asking with every operation costs next to nothing. Pure."""

from collections.abc import Iterable
from typing import Any

from coordnode.errors import NotPermitted
from coordnode.ids import SessionId
from coordnode.ranges import prefix_end
from coordnode.services.auth.service import BY_CERTIFICATE, OPERATOR, Auth
from coordnode.services.callers import MEMBER, Caller
from coordnode.services.commands import (
    BARRIERS,
    COUNTERS,
    ELECTIONS,
    GROUPS,
    JOURNALS,
    LOCKS,
    NOTICES,
    QUEUES,
    SHARDS,
    TOKEN,
    Compare,
    Grant,
)
from coordnode.services.commands import KV as KV_SPACE
from coordnode.services.dialogue import ConfigAsk, KeepAliveAsk, LevelAsk, TransferAsk, WatchAsk
from coordnode.services.registry import RIGHTS
from coordnode.services.rights import (
    ADMIN,
    ANYTHING,
    AREAS,
    BARRIER,
    COUNTER,
    ELECT,
    GROUP,
    JOURNAL,
    KV,
    LEVELS,
    LOCK,
    MANAGE,
    NAME,
    NONE,
    PREFIX,
    QUEUE,
    RANGE,
    READ,
    SESSION,
    SHARD,
    USE,
    Right,
    Rights,
    needs,
)
from coordnode.services.sessions import session_over

NAME_LETTERS_MAX = 60  # of what nobody proved, in the audit log

SPACES: dict[int, int] = {
    KV_SPACE: KV,
    LOCKS: LOCK,
    ELECTIONS: ELECT,
    GROUPS: GROUP,
    QUEUES: QUEUE,
    SHARDS: SHARD,
    BARRIERS: BARRIER,
    COUNTERS: COUNTER,
    JOURNALS: JOURNAL,
}
"""Which area what a watch sees is of."""

ASKS: dict[type, Rights] = {
    type(None): needs(ADMIN, READ, over=ANYTHING),  # a read of nothing: only the barrier
    KeepAliveAsk: needs(ADMIN, USE, over=ANYTHING),  # and only the own sessions: others do not exist
    TransferAsk: needs(ADMIN, MANAGE, over=NONE),
    ConfigAsk: needs(ADMIN, MANAGE, over=NONE),
    LevelAsk: needs(ADMIN, MANAGE, over=NONE),
}
"""What is asked and is no operation of a service; a watch looks at what its space says."""

NEEDED: dict[type, Rights] = {**RIGHTS, **ASKS}
_TOKENS_OF = (LOCK, ELECT, SHARD, QUEUE)  # whose tokens a comparison may ask about: it does not say of which


def _slot(area: int, level: int) -> int:
    return area * len(LEVELS) + level


_NAMED: dict[type, tuple[int, str]] = {
    kind: (_slot(rights[0].area, rights[0].level), rights[0].field)
    for kind, rights in NEEDED.items()
    if len(rights) == 1 and rights[0].over == NAME
}
"""Nearly all that is asked: one name, one right."""


class Permit:
    """In force until the version of Auth changes."""

    __slots__ = ("_anything", "_auth", "_prefixes", "by", "is_scoped", "may_all", "refusal", "user")

    def __init__(self, auth: Auth, caller: Caller) -> None:
        found = auth.user_of(caller.token) if caller.token else None
        self._auth = auth
        self.refusal = ""  # whatever is asked
        if found is not None:
            self.user, self.by = found, f"token:{found}"
        elif caller.user and not caller.token:
            self.user, self.by = caller.user, f"{BY_CERTIFICATE}{caller.user}"
        else:
            self.user, self.by = "", f"unproven:{_in_one_line(caller.name)}"
            if caller.token:
                self.refusal = "this token is not known here, or was removed: see COORD_AUTH_TOKEN_FILE"
            elif auth.is_on():
                self.refusal = "nobody may do anything here without a certificate or a token: name a file with one in COORD_AUTH_TOKEN_FILE"
        is_above = self.user == OPERATOR or self.user.startswith(MEMBER)
        self.is_scoped = bool(self.user) and not is_above  # whatever the roles say: a retry means the same before and after they change
        self.may_all = not self.refusal and (is_above or not auth.is_on())
        grants = list(auth.grants_of(self.user)) if not self.may_all and self.user else []
        self._prefixes = [_prefixes(grants, area, level) for area in range(len(AREAS)) for level in range(len(LEVELS))]
        self._anything = [any([grant.level >= level for grant in grants]) for level in range(len(LEVELS))]

    def check(self, operation: object) -> None:
        """Raises NotPermitted, or what would be said if there were no such session. Nothing that it says depends on what exists."""
        if self.may_all:
            return
        if self.refusal:
            raise NotPermitted(self.refusal)
        kind = type(operation)
        named = _NAMED.get(kind)
        if named is not None:
            if not getattr(operation, named[1]).startswith(self._prefixes[named[0]]):
                raise self._denied(Right(named[0] // len(LEVELS), named[0] % len(LEVELS), named[1]), operation)
        elif kind is WatchAsk:
            self._check_watch(operation)
        elif kind is Compare:
            self._check_compare(operation)
        else:
            for right in NEEDED[kind]:
                if not self._has(right, operation):
                    raise self._denied(right, operation)

    def check_session(self, session: SessionId) -> None:
        """May it use this one?"""
        if not self.owns(session):
            raise session_over(session)

    def owns(self, session: SessionId) -> bool:
        return self.may_all or self._auth.owner_of(session) in ("", self.user)

    def _has(self, right: Right, operation: Any) -> bool:
        prefixes = self._prefixes[_slot(right.area, right.level)]
        over = right.over
        if over == NONE:
            return b"" in prefixes
        if over == ANYTHING:
            return self._anything[right.level]
        if over == SESSION:
            if self._anything[READ] and b"" not in prefixes:
                self.check_session(getattr(operation, right.field))
            return self._anything[READ]
        if over == RANGE:
            return _covers(prefixes, operation.start, operation.end)
        assert over in (NAME, PREFIX)
        return bool(getattr(operation, right.field).startswith(prefixes))

    def _check_watch(self, ask: Any) -> None:
        if ask.space == NOTICES:
            session = SessionId(int.from_bytes(ask.start, "big"))
            if len(ask.start) == 8 and ask.end == ask.start + b"\0" and self._anything[READ]:
                self.check_session(session)
                return
            raise self._denied(Right(ADMIN, MANAGE, over=NONE), ask)
        area = SPACES.get(ask.space)
        if area is None or not _covers(self._prefixes[_slot(area, READ)], ask.start, ask.end):
            raise self._denied(Right(KV if area is None else area, READ, over=RANGE), ask)

    def _check_compare(self, compare: Any) -> None:
        areas: Iterable[int] = _TOKENS_OF if compare.field == TOKEN else (KV,)
        if not any([compare.key.startswith(self._prefixes[_slot(area, READ)]) for area in areas]):
            raise self._denied(Right(LOCK if compare.field == TOKEN else KV, READ, "key"), compare)

    def _denied(self, right: Right, operation: Any) -> NotPermitted:
        if right.over == NAME:
            asked = f" {_shown(getattr(operation, right.field))}"
        elif right.over == PREFIX:
            asked = f" whatever begins with {_shown(getattr(operation, right.field))!r}"
        elif right.over == RANGE:
            asked = f" all from {_shown(operation.start)!r} to {_shown(operation.end)!r}"
        else:
            asked = ""
        what = "anything" if right.over == ANYTHING else AREAS[right.area]
        return NotPermitted(f"user {self.user} may not {LEVELS[right.level]} {what}{asked}: no role of that user grants it")


def _in_one_line(name: str) -> str:
    return "".join(["?" if letter < " " or letter == "\x7f" else letter for letter in name[:NAME_LETTERS_MAX]])


def _shown(name: bytes) -> str:
    return name.decode(errors="replace")


def _prefixes(grants: list[Grant], area: int, level: int) -> tuple[bytes, ...]:
    return tuple([grant.prefix for grant in grants if grant.area == area and grant.level >= level])


def _covers(prefixes: tuple[bytes, ...], start: bytes, end: bytes) -> bool:
    """Whether every name from `start` up to, but without, `end` begins with one of them."""
    for prefix in prefixes:
        behind = prefix_end(prefix)
        if start.startswith(prefix) and (not behind or (end and end <= behind)):
            return True
    return False
