"""Those who ask for much at once wait in lines of their own and are served in turns: identities first, then the connections of each.

What a turn of a line may take is counted in plain puts. What was answered is charged afterwards, as nobody knows before how much it
will be; a line that owes takes nothing until its turns have paid for it. While others ask for little, their asks come first, and the
lines together get only so much of a turn of the member that the others hardly notice.
"""

from collections import deque
from collections.abc import Callable
from typing import Protocol

from coordnode.errors import Overloaded
from coordnode.net.guests import Guest
from coordnode.net.limits import RENEWAL_BYTES
from coordnode.services.dialogue import Answer, Ask, ErrorReply, KeepAliveAsk, ReadAsk, UnwatchAsk, WriteAsk

QUANTUM = 16  # puts' worth that a line may take before the next one's turn
UNIT_BYTES = 2_048  # asked or answered, cost as much as a put
SESSIONS_PER_UNIT = UNIT_BYTES // RENEWAL_BYTES  # renewed together, likewise
UNITS_BESIDE_OTHERS = 64  # of all lines together in one turn of a member that others ask for little
UNDER_WAY_BESIDE_OTHERS = 128  # of one line, taken and not answered
USUAL_UNITS = 8  # of an ask of a line that nothing is known about yet
WAITED_MS_MAX = 1_000  # a line whose first ask waits longer has more than can be carried out: what comes is refused
SHED_EVERY_MS = 100  # one frame of a line in so long: who does not listen is not answered the faster for it, but waits, and is not read


class Asking(Protocol):
    """A connection."""

    connection: int
    guest: Guest
    outstanding: int
    charged_bytes: int


class Line:
    __slots__ = ("answered", "asks", "credit", "link", "seen_bytes", "shed_ms", "taken", "units")

    def __init__(self, link: Asking) -> None:
        self.link = link
        self.asks: deque[tuple[Ask, int, int]] = deque()  # (ask, deadline, since when)
        self.credit = 0
        self.seen_bytes = link.charged_bytes  # charged so far
        self.shed_ms = 0  # when asks of it were last refused
        self.taken = 0
        self.answered = 0  # of these
        self.units = USUAL_UNITS  # that one of its asks has cost of late

    def charge(self) -> None:
        """For what it was answered since."""
        link = self.link
        units = (link.charged_bytes - self.seen_bytes) // UNIT_BYTES
        self.seen_bytes += units * UNIT_BYTES
        self.credit -= units
        answered = self.taken - self.under_way()
        if answered > self.answered:
            self.units = (3 * self.units + units // (answered - self.answered) + 1) // 4 or 1
            self.answered = answered

    def has_enough(self) -> bool:
        """As much under way as a line may have beside others."""
        return self.under_way() * self.units >= UNDER_WAY_BESIDE_OTHERS

    def under_way(self) -> int:
        """What was asked before it became a line's, too, until that is answered."""
        return max(0, self.link.outstanding - len(self.asks))


def units_of(ask: Ask) -> int:
    if isinstance(ask, WriteAsk | ReadAsk):
        return 1 + len(ask.body) // UNIT_BYTES
    return 1 + len(ask.sessions) // SESSIONS_PER_UNIT if isinstance(ask, KeepAliveAsk) else 1


class Lines:
    def __init__(self, answer: Callable[[int, list[Answer]], None], jitter: Callable[[int], int]) -> None:
        """`jitter` draws a number below the one it is given."""
        self._answer = answer
        self._jitter = jitter
        self.waiting = 0
        self.shed = 0  # asks that were refused for their line's length
        self._lines: dict[int, Line] = {}  # by connection; also those that are empty and may owe
        self._turns: dict[str, deque[Line]] = {}  # by guest, whose turn it is first: the lines with asks, likewise

    def has(self, connection: int) -> bool:
        """Asks of this connection wait here: what it asks further comes after them."""
        line = self._lines.get(connection)
        return line is not None and bool(line.asks)

    def count(self) -> int:
        """Lines with asks."""
        return sum(len(lines) for lines in self._turns.values())

    def can_go_on(self, *, beside_others: bool) -> bool:
        """Some line does not wait for answers before its next turn."""
        return any(not beside_others or not line.has_enough() for lines in self._turns.values() for line in lines)

    def add(self, link: Asking, asks: list[Ask], deadline_ms: int, now_ms: int) -> None:
        line = self._lines.get(link.connection)
        if line is None:
            line = self._lines[link.connection] = Line(link)
        waited_ms = now_ms - line.asks[0][2] if line.asks else 0
        if waited_ms >= WAITED_MS_MAX and now_ms - line.shed_ms >= SHED_EVERY_MS:
            line.shed_ms = now_ms
            asks = self._shed(link.connection, asks, waited_ms)
        if asks and not line.asks:
            self._turns.setdefault(link.guest.name, deque()).append(line)
        line.asks.extend([(ask, deadline_ms, now_ms) for ask in asks])
        self.waiting += len(asks)

    def follow(self, connection: int, asks: list[Ask], deadline_ms: int) -> None:
        """What comes after asks that wait here."""
        line = self._lines[connection]
        self.add(line.link, asks, deadline_ms, line.asks[-1][2])

    def _shed(self, connection: int, asks: list[Ask], waited_ms: int) -> list[Ask]:
        """What is left of them: who wants to hear less is heard."""
        retry_after_ms = waited_ms // 2 + self._jitter(waited_ms)
        sentence = f"this client asks for more than is carried out: its asks wait for {waited_ms} ms; ask again later, and for less at once"
        kept: list[Ask] = [ask for ask in asks if isinstance(ask, UnwatchAsk)]
        refused = [ask for ask in asks if not isinstance(ask, UnwatchAsk)]
        self.shed += len(refused)
        self._answer(connection, [ErrorReply(ask.request, Overloaded.code, sentence, True, retry_after_ms) for ask in refused])
        return kept

    def on_closed(self, connection: int) -> None:
        line = self._lines.pop(connection, None)
        if line is None or not line.asks:
            return
        self.waiting -= len(line.asks)
        name = line.link.guest.name
        self._turns[name].remove(line)
        if not self._turns[name]:
            del self._turns[name]

    # --- the turn --------------------------------------------------------------------------------------------------

    def take(self, units: int, asks: list[tuple[int, Ask]], too_late: list[tuple[int, Ask]], now_ms: int, *, beside_others: bool) -> None:
        """Adds to `asks`, or to `too_late`, what `units` are enough for."""
        turns = self._turns
        while units > 0 and turns:
            name = next(iter(turns))
            lines = turns.pop(name)
            line = lines.popleft()
            units -= self._serve(line, asks, too_late, now_ms, beside_others=beside_others)
            if line.asks:
                lines.append(line)
            if lines:
                turns[name] = lines

    def _serve(self, line: Line, asks: list[tuple[int, Ask]], too_late: list[tuple[int, Ask]], now_ms: int, *, beside_others: bool) -> int:
        """What it took of the turn: all that it was given, unless it has nothing more to ask."""
        line.charge()
        line.credit = min(line.credit, 0) + QUANTUM
        connection, waiting = line.link.connection, line.asks
        while waiting and line.credit > 0:
            if beside_others and line.has_enough():
                return QUANTUM
            ask, deadline_ms, _ = waiting.popleft()
            self.waiting -= 1
            line.taken += 1
            if 0 < deadline_ms < now_ms:
                too_late.append((connection, ask))
                continue
            line.credit -= units_of(ask)
            asks.append((connection, ask))
        return QUANTUM if waiting else QUANTUM - line.credit
