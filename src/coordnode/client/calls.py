"""One call, from being asked until its only outcome: what was attempted, and whether anything may have happened. Pure."""

from typing import cast

import msgspec

from coordnode.errors import (
    BY_CODE,
    BadRequest,
    CoordError,
    NoSpace,
    NotLeader,
    NotReady,
    Overloaded,
    SessionExpired,
    TooLarge,
    TooOld,
    Unknown,
    Unreachable,
)
from coordnode.ids import NO_SESSION, Revision, Sequence, SessionId
from coordnode.services.commands import ClientCommand, ClientOperation, encode
from coordnode.services.dialogue import Ask, ConfigAsk, ErrorReply, KeepAliveAsk, LevelAsk, ReadAsk, TransferAsk, WriteAsk
from coordnode.wire.bodies import ASK_BYTES_MAX

AdministrativeAsk = TransferAsk | ConfigAsk | LevelAsk | KeepAliveAsk

RETRIED = (NotLeader, NotReady, Overloaded, NoSpace)  # the refusals that may be over a moment later
NOT_FROM_THE_WINDOW = (SessionExpired, TooOld)  # says nothing about what became of an earlier attempt

BODY_LENGTH_BYTES = 3  # that the length of a large body takes more than that of none


def error_of(code: int, sentence: str, retry_after_ms: int = 0) -> CoordError:
    error = BY_CODE.get(code, Unknown)(sentence)
    error.retry_after_ms = retry_after_ms
    return error


def encoded(asked: object) -> bytes:
    """Raises BadRequest: what was given is no number of 64 bits, say, or no text."""
    try:
        return encode(asked)
    except (OverflowError, TypeError, ValueError, RecursionError) as error:
        raise BadRequest(f"this cannot be sent to a member ({error}): give numbers of at most 64 bits, and text that is UTF-8") from None


def check(ask: Ask, more_bytes: int = 0) -> None:
    """Raises BadRequest or TooLarge for what no frame can carry: on its way it would take along whatever travels with it."""
    size = len(encoded(ask)) + more_bytes
    if size > ASK_BYTES_MAX:
        raise TooLarge(f"a request of {size} bytes was not sent: {ASK_BYTES_MAX} fit into one; divide it")


class Call:
    """Its outcome is definite only if every attempt was."""

    __slots__ = (
        "administrative",
        "attempts",
        "body",
        "closes",
        "deadline_ms",
        "doubt",
        "first_sent_ms",
        "here",
        "id",
        "internal",
        "is_command",
        "is_write",
        "min_revision",
        "refusal",
        "request",
        "request_id",
        "retry_safe",
        "sent_ms",
        "sequence",
        "session",
        "stale",
    )

    def __init__(self, call: int, deadline_ms: int) -> None:
        self.id = call
        self.deadline_ms = deadline_ms
        self.session = 0  # our number of the session it belongs to; 0: none
        self.sequence = 0  # given when first sent, then never changed
        self.request_id = ""
        self.closes = 0  # our number of the session that it ends
        self.administrative: AdministrativeAsk | None = None
        self.body = b""  # the operation
        self.is_command = False  # the body is a whole command: somebody else keeps its session and sequence
        self.stale = False
        self.here = False  # a read that any member may answer
        self.min_revision = Revision(0)
        self.is_write = False
        self.retry_safe = False  # sending it twice does what sending it once does
        self.internal = False  # the core's own; nobody waits for its outcome
        self.request = 0  # the attempt under way; 0: none
        self.attempts = 0
        self.sent_ms = 0
        self.first_sent_ms = 0
        self.refusal: CoordError | None = None  # the last definite one
        self.doubt: CoordError | None = None  # set once an attempt may have taken effect, and then for good

    def check(self) -> None:
        """As `check`. Its body is encoded already, and only measured."""
        check(self._ask_around(b"", 0, NO_SESSION, 0), len(self.body) + BODY_LENGTH_BYTES)

    def ask(self, request: int, session: SessionId, lowest_open: int) -> Ask:
        return self._ask_around(self.body, request, session, lowest_open)

    def _ask_around(self, body: bytes, request: int, session: SessionId, lowest_open: int) -> Ask:
        if self.administrative is not None:
            return msgspec.structs.replace(self.administrative, request=request)
        if not self.is_write:
            return ReadAsk(request, body, self.stale, self.min_revision, self.here)
        if self.is_command:
            return WriteAsk(request, body)
        operation = cast(ClientOperation, msgspec.Raw(body))
        sequence = Sequence(self.sequence)
        return WriteAsk(request, encoded(ClientCommand(session, sequence, Sequence(lowest_open), self.request_id, operation)))

    def on_sent(self, request: int, now_ms: int) -> None:
        if self.attempts == 0:
            self.first_sent_ms = now_ms
        self.attempts += 1
        self.request = request
        self.sent_ms = now_ms

    def on_lost(self, error: CoordError) -> None:
        """The attempt under way will not be answered."""
        self.request = 0
        if not self.is_write:
            self.refusal = error
        elif self.doubt is None:
            self.doubt = error

    def on_error(self, answer: ErrorReply) -> bool:
        """Whether to try again."""
        self.request = 0
        error = error_of(answer.code, answer.sentence, answer.retry_after_ms)
        if answer.definite:
            self.refusal = error
            return isinstance(error, RETRIED) and self.may_resend()
        if isinstance(error, TooOld):
            self.doubt = self.doubt or Unknown(f"it was answered before, and the answer is gone: {answer.sentence}")
            return False
        self.on_lost(error if not error.definite else Unknown(answer.sentence))
        return self.may_resend()

    def may_resend(self) -> bool:
        return self.retry_safe or self.doubt is None

    def is_reached_by(self, error: CoordError) -> bool:
        """Closing a session that is over has reached what was wanted."""
        return bool(self.closes) and isinstance(error, SessionExpired)

    def failure(self, error: CoordError) -> CoordError:
        """An applied Failure. Unless it came from outside the reply window, it speaks for all attempts."""
        if self.is_reached_by(error):
            return error
        if isinstance(error, TooOld):
            return Unknown(f"it was answered before, and the answer is gone: {error.sentence}")
        if self.doubt is not None and isinstance(error, NOT_FROM_THE_WINDOW):
            return Unknown(f"{self.doubt.sentence}; then: {error.sentence}")
        return error

    def ended(self, error: CoordError) -> CoordError:
        """The outcome when the owner of the call gives up on it: `error` says why, the attempts say how sure we are."""
        if self.request and self.is_write:
            self.on_lost(Unknown("no answer came"))
        if self.doubt is not None:
            return error if not error.definite else type(self.doubt)(f"{self.doubt.sentence}; then: {error.sentence}")
        if error.definite:
            return error
        if self.refusal is not None and self.refusal.definite:
            return self.refusal
        if self.attempts == 0:
            return Unreachable(f"{error.sentence}: no member could be asked")
        return error
