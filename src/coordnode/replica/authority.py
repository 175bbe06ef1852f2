"""Who is connected to this member, what each may do, and what was denied. Pure."""

from collections import deque
from hashlib import sha256
from typing import NamedTuple

import msgspec

from coordnode.errors import BadRequest, NotPermitted
from coordnode.ids import SessionId
from coordnode.replica.openings import Openings
from coordnode.replica.told import TOLD, is_told
from coordnode.services.auth.permits import Permit
from coordnode.services.auth.service import LEVEL
from coordnode.services.callers import NOBODY_KNOWN, Caller, identity_of
from coordnode.services.commands import (
    AddToken,
    ClientCommand,
    Noted,
    OpenSession,
    RemoveRole,
    RemoveToken,
    RemoveUser,
    SessionOpened,
    SetRole,
    SetUser,
    decode_result,
    encode,
)
from coordnode.services.levels import MENDED
from coordnode.services.machine import Machine

DENIALS_KEPT_MAX = 16  # that nobody has taken yet; all are counted

SIGNED = frozenset((SetRole, RemoveRole, SetUser, RemoveUser, AddToken, RemoveToken))
"""What the leader puts its asker's name under. Whatever a client wrote there is replaced."""


class Denial(NamedTuple):
    by: str
    place: str
    what: str
    sentence: str


class Authority:
    def __init__(self, client_sessions_max: int) -> None:
        self.openings = Openings(client_sessions_max)
        self.denials = 0
        self.denied: deque[Denial] = deque(maxlen=DENIALS_KEPT_MAX)
        self._callers: dict[int, Caller] = {}
        self._permits: dict[int, Permit] = {}  # by connection; what was derived from an older version of the machine's auth is forgotten
        self._machine: Machine | None = None
        self._version = 0
        self._reviewed: Machine | None = None
        self._reviewed_version = 0

    def on_opened(self, connection: int, caller: Caller) -> None:
        self._callers[connection] = caller

    def on_closed(self, connection: int) -> None:
        self._callers.pop(connection, None)
        self._permits.pop(connection, None)

    def is_to_review(self, machine: Machine) -> bool:
        """What was permitted for longer than one answer may not be any more."""
        return machine is not self._reviewed or machine.auth.version != self._reviewed_version

    def reviewed(self, machine: Machine) -> None:
        self._reviewed, self._reviewed_version = machine, machine.auth.version

    def permit(self, machine: Machine, connection: int) -> Permit:
        if machine is not self._machine or machine.auth.version != self._version:
            self._permits.clear()
            self._machine, self._version = machine, machine.auth.version
        permit = self._permits.get(connection)
        if permit is None:
            permit = self._permits[connection] = Permit(machine.auth, self._callers.get(connection, NOBODY_KNOWN))
        return permit

    def identity(self, machine: Machine, connection: int) -> str:
        """Whose sessions count together: a user's, however it proves who it is, or a host's."""
        user = self.permit(machine, connection).user
        return f"user {user}" if user else identity_of(self._callers.get(connection, NOBODY_KNOWN))

    def opened(self, machine: Machine, connection: int, session: SessionId) -> None:
        self.openings.opened(session, self.identity(machine, connection))

    def on_denied(self, connection: int, what: object, error: NotPermitted) -> None:
        caller = self._callers.get(connection, NOBODY_KNOWN)
        self.note(caller, what, error)

    def note(self, caller: Caller, what: object, error: NotPermitted) -> None:
        self.denials += 1
        self.denied.append(Denial(caller.user or caller.name, caller.place, type(what).__name__, error.sentence))

    def note_of(self, machine: Machine, connection: int, permit: Permit, asked: object) -> Noted | None:
        """What the audit log is to say of it; None: it is no operator's doing, or writes its own record."""
        if not is_told(asked) or machine.level < LEVEL:
            return None
        what, before, after, reason = TOLD[type(asked)](asked)
        return Noted(permit.by, self._callers.get(connection, NOBODY_KNOWN).place, what, before, after, reason)

    def signed(self, machine: Machine, connection: int, permit: Permit, body: bytes, command: ClientCommand) -> tuple[bytes, ClientCommand]:
        """The command as it is to stand in the log: with what only the leader knows of its asker."""
        operation = command.operation
        request_id = command.request_id
        if type(operation) is OpenSession:
            if operation.user:
                raise BadRequest("whose a session is, is not the client's to say")
            self.openings.check(self.identity(machine, connection))
            if permit.user and machine.level >= LEVEL:
                operation = msgspec.structs.replace(operation, user=permit.user)
            if permit.is_scoped and _is_to_scope(machine, permit.user, operation.nonce, request_id):
                operation = msgspec.structs.replace(operation, nonce=scoped_nonce(permit.user, operation.nonce))
            request_id = ""  # below MENDED, a nonce with two request ids would open two sessions
        elif type(operation) in SIGNED:
            place = self._callers.get(connection, NOBODY_KNOWN).place
            operation = msgspec.structs.replace(operation, by=permit.by, place=place)
        if request_id and permit.is_scoped:
            request_id = scoped(permit.user, request_id)
        if operation is command.operation and request_id == command.request_id:
            return body, command
        command = msgspec.structs.replace(command, operation=operation, request_id=request_id)
        return encode(command), command


def _is_to_scope(machine: Machine, user: str, nonce: bytes, request_id: str) -> bool:
    """Not where an earlier attempt, whose answer was lost, stands in the log with the nonce as it was: from before the level was raised,
    or by a leader of an older build, which wrote the request id beside it."""
    if not request_id and machine.level < MENDED:
        return False  # older builds lead yet, and would not find it
    opened = machine.find_opened(nonce)
    if opened is None:
        return True
    if request_id and machine.find_answered(scoped(user, request_id)) == opened:
        return False
    result = decode_result(opened.result)
    assert isinstance(result, SessionOpened)
    return machine.auth.owner_of(result.session) != user


def scoped(user: str, request_id: str) -> str:
    """Nobody finds what another user's request was answered with."""
    return sha256(f"{user}\0{request_id}".encode()).hexdigest()


def scoped_nonce(user: str, nonce: bytes) -> bytes:
    """Likewise: over HTTP a nonce is made of an Idempotency-Key, which is no secret."""
    return sha256(user.encode() + b"\0" + nonce).digest()
