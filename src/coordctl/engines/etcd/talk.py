"""One session on etcd, told in the words that a claim knows: a lease, a place in line, what is to be asked and sent again. Pure.

Implements what runner.claim wants of hot.talk. Its owner reports what happened, then carries out what `poll` returns, and calls it again
by `wake_at_ms`. One question is under way at a time; a word that was cut off is begun again, so each may be: a lease has a number of our
own choice, a place is only taken where none is.
"""

from __future__ import annotations

from coordctl.engines import lines
from coordctl.engines.etcd import words
from coordctl.engines.etcd.gateway import Answer, Ask, Gone, There, plain, result
from coordctl.engines.lacks import why_not
from coordctl.hot import frames
from coordctl.hot.msgpack import pack
from coordctl.hot.talk import (
    ATTEMPT_MS,
    ATTEMPT_MS_MIN,
    CONNECTING,
    DOWN,
    PROBE_MS,
    UP,
    Answered,
    Connect,
    Disconnect,
    Expired,
    Missed,
    Noticed,
    Renewed,
    Told,
)
from coordctl.local.clusters import ETCD
from coordnode.client.renewal import Renewal
from coordnode.client.route import Chance, jittered_ms
from coordnode.errors import BadRequest, CoordError, NoSpace, NotReady, SessionExpired
from coordnode.ids import NO_SESSION, SessionId
from coordnode.light import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from typing import Any

SPACES = {lines.LOCKS: frames.LOCKS, lines.ELECTIONS: frames.ELECTIONS}
FIRST_TAG = {lines.LOCKS: 30, lines.ELECTIONS: 40}
GIVEN, TAKEN = 0, 1  # behind the first
ANOTHER_TOOL = "somebody, with another tool"


class Send(NamedTuple):
    ask: Ask


class Watch(NamedTuple):
    """On a connection of its own, to the same member; the one before is over."""

    ask: Ask


Action = Connect | Disconnect | Send | Watch


class _Job:
    __slots__ = ("begin", "number", "word")

    def __init__(self, number: int, begin: Callable[[], words.Asks]) -> None:
        self.number = number  # of the call; 0: nobody waits for its result
        self.begin = begin
        self.word: words.Asks | None = None  # under way


class Talk:
    def __init__(self, addresses: Sequence[str], chance: Chance, wall_offset_ms: int) -> None:
        self.lease = Renewal(0)
        self.heard_ms = 0  # when a member last answered
        self.troubles: dict[str, str] = {}  # address -> what it did last
        self._addresses = list(addresses)
        self._at = chance.randrange(0, len(self._addresses))
        self._chance = chance
        self._wall_offset_ms = wall_offset_ms
        self._link = DOWN
        self._try_at_ms = 0
        self._asked_ms = 0  # when what is under way was sent, or the connection begun
        self._is_asked = False
        self._failures = 0
        self._now_ms = 0
        self._jobs: list[_Job] = []  # the first one is under way
        self._last_number = 0
        self._opening = 0
        self._actions: list[Action] = []
        self._told: list[Told] = []
        self._forget_place()

    def _forget_place(self) -> None:
        self._granted_ms = 0  # when the lease was first asked for
        self._space = self._name = self._folder = b""
        self._mine: lines.Place | None = None
        self._places: dict[bytes, lines.Place] = {}  # of the line, as far as we heard
        self._is_held = self._is_gone = False
        self._is_renewing = False
        self._is_watching = False
        self._watch_from = 0

    # --- what the owner wants --------------------------------------------------------------------------------------

    def open(self, nonce: bytes, ttl_ms: int, owner: str, first: list[Any] | None, parent: int = 0) -> int:
        self.lease = Renewal(ttl_ms)
        self._forget_place()
        self._jobs.clear()
        self._hang_up()
        session = lines.session_id(nonce)
        self._opening = self._call(lambda: self._open(session, ttl_ms, owner, first, parent))
        return self._opening

    def write(self, operation: list[Any]) -> int:
        """Where a token is compared, it is that of the place we have."""
        _, compares, then, otherwise = operation
        key = self._key()
        return self._call(lambda: words.transaction(compares, then, otherwise, key))

    def read(self, operation: list[Any]) -> int:
        return self._call(lambda: words.read(self._unix_ms(), False, operation))

    def close(self) -> int:
        self.lease.closing = True
        return self._call(lambda: self._close(self.lease.id))

    def renew_soon(self, now_ms: int) -> None:
        if not self._is_renewing:
            self.lease.ask_at_ms = min(self.lease.ask_at_ms, now_ms)

    def was_sent(self) -> bool:
        return bool(self._granted_ms) and any(job.number == self._opening for job in self._jobs)

    def is_refused_everywhere(self) -> bool:
        return all(self.troubles.get(address) == "connection refused" for address in self._addresses)

    def _call(self, begin: Callable[[], words.Asks]) -> int:
        self._last_number += 1
        self._jobs.append(_Job(self._last_number, begin))
        return self._last_number

    # --- what happened ---------------------------------------------------------------------------------------------

    def address(self) -> str:
        return self._addresses[self._at]

    def on_connected(self, now_ms: int) -> None:
        if self._link == CONNECTING:
            self._link = UP
            self.lease.on_connected()

    def on_disconnected(self, trouble: str, now_ms: int) -> None:
        if self._link != DOWN:
            self._give_up(trouble, now_ms)

    def on_answer(self, answer: Answer, now_ms: int) -> None:
        if not self._is_asked:
            return
        self._now_ms = now_ms
        self._is_asked = False
        job = self._jobs[0]
        assert job.word is not None
        try:
            try:
                found = result(answer)
            except (Gone, There) as error:
                self._progress(now_ms)
                self._ask(job.word.throw(error))
            else:
                self._progress(now_ms)
                self._ask(job.word.send(found))
        except StopIteration as over:
            self._finish(job, over.value, None)
        except (NotReady, NoSpace) as error:
            self._give_up(error.sentence, now_ms)  # another member may know a leader
        except Gone:
            self._finish(job, None, SessionExpired("its session is over"))
        except CoordError as error:
            self._finish(job, None, error)

    def on_watched(self, answer: Answer, now_ms: int) -> None:
        self._now_ms = now_ms
        try:
            found = result(answer)
        except (CoordError, Gone, There):
            found = {"canceled": True}
        if found.get("canceled"):
            self._is_watching = False
            self._watch_from = 0
            self._told.append(Missed())
            self._jobs.append(_Job(0, self._look))
            return
        for event in found.get("events", ()):
            if event.get("type") == "DELETE":
                self._on_left(plain(event["kv"]["key"]).rpartition(b"/")[2])
        self._watch_from = max(self._watch_from, words.revision_of(found) + 1)

    def on_watch_lost(self) -> None:
        self._is_watching = False

    def poll(self, now_ms: int) -> list[Action]:
        self._now_ms = now_ms
        waits_since_ms = self._asked_ms if self._link == CONNECTING or self._is_asked else now_ms
        if now_ms >= waits_since_ms + self._patience_ms():
            self._give_up("fell silent", now_ms)
        if self._link == DOWN and self._has_work() and now_ms >= self._try_at_ms:
            self._link = CONNECTING
            self._asked_ms = now_ms
            self._actions.append(Connect(self.address()))
        if self._link == UP:
            self._send(now_ms)
        actions, self._actions = self._actions, []
        return actions

    def told(self) -> list[Told]:
        told, self._told = self._told, []
        return told

    def wake_at_ms(self) -> int | None:
        if not self._has_work():
            return None
        if self._link == DOWN:
            return self._try_at_ms
        if self._link == CONNECTING or self._is_asked:
            return self._asked_ms + self._patience_ms()
        return self._now_ms if self._jobs else self._renew_at_ms()

    # --- words of its own ------------------------------------------------------------------------------------------

    def _open(self, session: int, ttl_ms: int, owner: str, first: list[Any] | None, parent: int) -> words.Asks:
        lines.check_ttl(ttl_ms)
        if first is None:
            raise BadRequest(why_not(ETCD, "groups"))
        space, name, wanted, waits = lines.asked(first, session, owner, parent, self._unix_ms())
        folder = lines.folder(space, name)
        mine = wanted._replace(key=b"%x" % session)
        key = folder + b"/" + mine.key
        look = {"request_range": words.everything_below(folder)}
        self._granted_ms = self._granted_ms or self._now_ms
        try:
            granted = yield Ask("lease/grant", {"TTL": -(-ttl_ms // 1000), "ID": session})
            ttl = int(granted["TTL"])
        except There:
            about = yield Ask("lease/timetolive", {"ID": session})
            ttl = int(about.get("grantedTTL", 0))
        answer = yield Ask(
            "kv/txn",
            {
                "compare": [words.same(key, 0)],
                "success": [{"request_put": {"key": key, "value": mine.kept(), "lease": session}}, look],
                "failure": [look],
            },
        )
        revision, places = words.revision_of(answer), words.places_of(answer["responses"][-1]["response_range"])
        found = next((one for one in places if one.session == session), None)
        if found is None:
            raise SessionExpired("its session ended at once")
        self.lease.on_opened(SessionId(session), 1000 * ttl, self._granted_ms, self._now_ms)
        self._space, self._name, self._folder = space, name, folder
        self._places = {one.key: one for one in places}
        self._mine = found
        self._watch_from = revision + 1
        result = yield from self._first(places, found, waits, revision)
        return [frames.OPENED, session, 1000 * ttl, revision, result]

    def _first(self, places: Sequence[lines.Place], mine: lines.Place, waits: bool, revision: int) -> Generator[Ask, Any, list[object]]:
        if error := lines.conflict(places, mine):
            return lines.failure(error)
        if lines.holds(places, mine):
            self._is_held = True
            return lines.granted(self._space, revision, mine.number)
        if not waits:
            return lines.busy(self._space, revision, self._name, [one for one in places if one != mine], self._unix_ms())
        if mine.parent:
            _, found = yield from words.all_places(self._space)
            if circle := lines.circle(lines.by_name(found), mine):
                return lines.failure(circle)
        return lines.queued(self._space, revision, self._name, places, mine, self._unix_ms())

    def _renew(self) -> words.Asks:
        """Who waits needs no proof yet: it is asked for with the grant."""
        session = self.lease.id
        sent_ms = self._now_ms
        if not self._is_held:
            alive = yield Ask("lease/keepalive", {"ID": session})
            ttl_ms, is_there = 1000 * int(alive.get("TTL", 0)), True
            self.lease.ask_at_ms = sent_ms + ttl_ms // 3
        else:
            assert self._mine is not None
            ttl_ms, is_there = yield from self._confirmed([words.same(self._key(), self._mine.number)])
        self._is_renewing = False
        if not ttl_ms:
            self._told.append(Expired())
        elif not is_there:
            self._on_gone()

    def _confirmed(self, compares: Sequence[Any], *also: Any) -> Generator[Ask, Any, tuple[int, bool]]:
        """Renews, and believes it as far as the log confirmed it."""
        sent_ms = self._now_ms
        ttl_ms, is_there = yield from words.renewed(self.lease.id, compares, *also)
        if ttl_ms and is_there:
            self.lease.on_alive(sent_ms, ttl_ms)
            self._told.append(Renewed(self.lease.until_ms))
        return ttl_ms, is_there

    def _take(self) -> words.Asks:
        """It seems to be ours: that is written down if it is."""
        mine = self._mine
        assert mine is not None
        written = mine._replace(since_unix_ms=self._unix_ms())
        put = {"request_put": {"key": self._key(), "value": written.kept(), "lease": mine.session}}
        ttl_ms, is_there = yield from self._confirmed([words.same(self._key(), mine.number)], put)
        if not ttl_ms:
            self._told.append(Expired())
        elif not is_there:
            self._on_gone()
        elif lines.holds(list(self._places.values()), mine):
            self._is_held = True
            self._tell(GIVEN, mine.number, mine.number)

    def _look(self) -> words.Asks:
        """Anew, after a gap in what was watched."""
        answer = yield Ask("kv/range", words.everything_below(self._folder))
        self._places = {one.key: one for one in words.places_of(answer)}
        self._watch_from = words.revision_of(answer) + 1
        if self._mine is not None and self._mine.key not in self._places:
            self._on_gone()
        else:
            self._maybe_take()

    def _find_out(self) -> words.Asks:
        """Why our place is gone; who wrote the reason down sees by its going that we know."""
        mine = self._mine
        assert mine is not None
        answer = yield Ask("kv/deleterange", {"key": words.why_key(self._space, self._name, mine.number), "prev_kv": True})
        why = [plain(one.get("value")) for one in answer.get("prev_kvs", ())]
        if not why:
            about = yield Ask("lease/timetolive", {"ID": mine.session})
            if int(about.get("TTL", -1)) < 0:
                self._told.append(Expired())
                return
        reason, by = words.said_why(why[0]) if why else ("", ANOTHER_TOOL)
        if self._is_held:
            self._tell(TAKEN, mine.number, reason, by)
        else:
            self._told.append(Expired())  # from the line: it begins anew, as with a session that ended

    def _close(self, session: int) -> words.Asks:
        try:
            return (yield from words.close(session))
        except SessionExpired:
            return [frames.DONE, 0, 0]

    # --- the line --------------------------------------------------------------------------------------------------

    def _on_left(self, key: bytes) -> None:
        self._places.pop(key, None)
        if self._mine is not None and key == self._mine.key:
            self._on_gone()
        else:
            self._maybe_take()

    def _maybe_take(self) -> None:
        mine = self._mine
        if mine is None or self._is_held or self._is_gone or any(job.begin == self._take for job in self._jobs):
            return
        if lines.holds(list(self._places.values()), mine):
            self._jobs.append(_Job(0, self._take))

    def _on_gone(self) -> None:
        if not self._is_gone and not self.lease.closing:
            self._is_gone = True
            self._jobs.append(_Job(0, self._find_out))

    def _tell(self, what: int, *fields: object) -> None:
        self._told.append(Noticed(SPACES[self._space], pack([FIRST_TAG[self._space] + what, self._name, *fields])))

    def _key(self) -> bytes:
        return self._folder + b"/" + self._mine.key if self._mine is not None else b""

    # --- the connection --------------------------------------------------------------------------------------------

    def _send(self, now_ms: int) -> None:
        if self._is_renewed() and now_ms >= self._renew_at_ms() and not self._is_renewing:
            self._is_renewing = True
            self.lease.on_asked(now_ms)
            self._jobs.insert(1 if self._is_asked else 0, _Job(0, self._renew))
        if self._jobs and not self._is_asked:
            self._begin(self._jobs[0])
        if self._is_renewed() and not self._is_watching and self._watch_from:
            self._is_watching = True
            create = {**words.everything_below(self._folder), "start_revision": self._watch_from, "filters": ["NOPUT"]}
            self._actions.append(Watch(Ask("watch", {"create_request": create})))

    def _begin(self, job: _Job) -> None:
        """One after the other: it may be over without a question."""
        job.word = job.begin()
        try:
            self._ask(next(job.word))
        except StopIteration as over:
            self._finish(job, over.value, None)
        except CoordError as error:
            self._finish(job, None, error)

    def _ask(self, ask: Ask) -> None:
        self._is_asked = True
        self._asked_ms = self._now_ms
        self._actions.append(Send(ask))

    def _finish(self, job: _Job, value: Any, error: CoordError | None) -> None:
        self._jobs.remove(job)
        if job.number:
            self._told.append(Answered(job.number, value, error))

    def _progress(self, now_ms: int) -> None:
        self.heard_ms = now_ms
        self._failures = 0
        self.troubles.pop(self.address(), None)

    def _has_work(self) -> bool:
        return bool(self._jobs) or self._is_renewed()

    def _is_renewed(self) -> bool:
        return self.lease.id != NO_SESSION and not self.lease.closing

    def _renew_at_ms(self) -> int:
        """A session with a long lease is renewed more often, or a dead connection would hide what is watched."""
        return min(self.lease.ask_at_ms, self.heard_ms + PROBE_MS)

    def _patience_ms(self) -> int:
        return min(ATTEMPT_MS, max(ATTEMPT_MS_MIN, self.lease.ttl_ms // 3)) if self.lease.ttl_ms else ATTEMPT_MS

    def _give_up(self, trouble: str, now_ms: int) -> None:
        self.troubles[self.address()] = trouble
        self._failures += 1
        self._at = (self._at + 1) % len(self._addresses)
        self._try_at_ms = now_ms + jittered_ms(self._chance, self._failures)
        self._hang_up()

    def _hang_up(self) -> None:
        if self._link != DOWN:
            self._actions.append(Disconnect())
        self._link = DOWN
        self._is_asked = self._is_watching = False

    def _unix_ms(self) -> int:
        return self._now_ms + self._wall_offset_ms
