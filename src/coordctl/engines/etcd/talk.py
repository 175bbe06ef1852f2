"""One session on etcd: a lease with a number of our own choice, and a key with it. Pure."""

from __future__ import annotations

from coordctl.engines import lines
from coordctl.engines.etcd import words
from coordctl.engines.etcd.gateway import Answer, Ask, plain, result
from coordctl.engines.lines import Gone, There
from coordctl.engines.speaking import ANOTHER_TOOL, Speaking
from coordctl.hot import frames
from coordctl.hot.talk import Expired, Missed, Renewed
from coordctl.local.clusters import ETCD
from coordnode.errors import CoordError, SessionExpired
from coordnode.ids import SessionId
from coordnode.light import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from typing import Any


class Watch(NamedTuple):
    """On a connection of its own, to the same member; the one before is over."""

    ask: Ask


class Talk(Speaking):
    engine = ETCD

    def _forget_place(self) -> None:
        super()._forget_place()
        self._is_watching = False
        self._watch_from = 0

    def _result(self, answer: Answer) -> Any:
        return result(answer)

    def _read(self, operation: list[Any]) -> words.Asks:
        return words.read(self._unix_ms(), False, operation)

    def _write(self, operation: list[Any]) -> words.Asks:
        return words.change(words.Asker(self.lease.id, self._name, self._key()), operation)

    # --- words of its own ------------------------------------------------------------------------------------------

    def _open(self, nonce: bytes, owner: str, first: list[Any], parent: int) -> words.Asks:
        session = lines.session_id(nonce)
        self._space, self._name, wanted, waits = lines.asked(first, session, owner, parent, self._unix_ms())
        self._folder = lines.folder(self._space, self._name)
        mine = wanted._replace(key=b"%x" % session)
        key = self._folder + b"/" + mine.key
        look = {"request_range": words.everything_below(self._folder)}
        self._opened_ms = self._opened_ms or self._now_ms
        try:
            granted = yield Ask("lease/grant", {"TTL": -(-self.lease.ttl_ms // 1000), "ID": session})
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
        self.lease.on_opened(SessionId(session), 1000 * ttl, self._opened_ms, self._now_ms)
        self._watch_from = revision + 1
        first_result = self._entered(places, found, waits, revision)
        if first_result is None and parent:
            _, everywhere = yield from words.all_places(self._space)
            circle = lines.circle(lines.by_name(everywhere), found)
            first_result = lines.failure(circle) if circle is not None else None
        first_result = first_result or lines.queued(self._space, revision, self._name, places, found, self._unix_ms())
        return [frames.OPENED, session, 1000 * ttl, revision, first_result]

    def _renew(self) -> words.Asks:
        """Who waits needs no proof yet: it is asked for with the grant. But it looks at the line, whatever the watch does not say."""
        assert self._mine is not None
        sent_ms = self._now_ms
        if not self._is_held:
            alive = yield Ask("lease/keepalive", {"ID": self.lease.id})
            ttl_ms, is_there = 1000 * int(alive.get("TTL", 0)), True
            self.lease.ask_at_ms = sent_ms + ttl_ms // 3
            if ttl_ms:
                yield from self._look_who_left()
        else:
            ttl_ms, is_there = yield from self._confirmed([words.same(self._key(), self._mine.number)])
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
        mine = self._mine
        assert mine is not None
        written = mine._replace(since_unix_ms=self._unix_ms())
        put = {"request_put": {"key": self._key(), "value": written.kept(), "lease": mine.session}}
        ttl_ms, is_there = yield from self._confirmed([words.same(self._key(), mine.number)], put)
        if not ttl_ms:
            self._told.append(Expired())
        elif not is_there:
            self._on_gone()
        else:
            self._given()

    def _find_out(self) -> words.Asks:
        mine = self._mine
        assert mine is not None
        answer = yield Ask("kv/deleterange", {"key": words.why_key(self._space, self._name, mine.number), "prev_kv": True})
        why = [plain(one.get("value")) for one in answer.get("prev_kvs", ())]
        if why:
            self._taken(*lines.said_why(why[0]))
            return
        about = yield Ask("lease/timetolive", {"ID": mine.session})
        if int(about.get("TTL", -1)) < 0:
            self._told.append(Expired())
        else:
            self._taken("", ANOTHER_TOOL)

    def _close(self) -> words.Asks:
        try:
            return (yield from words.close(self.lease.id))
        except SessionExpired:
            return [frames.DONE, 0, 0]

    # --- what is watched -------------------------------------------------------------------------------------------

    def _more(self) -> None:
        if self._is_renewed() and not self._is_watching and self._watch_from:
            self._is_watching = True
            create = {**words.everything_below(self._folder), "start_revision": self._watch_from, "filters": ["NOPUT"]}
            self._actions.append(Watch(Ask("watch", {"create_request": create})))

    def _hang_up(self) -> None:
        super()._hang_up()
        self._is_watching = False

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
            self._do(self._look)
            return
        for event in found.get("events", ()):
            if event.get("type") == "DELETE":
                self._on_left(plain(event["kv"]["key"]).rpartition(b"/")[2])
        self._watch_from = max(self._watch_from, words.revision_of(found) + 1)

    def _look_who_left(self) -> words.Asks:
        """A watch that died without a word, behind something that forgets connections, tells nobody that it did. Nobody comes before us: so
        who was there and is not has left, and a watch that has not told it by now is begun anew."""
        mine = self._mine
        assert mine is not None
        asked = {**words.everything_below(self._folder), "max_create_revision": mine.number, "keys_only": True}
        there = [one.key for one in words.places_of((yield Ask("kv/range", asked)))]
        left = [one.key for one in self._places.values() if one.number <= mine.number and one.key not in there]
        if left:
            self._is_watching = False
        for key in left:
            self._on_left(key)
        self._maybe_take()

    def on_watch_lost(self) -> None:
        self._is_watching = False

    def _look(self) -> words.Asks:
        """Anew, after a gap in what was watched."""
        answer = yield Ask("kv/range", words.everything_below(self._folder))
        self._places = {one.key: one for one in words.places_of(answer)}
        self._watch_from = words.revision_of(answer) + 1
        if self._mine is not None and self._mine.key not in self._places:
            self._on_gone()
        else:
            self._maybe_take()
