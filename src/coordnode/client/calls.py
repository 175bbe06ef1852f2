"""One call, from being asked until its only outcome: what was attempted, and whether anything may have happened. Pure."""

from typing import cast

import msgspec

from coordnode.errors import BY_CODE, CoordError, NoSpace, NotLeader, NotReady, Overloaded, SessionExpired, TooOld, Unknown, Unreachable
from coordnode.ids import Revision, Sequence, SessionId
from coordnode.services.commands import ClientCommand, ClientOperation, ReadOperation, encode
from coordnode.services.dialogue import Ask, ConfigAsk, ErrorReply, KeepAliveAsk, LevelAsk, ReadAsk, TransferAsk, WriteAsk

AdministrativeAsk = TransferAsk | ConfigAsk | LevelAsk | KeepAliveAsk

RETRIED = (NotLeader, NotReady, Overloaded, NoSpace)  # the refusals that may be over a moment later
NOT_FROM_THE_WINDOW = (SessionExpired, TooOld)  # says nothing about what became of an earlier attempt


def error_of(code: int, sentence: str, retry_after_ms: int = 0) -> CoordError:
    error = BY_CODE.get(code, Unknown)(sentence)
    error.retry_after_ms = retry_after_ms
    return error


class Call:
    """Its outcome is definite only if every attempt was."""

    __slots__ = (
        "administrative",
        "attempts",
        "body",
        "closes",
        "command",
        "deadline_ms",
        "doubt",
        "first_sent_ms",
        "here",
        "id",
        "internal",
        "is_write",
        "min_revision",
        "operation",
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
        self.operation: ClientOperation | ReadOperation = None
        self.command: ClientCommand | None = None  # instead of an operation: somebody else keeps its session and sequence
        self.session = 0  # our number of the session it belongs to; 0: none
        self.sequence = 0  # given when first sent, then never changed
        self.request_id = ""
        self.closes = 0  # our number of the session that it ends
        self.administrative: AdministrativeAsk | None = None
        self.body = b""  # of a read
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

    def ask(self, request: int, session: SessionId, lowest_open: int) -> Ask:
        if self.administrative is not None:
            return msgspec.structs.replace(self.administrative, request=request)
        if not self.is_write:
            return ReadAsk(request, self.body, self.stale, self.min_revision, self.here)
        if self.command is not None:
            return WriteAsk(request, encode(self.command))
        operation = cast(ClientOperation, self.operation)  # what is only ever a read was asked for above
        sequence = Sequence(self.sequence)
        return WriteAsk(request, encode(ClientCommand(session, sequence, Sequence(lowest_open), self.request_id, operation)))

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
