"""One session on ZooKeeper, and an ephemeral node with it. Pure.

What may be believed of the session. A follower answers pings by itself and tells its leader of its clients when the leader asks, twice in
a tick; the leader alone ends sessions. An entry of the log that was sent a quarter of the lease after something else proves that this was
told in between: a lease is never shorter than two ticks, so half a tick is no more than a quarter of it, and followers speak to their
leader in order. So each confirmed renewal extends what was sent a quarter earlier, and nothing else does.
"""

from __future__ import annotations

from coordctl.engines import lines
from coordctl.engines.lines import Gone
from coordctl.engines.speaking import ANOTHER_TOOL, Speaking
from coordctl.engines.zookeeper import jute, words
from coordctl.engines.zookeeper.jute import Answer, Ask, Greeted
from coordctl.hot import frames
from coordctl.hot.talk import Expired, Renewed
from coordctl.local.clusters import ZOOKEEPER
from coordnode.errors import SessionExpired
from coordnode.ids import SessionId
from coordnode.light import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any

TICK_SHARE = 4  # of a lease: within so much of it a follower has told its leader
RENEWALS = 6  # in a lease


class Greet(NamedTuple):
    """The first of a connection: this session goes on, or 0: begins."""

    ttl_ms: int
    session: int
    password: bytes
    seen_zxid: int


class Talk(Speaking):
    engine = ZOOKEEPER

    def _forget_place(self) -> None:
        super()._forget_place()
        self._session = 0
        self._password = jute.NO_PASSWORD
        self._seen_zxid = 0
        self._greeted_ms = 0
        self._sent_ms: list[int] = []  # what the leader may not have heard of yet, in order
        self._watched = b""  # the child whose going is waited for; the folder's path: any
        self._is_own_watched = False
        self._was_asked_for = False

    def _result(self, answer: Answer) -> Answer:
        self._seen_zxid = max(self._seen_zxid, answer.zxid)
        return jute.result(answer)

    def _read(self, operation: list[Any]) -> words.Asks:
        return words.read(self._unix_ms(), False, operation)

    def _write(self, operation: list[Any]) -> words.Asks:
        return words.change(words.Asker(self._session, self._name, self._key()), operation)

    # --- the connection --------------------------------------------------------------------------------------------

    def on_connected(self, now_ms: int) -> None:
        """It is up once the session is."""
        self._greeted_ms = now_ms
        self._opened_ms = self._opened_ms or now_ms
        self._actions.append(Greet(self.lease.ttl_ms, self._session, self._password, self._seen_zxid))

    def on_greeted(self, greeted: Greeted, now_ms: int) -> None:
        if not greeted.session:
            self._session = 0
            self._told.append(Expired())
            return
        if not self._session:  # it is the leader who begins it, and counts from no earlier than that
            self._session = greeted.session
            self._password = greeted.password
            self._granted_ttl_ms = greeted.ttl_ms
        self._sent_ms.append(self._greeted_ms)
        super().on_connected(now_ms)

    def _hang_up(self) -> None:
        super()._hang_up()
        self._watched = b""
        self._is_own_watched = False

    # --- words of its own ------------------------------------------------------------------------------------------

    def _open(self, nonce: bytes, owner: str, first: list[Any], parent: int) -> words.Asks:
        self._space, self._name, wanted, waits = lines.asked(first, self._session, owner, parent, self._unix_ms())
        self._folder = words.folder_of(self._space, self._name)
        session, ttl_ms = self._session, self._granted_ttl_ms
        mark = nonce.hex().encode() + words.LOCK_MARK
        own = yield from self._node(mark, wanted)
        places = yield from words.places_in(self._folder, {})
        mine = next((one for one in places if one.key == own), None)
        if mine is None:
            raise SessionExpired("its session ended at once")
        self.lease.on_opened(SessionId(session), ttl_ms, self._opened_ms, self._now_ms)
        self.lease.ask_at_ms = self._opened_ms + ttl_ms // RENEWALS
        result = self._entered(places, mine, waits, mine.number)
        if result is None and parent:
            # A circle through lines of other users, that this one may not see, is not found: it ends when somebody's wait does.
            circle = lines.circle((yield from words.all_places(self._space)), mine)
            result = lines.failure(circle) if circle is not None else None
        result = result or lines.queued(self._space, mine.number, self._name, places, mine, self._unix_ms())
        return [frames.OPENED, session, ttl_ms, mine.number, result]

    def _node(self, mark: bytes, wanted: lines.Place) -> words.Asks:
        """The name of ours: made once, found if that was cut off."""
        if self._was_asked_for:
            yield words.NOTHING  # nothing that came before it is missed after it
            try:
                for name in words.names((yield jute.children(self._folder))):
                    if name.startswith(mark):
                        return name
            except Gone:
                pass
        self._was_asked_for = True
        while True:
            try:
                made, _ = words.made((yield jute.create(self._folder + b"/" + mark, wanted.kept(), jute.EPHEMERAL_SEQUENTIAL)))
                return made.rpartition(b"/")[2]
            except Gone:
                yield from words.ensure(self._folder)

    def _renew(self) -> words.Asks:
        """Who waits needs no proof yet: it is asked for with the grant."""
        sent_ms = self._now_ms
        if self._is_held:
            yield from self._confirm(jute.check(self._key()))
        else:
            yield Ask(jute.PING)
            self._sent_ms = [*(one for one in self._sent_ms if one > sent_ms - self.lease.ttl_ms), sent_ms]
        self.lease.ask_at_ms = sent_ms + self.lease.ttl_ms // RENEWALS

    def _confirm(self, *asks: Ask) -> words.Asks:
        """Whether our node is there."""
        sent_ms = self._now_ms
        try:
            jute.results((yield jute.multi(asks)))
        except Gone:
            self._on_gone()
            return False
        self._sent_ms.append(sent_ms)
        told = [one for one in self._sent_ms if one <= sent_ms - self.lease.ttl_ms // TICK_SHARE]
        if told:
            self._sent_ms = [one for one in self._sent_ms if one >= told[-1]]
            self.lease.on_alive(told[-1], self.lease.ttl_ms)
            self._told.append(Renewed(self.lease.until_ms))
        return True

    def _take(self) -> words.Asks:
        mine = self._mine
        assert mine is not None
        written = mine._replace(since_unix_ms=self._unix_ms())
        if (yield from self._confirm(jute.set_value(self._key(), written.kept()))):
            self._given()

    def _watch_own(self) -> words.Asks:
        try:
            yield jute.get(self._key(), watch=True)
        except Gone:
            self._on_gone()

    def _find_out(self) -> words.Asks:
        mine = self._mine
        assert mine is not None
        path = words.why_path(self._space, self._name, mine.number)
        try:
            value, _ = words.said((yield jute.get(path)))
            yield jute.delete(path)
        except Gone:
            self._taken("", ANOTHER_TOOL)
        else:
            self._taken(*lines.said_why(value))

    def _close(self) -> words.Asks:
        yield Ask(jute.CLOSE)
        return [frames.DONE, 0, 1]

    # --- what is watched -------------------------------------------------------------------------------------------

    def _more(self) -> None:
        if self._mine is None or not self._is_renewed() or self._is_gone:
            return
        if self._is_held and not self._is_own_watched:
            self._is_own_watched = True
            self._do(self._watch_own)
        elif not self._is_held and not self._watched:
            self._watched = self._folder
            self._do(self._look)

    def on_event(self, path: bytes, now_ms: int) -> None:
        """Of something that was watched, which is not watched any more."""
        self._now_ms = now_ms
        if self._is_held and path == self._key():
            self._is_own_watched = False
        elif not self._is_held:
            self._watched = b""

    def _look(self) -> words.Asks:
        """Who stands before us now; the one whose going we need is watched, or all of them where several could make room."""
        mine = self._mine
        assert mine is not None
        while True:
            yield from self._see()
            if mine.key not in self._places:
                self._on_gone()
                return
            blocker = lines.blocker(list(self._places.values()), mine)
            if blocker is None:
                break
            try:
                yield jute.get(self._folder + b"/" + blocker.key, watch=True)
                return
            except Gone:
                continue
        if not lines.holds(list(self._places.values()), mine):
            yield jute.children(self._folder, watch=True)
            yield from self._see()
        self._maybe_take()

    def _see(self) -> words.Asks:
        self._places = {one.key: one for one in (yield from words.places_in(self._folder, self._places))}
