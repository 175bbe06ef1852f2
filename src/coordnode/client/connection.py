"""The one connection that a client has at a time: whether it is up, how long it may be silent, when it is over. Pure.

To whom it goes is the route's to say; what becomes of what was not answered over it, the core's.
"""

from coordnode.client.calls import Call
from coordnode.client.route import Route
from coordnode.client.sessions import NEVER, Sessions
from coordnode.client.subscriptions import Subscriptions
from coordnode.ids import NOBODY, MemberId

DOWN, CONNECTING, UP, LEAVING = range(4)  # LEAVING: it does not lead; sends nothing new, waits briefly for answers under way

LEAVE_MS_MAX = 50
HUNG_UP_AVOID_MS = 60  # it refuses at once, which costs nothing to see, and may be back and lead a moment later; silence costs far more
PATIENCE_DOUBLINGS_MAX = 3
PROBE_MS = 3_000  # watches alone: after this much silence, ask something, or a dead connection would never be noticed


class Connection:
    def __init__(self, route: Route, sessions: Sessions, watches: Subscriptions, request_timeout_ms: int) -> None:
        self._route = route
        self._sessions = sessions  # short leases have little patience with a silent member
        self._watches = watches  # which wait for whatever comes
        self._request_timeout_ms = request_timeout_ms
        self.state = DOWN
        self.calls: dict[int, Call] = {}  # request -> call that is not answered, in the order of sending
        self.renewals: dict[int, int] = {}  # request of a keep-alive -> when it was sent
        self._since_ms = 0  # of the state
        self._hint: MemberId = NOBODY
        self._waiting_since_ms: int | None = None  # something is unanswered, and nothing was heard since
        self._heard_ms = 0
        self._usual_ms = 0  # how long answers take of late, the slow ones counted
        self._silent = 0  # members that were left for their silence, one after the other, since anybody answered
        self._patient_until_ms = 0  # until then nobody is silent: it is we who did not listen

    # --- what happened ---------------------------------------------------------------------------------------------

    def on_connected(self, member: MemberId, now_ms: int) -> bool:
        """Whether it is the one that was asked for."""
        if self.state != CONNECTING or member != self._route.member:
            return False
        self.state = UP
        self._heard_ms = now_ms
        self._waiting_since_ms = None
        return True

    def on_disconnected(self, member: MemberId, now_ms: int) -> bool:
        """Whether it was this one; also when it could not be made."""
        if self.state == DOWN or member != self._route.member:
            return False
        if self.state == LEAVING:
            self._go_on(now_ms)
        else:
            self._avoid(now_ms, HUNG_UP_AVOID_MS)
        return True

    def is_from(self, member: MemberId) -> bool:
        """What this member says now is said over this connection."""
        return member == self._route.member and self.state in (UP, LEAVING)

    def on_heard(self, now_ms: int) -> None:
        self._heard_ms = now_ms
        if self._waiting_since_ms is not None:
            self._waiting_since_ms = now_ms

    def on_answered(self, sent_ms: int, now_ms: int) -> None:
        """A call or a keep-alive, asked at that time."""
        self._silent = 0
        self._usual_ms = max(now_ms - sent_ms, self._usual_ms - self._usual_ms // 8)

    def on_late(self, now_ms: int) -> None:
        """Our owner did not come in time: what it did not read yet is no silence of the member's."""
        self._patient_until_ms = now_ms + self._request_timeout_ms

    def maybe_at_rest(self) -> None:
        if not self.calls and not self.renewals:
            self._waiting_since_ms = None

    def on_asked(self, now_ms: int) -> None:
        if self._waiting_since_ms is None:
            self._waiting_since_ms = now_ms

    def on_not_leader(self, leader: MemberId, now_ms: int) -> None:
        if self.state != LEAVING:
            self.state = LEAVING
            self._since_ms = now_ms
            self._hint = NOBODY
        if leader != NOBODY:
            self._hint = leader

    # --- what is due -----------------------------------------------------------------------------------------------

    def wants_probe(self, now_ms: int) -> bool:
        """Nothing was heard for long, and nothing is unanswered that would tell whether the member is there."""
        return self.state == UP and self._waiting_since_ms is None and now_ms >= self.hang_up_at_ms()

    def on_probed(self, now_ms: int) -> None:
        self._heard_ms = now_ms

    def maybe_end(self, now_ms: int) -> str:
        """Why it is over now; "" when it is not."""
        if self.state == UP and self._waiting_since_ms is not None and now_ms >= self.hang_up_at_ms():
            why = "the member fell silent"
        elif self.state == CONNECTING and now_ms >= self._unreachable_at_ms():
            why = "the member could not be reached"
        elif self.state == LEAVING and (not self.calls or now_ms >= self._since_ms + LEAVE_MS_MAX):
            self._go_on(now_ms)
            return "the member does not lead"
        else:
            return ""
        self._silent += 1
        self._avoid(now_ms, 2 * self._request_timeout_ms)
        return why

    def maybe_begin(self, now_ms: int) -> bool:
        if self.state != DOWN or now_ms < self._route.try_at_ms:
            return False
        self.state = CONNECTING
        self._since_ms = now_ms
        return True

    def wake_at_ms(self) -> int:
        """When `maybe_end` or `maybe_begin` must be asked again."""
        if self.state == UP:
            return self.hang_up_at_ms()
        if self.state == DOWN:
            return self._route.try_at_ms
        return self._since_ms + LEAVE_MS_MAX if self.state == LEAVING else self._unreachable_at_ms()

    def hang_up_at_ms(self) -> int:
        """When this connection is presumed dead, or, with watches alone, is asked whether it is."""
        if self._waiting_since_ms is None:
            return self._heard_ms + PROBE_MS if self._watches else NEVER
        # A member that is busy answers later and later; to leave it, and ask again what it works on, makes it busier.
        hang_up_at_ms = self._waiting_since_ms + self._sessions.silence_ms(max(self._patience_ms(), 2 * self._usual_ms))
        if self.calls:
            oldest = next(iter(self.calls.values()))
            hang_up_at_ms = min(hang_up_at_ms, oldest.sent_ms + 4 * max(self._patience_ms(), self._usual_ms))
        return max(hang_up_at_ms, self._patient_until_ms)

    def _unreachable_at_ms(self) -> int:
        return max(self._since_ms + self._patience_ms(), self._patient_until_ms)

    def _patience_ms(self) -> int:
        """When all were silent, it may be the way that is long: nobody who hangs up before the answer can come will ever learn it."""
        rounds = self._silent // self._route.member_count()
        return self._request_timeout_ms << min(rounds, PATIENCE_DOUBLINGS_MAX)

    # --- it is over ------------------------------------------------------------------------------------------------

    def _go_on(self, now_ms: int) -> None:
        """To the member that this one named."""
        self._forget()
        self._route.on_not_leader(self._hint, now_ms)

    def _avoid(self, now_ms: int, avoid_ms: int) -> None:
        self._forget()
        self._route.on_unreachable(now_ms, avoid_ms)

    def take_lost(self) -> list[Call]:
        """What was asked over it and will not be answered."""
        lost = list(self.calls.values())
        self.calls.clear()
        self.renewals.clear()
        return lost

    def _forget(self) -> None:
        self.state = DOWN
        self._waiting_since_ms = None
