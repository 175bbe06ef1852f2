"""A watch through one member of ZooKeeper (3.6 or later): which nodes came, changed and went, in order; what they are is read after it."""

from coordctl.engines import watching
from coordctl.engines.lines import Gone
from coordctl.engines.secrets import user_here
from coordctl.engines.watching import GONE, PUT, Change
from coordctl.engines.zookeeper import jute, words
from coordctl.engines.zookeeper.jute import Answer, Ask
from coordnode.errors import NotReady

SESSION_MS = 10_000
CREATED, DELETED, CHANGED = 1, 2, 3  # kinds of events


class Watching(watching.Watching):
    def _begin(self, prefix: str) -> None:
        self._frames = jute.Frames()
        self._waiting: list[bytes] = []
        self._events: list[tuple[int, bytes]] = []
        self._xid = 0
        self._send(jute.greeting(SESSION_MS, 0, jute.NO_PASSWORD, 0))
        if not jute.greeted(self._frame()).session:
            raise NotReady("opens no session now")
        if user := user_here():
            self._send(jute.authentication(user))
            jute.result(jute.answer(self._frame())[1])
        self._ask(jute.watch_below(words.path_of(prefix.rstrip("/").encode())))

    def take(self) -> list[Change]:
        while not self._events:
            self._on_frame(self._frame())
        events, self._events = self._events, []
        return [self._change(kind, path) for kind, path in events]

    def _change(self, kind: int, path: bytes) -> Change:
        key = path[1:].decode()
        if kind == DELETED:
            return Change(GONE, 0, key)
        try:
            value, stat = words.said(self._ask(jute.get(path)))
        except Gone:
            return Change(PUT, 0, key)
        return Change(PUT, stat.changed, key, value.decode())

    def _ask(self, ask: Ask) -> Answer:
        self._xid += 1
        self._send(jute.request(self._xid, ask, jute.ANYBODY))
        while True:
            answer = self._on_frame(self._frame())
            if answer is not None:
                return jute.result(answer)

    def _on_frame(self, frame: bytes) -> Answer | None:
        """Of our question; None: it tells of something else."""
        xid, answer = jute.answer(frame)
        if xid == jute.EVENT_XID:
            self._events.append(jute.event(answer))
        return answer if xid == self._xid else None

    def _frame(self) -> bytes:
        while not self._waiting:
            self._waiting += self._frames.feed(self._receive())
        return self._waiting.pop(0)
