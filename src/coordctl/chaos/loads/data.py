"""Keys and counters: what is written once, whatever happens to the question and to its answer."""

from contextlib import suppress
from typing import Any, ClassVar

from coordctl.chaos.loads.clients import Client
from coordnode.client.sync import Cluster, Session
from coordnode.errors import CoordError, SessionExpired

KEYS = 4
COMES_AGAIN_SHARE = 0.04  # of the turns
SESSION_SECONDS = 5.0
DELTAS = (0, 1, 2, 5, -3)


class KvClient(Client):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._seen: dict[str, str] = {}

    def turn(self, turn: int) -> None:
        if self.chance.random() < COMES_AGAIN_SHARE:
            self.come_again()
        key = f"{self.prefix}k{self.chance.randrange(KEYS)}"
        draw = self.chance.random()
        value = f"{self.number}-{turn}"
        request_id = f"{self.prefix}{value}" if self.chance.random() < 0.5 else ""
        if draw < 0.35:
            self.ask("put", [key, value], lambda: self._put(key, value, request_id))
        elif draw < 0.45 and self._seen.get(key):
            expected = self._seen[key]
            self.ask("cas", [key, [expected, value]], lambda: self._compare_and_set(key, expected, value, request_id))
        elif draw < 0.95:
            self._seen[key] = self._get(self.cluster, key)
        else:
            self.ask("delete", [key, None], lambda: [key, self.cluster.kv.delete(key)])

    def finish(self) -> None:
        with self.with_patience() as cluster, suppress(CoordError):
            for number in range(KEYS):
                self._get(cluster, f"{self.prefix}k{number}")

    def _put(self, key: str, value: str, request_id: str) -> list[str]:
        self.cluster.kv.put(key, value, request_id=request_id)
        return [key, value]

    def _compare_and_set(self, key: str, expected: str, value: str, request_id: str) -> object:
        done = self.cluster.kv.compare_and_set(key, value, prev_value=expected, request_id=request_id)
        return [key, value] if done is not None else False

    def _get(self, cluster: Cluster, key: str) -> str:
        def act() -> list[str]:
            item = cluster.kv.get(key, stale=self.is_stale)
            return [key, item.value.decode() if item is not None else ""]

        found: str = self.ask("get", [key, None], act)[1]
        return found


class CounterClient(Client):
    """Two of three additions may be sent again and again, and count once; the others are sent again only if they surely did not count."""

    pause_seconds_max: ClassVar[float] = 0.06

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._counter = f"{self.prefix}sum"
        self._session: Session | None = None

    def turn(self, turn: int) -> None:
        draw = self.chance.random()
        delta = self.chance.choice(DELTAS)
        if draw < 0.25:
            self.ask("read", None, lambda: self.cluster.counters.get(self._counter))
        elif draw < 0.5:
            self.ask("add-get", delta, lambda: self.cluster.counters.add(self._counter, delta))
        elif draw < 0.75:
            request_id = f"{self.prefix}{self.number}-{turn}"
            self.ask("add-get", delta, lambda: self.cluster.counters.add(self._counter, delta, request_id=request_id))
        else:
            self._add_once(delta)

    def _add_once(self, delta: int) -> None:
        session = self._session = self._session or self.cluster.session(SESSION_SECONDS)
        try:
            self.ask("add-get", delta, lambda: session.counters.add(self._counter, delta))
        except SessionExpired:
            self._session = None
            raise

    def leave(self) -> None:
        if self._session is not None:
            self._session.close()

    def finish(self) -> None:
        with self.with_patience() as cluster, suppress(CoordError):
            self.ask("read", None, lambda: cluster.counters.get(self._counter))
