"""What a cluster promises to each client, checked as it runs. Pure; the cost of a fact does not grow with the run.

Each check is told facts by whoever can see both sides (the simulator, or a chaos run with its recorded log) and raises
PromiseBroken, named after the check, at the first contradiction.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import Any, ClassVar

import msgspec

from coordnode.errors import PromiseBroken


class AcknowledgedWrites:
    """Every write that was acknowledged stands in the committed log, at the place that its answer named."""

    name: ClassVar[str] = "acknowledged-writes"

    def __init__(self) -> None:
        self._acknowledged: dict[tuple[int, int], Hashable] = {}

    def acknowledged(self, index: int, position: int, command: Hashable) -> None:
        known = self._acknowledged.setdefault((index, position), command)
        if known != command:
            sentence = f"two commands were acknowledged for place {(index, position)}"
            raise PromiseBroken(self.name, sentence, (index, position, known, command))

    def verify(self, commands_at: Callable[[int], Sequence[Hashable]]) -> int:
        """Looks up each one in the committed log (`commands_at(index)`: none, if no such entry); how many there were."""
        for (index, position), command in self._acknowledged.items():
            commands = commands_at(index)
            if position >= len(commands):
                sentence = f"the write acknowledged at {(index, position)} is not in the log"
                raise PromiseBroken(self.name, sentence, (index, position, command))
            if commands[position] != command:
                sentence = f"another command than the acknowledged one stands at {(index, position)}"
                raise PromiseBroken(self.name, sentence, (index, position, command, commands[position]))
        return len(self._acknowledged)


class ExactlyOnce:
    """`identity` is (session, sequence), or the request id. It has one place and one answer, however often it is retried."""

    name: ClassVar[str] = "exactly-once"

    def __init__(self) -> None:
        self._outcomes: dict[Hashable, tuple[int, int, Hashable]] = {}

    def applied(self, identity: Hashable, place: tuple[int, int], outcome: tuple[int, int], result: Hashable) -> None:
        """A member applied the copy at `place` and says that it took effect at `outcome`. Told in the order of the log."""
        known = self._outcomes.get(identity)
        if known is None:
            self._outcomes[identity] = (*outcome, result)
            if outcome != place:
                sentence = f"the first copy of {identity!r}, at {place}, answers as if it had taken effect at {outcome}"
                raise PromiseBroken(self.name, sentence, (identity, place, outcome))
        elif known[0] != outcome[0] or known[1] != outcome[1] or known[2] != result:
            what = "takes effect again" if outcome == place else "is answered as something else"
            sentence = f"{identity!r} took effect at {known[:2]}; its copy at {place} {what}, at {outcome}"
            raise PromiseBroken(self.name, sentence, (identity, known, place, outcome, result))

    def forgotten(self, identity: Hashable) -> None:
        """So much was answered since that a copy of it may take effect once more."""
        self._outcomes.pop(identity, None)

    def answered(self, identity: Hashable, outcome: tuple[int, int], result: Hashable) -> None:
        """A client was told so; what was applied was told to `applied` before."""
        known = self._outcomes.get(identity)
        if known is None:
            raise PromiseBroken(self.name, f"{identity!r} was answered and never applied", (identity, outcome, result))
        if known[0] != outcome[0] or known[1] != outcome[1] or known[2] != result:
            sentence = f"{identity!r} took effect at {known[:2]} and a client was told {outcome}, or another result"
            raise PromiseBroken(self.name, sentence, (identity, known, outcome, result))


class RevisionMonotonic:
    """A client never sees the revision go back: an answer is not older than any answer it had before it asked."""

    name: ClassVar[str] = "revision-monotonic"

    def __init__(self) -> None:
        self._seen: dict[Hashable, int] = {}

    def asked(self, client: Hashable) -> int:
        """The floor for the answer to what is asked now."""
        return self._seen.get(client, 0)

    def answered(self, client: Hashable, floor: int, revision: int) -> None:
        if revision < floor:
            raise PromiseBroken(self.name, f"client {client!r} saw revision {floor} and then {revision}", (client, floor, revision))
        if revision > self._seen.get(client, 0):
            self._seen[client] = revision


class _Watch(msgspec.Struct):
    start: bytes
    end: bytes  # exclusive; empty: no end
    seen: int  # nothing that matches is missing up to here; -1 until a watch "from now on" has its first push
    space: int

    def matches(self, event: Any) -> bool:
        return (event[5] if len(event) > 5 else 0) == self.space and event[1] >= self.start and (not self.end or event[1] < self.end)


class WatchOrder:
    """Ordered, unique, complete, atomic for each revision; what cannot be had any more is an explicit gap, never silence.

    An event is a tuple whose item 1 is the key and item 5, if there is one, the space; a change is (revision, events).
    """

    name: ClassVar[str] = "watch-order"

    def __init__(self) -> None:
        self._changes: dict[int, tuple[tuple[Hashable, ...], ...]] = {}  # the committed truth
        self._watches: dict[Hashable, _Watch] = {}

    def committed(self, revision: int, events: tuple[tuple[Hashable, ...], ...]) -> None:
        """What the committed log did at `revision`; each member that applies it may say so."""
        known = self._changes.setdefault(revision, events)
        if known != events:
            raise PromiseBroken(self.name, f"revision {revision} changed different things on two members", (revision, known, events))

    def opened(self, watch: Hashable, start: bytes, end: bytes, start_revision: int, space: int = 0) -> None:
        """`start_revision` 0: from now on. Opening a name again is a new watch."""
        self._watches[watch] = _Watch(start, end, start_revision - 1, space)

    def closed(self, watch: Hashable) -> None:
        self._watches.pop(watch, None)

    def pushed(self, watch: Hashable, changes: Sequence[tuple[int, tuple[tuple[Hashable, ...], ...]]], up_to: int) -> None:
        """`watch` was sent these, and the word that nothing is missing up to `up_to`."""
        state = self._watches.get(watch)
        if state is None:
            raise PromiseBroken(self.name, f"watch {watch!r} is over and was sent something", (watch, changes, up_to))
        if state.seen < 0:
            state.seen = (changes[0][0] if changes else up_to + 1) - 1
        for revision, events in changes:
            if revision <= state.seen:
                sentence = f"watch {watch!r} was sent revision {revision} after {state.seen}"
                raise PromiseBroken(self.name, sentence, (watch, revision, state.seen))
            self._nothing_between(watch, state, revision)
            matching = self._matching(state, revision)
            if events != matching:
                sentence = f"watch {watch!r} was not sent exactly what revision {revision} changed in its range"
                raise PromiseBroken(self.name, sentence, (watch, revision, events, matching))
            state.seen = revision
        if up_to < state.seen:
            sentence = f"watch {watch!r} has {state.seen} and is told that it has all up to {up_to}"
            raise PromiseBroken(self.name, sentence, (watch, state.seen, up_to))
        self._nothing_between(watch, state, up_to + 1)
        state.seen = up_to

    def untold(self, watch: Hashable, revision: int) -> int:
        """The first revision up to this one that `watch` wants and was not told of; 0: none."""
        state = self._watches.get(watch)
        if state is None or state.seen < 0:
            return 0
        return next((missing for missing in range(state.seen + 1, revision + 1) if self._matching(state, missing)), 0)

    def gap(self, watch: Hashable, floor: int) -> None:
        """`watch` was told that history begins at `floor` only, and is over."""
        state = self._watches.pop(watch, None)
        if state is not None and state.seen >= 0 and floor <= state.seen + 1:
            sentence = f"watch {watch!r} wants {state.seen + 1}, which is there from {floor} on, and is refused it"
            raise PromiseBroken(self.name, sentence, (watch, state.seen, floor))

    def _nothing_between(self, watch: Hashable, state: _Watch, end: int) -> None:
        for revision in range(state.seen + 1, end):
            if revision not in self._changes:
                sentence = f"watch {watch!r} is told of revision {revision}, which nobody committed"
                raise PromiseBroken(self.name, sentence, (watch, revision, end))
            missed = self._matching(state, revision)
            if missed:
                raise PromiseBroken(self.name, f"watch {watch!r} was never sent revision {revision}", (watch, revision, missed))

    def _matching(self, state: _Watch, revision: int) -> tuple[tuple[Hashable, ...], ...]:
        events = self._changes.get(revision, ())
        for event in events:
            if not state.matches(event):
                return tuple([event for event in events if state.matches(event)])
        return events


class _Session(msgspec.Struct):
    ttl: int
    held_until: int
    renewed: int  # when a renewal was last sent, or the session was opened


class SessionLife:
    """Times are true time, in any one unit: whoever tells them has turned each client's clock into it.

    A session ends before its client's own conservative deadline only when the client closed it; it ends, within a bound,
    once nobody renews it and somebody leads.
    """

    name: ClassVar[str] = "session-life"

    def __init__(self) -> None:
        self._live: dict[int, _Session] = {}
        self._ended: dict[int, tuple[int, bool]] = {}  # session → (when the cluster ended it, whether the client had asked)

    def renewal_sent(self, session: int, now: int, ttl: int) -> None:
        """The client asks to keep it, or asked to open it; from here on it may live another `ttl`."""
        known = self._live.get(session)
        if known is None:
            if session not in self._ended:
                self._live[session] = _Session(ttl, 0, now)
        else:
            known.ttl = ttl
            known.renewed = now

    def held(self, session: int, until: int, now: int) -> None:
        """At `now` the client learns that it may believe in the session until `until`."""
        ended = self._ended.get(session)
        if ended is not None:
            if not ended[1] and ended[0] < until:
                sentence = f"the client believes in session {session} until {until}; the cluster ended it at {ended[0]}"
                raise PromiseBroken(self.name, sentence, (session, until, now, ended[0]))
            return
        known = self._live.get(session)
        if known is None:
            self._live[session] = _Session(0, until, now)
        elif until > known.held_until:
            known.held_until = until

    def ended(self, session: int, now: int, by_client: bool = False) -> None:
        """The cluster ended it at `now` (first commit); each member that applies it may say so."""
        if session in self._ended:
            return
        self._ended[session] = (now, by_client)
        known = self._live.pop(session, None)
        if known is not None and not by_client and now < known.held_until:
            sentence = f"session {session} was ended at {now}; its client believes in it until {known.held_until}"
            raise PromiseBroken(self.name, sentence, (session, now, known.held_until))

    def overdue(self, now: int, leads_since: int, slack: int) -> None:
        """Somebody has led without a break since `leads_since`. `slack`: what an ending may take beyond the ttl."""
        for session, known in self._live.items():
            latest = max(known.renewed, leads_since) + known.ttl + slack
            if known.ttl and now > latest:
                sentence = f"session {session} was last renewed at {known.renewed} and lives at {now}; it had to end by {latest}"
                raise PromiseBroken(self.name, sentence, (session, known.renewed, now, latest))
