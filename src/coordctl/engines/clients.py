"""A blocking client of whichever engine, for load and probes that run for long: the part of coordnode's own that they use, by its names."""

import os
import select
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar, cast

from coordctl.hot import elections, kv, locks
from coordctl.local.clusters import COORDNODE, Chosen, named, spoken
from coordctl.runner.claim import Terms
from coordctl.runner.held import HeldClaim, hold
from coordctl.runner.source import Closed, Granted, Lost, Refused, heard
from coordnode.client.clock import now_ms
from coordnode.client.sync import Cluster
from coordnode.client.sync import connect as connect_coordnode
from coordnode.errors import CoordError, NotHeld, Unreachable
from coordnode.ranges import prefix_end

T = TypeVar("T")


def connect(endpoints: list[str], *, identity: str, timeout: float) -> Cluster:
    """Endpoints as `--endpoints` has them. Of another engine: kv and lock, and no more of it."""
    chosen = named(",".join(endpoints), "endpoints")
    if chosen.engine == COORDNODE:
        return connect_coordnode([one.address for one in chosen.endpoints], identity=identity, timeout=timeout)
    return cast(Cluster, _Foreign(chosen, identity, timeout))


def is_foreign(cluster: Cluster) -> bool:
    return isinstance(cluster, _Foreign)


class _Foreign:
    def __init__(self, chosen: Chosen, identity: str, timeout: float) -> None:
        self._chosen = chosen
        self._identity = identity
        self._timeout_ms = round(timeout * 1000)
        self._asking: Any = None
        self.kv = _Keys(self._ask)
        self.locks = _Lines(self._ask, lambda asking, prefix: locks.page(asking, prefix, "", stale=False))
        self.elections = _Lines(self._ask, lambda asking, prefix: elections.page(asking, prefix.encode(), b"", stale=False))

    def _ask(self, question: Callable[[Any], T]) -> T:
        """On the connection there is, as long as nothing goes wrong on it."""
        if self._asking is None:
            self._asking = spoken(self._chosen.engine, "asking").of(self._chosen.endpoints, self._timeout_ms, lambda _: None)
            self._asking.stays = True
        self._asking.begin(self._timeout_ms)
        try:
            return question(self._asking)
        except CoordError:
            self._asking.hang_up()
            raise

    def lock(self, name: str, *, ttl: float) -> "_Lock":
        return _Lock(self._chosen, name, round(ttl * 1000), self._identity, self._timeout_ms)

    def close(self) -> None:
        if self._asking is not None:
            self._asking.hang_up()

    def __enter__(self) -> "_Foreign":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Keys:
    def __init__(self, ask: Callable[[Callable[[Any], Any]], Any]) -> None:
        self._ask = ask

    def put(self, key: str, value: str | bytes, *, request_id: str = "") -> None:
        """No engine but coordnode knows ids of requests."""
        content = value.encode() if isinstance(value, str) else value
        self._ask(lambda asking: kv.put(asking, key.encode(), content, ""))

    def get(self, key: str, *, stale: bool = False) -> kv.Item | None:
        item: kv.Item | None = self._ask(lambda asking: kv.get(asking, key.encode(), stale=stale, min_revision=0)).item
        return item

    def compare_and_set(self, key: str, value: str, *, prev_value: str, request_id: str = "") -> int | None:
        def question(asking: Any) -> Any:
            return kv.compare_and_set(asking, key.encode(), value.encode(), "", prev_revision=None, prev_value=prev_value.encode())

        revision, is_set, _ = self._ask(question)
        return int(revision) if is_set else None

    def delete(self, key: str | bytes) -> bool:
        return bool(self._ask(lambda asking: kv.delete(asking, key.encode() if isinstance(key, str) else key, ""))[1])

    def range(self, prefix: str, *, keys_only: bool = False) -> Iterator[kv.Item]:
        start, end = prefix.encode(), prefix_end(prefix.encode())
        _, found, _ = self._ask(lambda asking: kv.page(asking, start, end, keys_only=keys_only, stale=False))
        yield from found


class Name(NamedTuple):
    name: bytes


class _Lines:
    """Of locks, or of elections."""

    def __init__(self, ask: Callable[[Callable[[Any], Any]], Any], page: Callable[[Any, str], tuple[Sequence[Any], bool]]) -> None:
        self._ask = ask
        self._page = page

    def list(self, prefix: str) -> Iterator[Name]:
        found, _ = self._ask(lambda asking: self._page(asking, prefix))
        yield from (Name(os.fsencode(one.name)) for one in found)


class Grant(NamedTuple):
    token: int


class _Lock:
    """Held by the calling thread, which renews it when it asks for something: between that, its deadline is on its own clock."""

    def __init__(self, chosen: Chosen, name: str, ttl_ms: int, owner: str, timeout_ms: int) -> None:
        self._chosen = chosen
        self._terms = Terms(locks.Wish(name), ttl_ms, owner, timeout_ms, wall_offset_ms=time.time_ns() // 1_000_000 - now_ms())
        self._held: HeldClaim | None = None
        self._deadline_ms = 0

    def acquire(self) -> Grant:
        held = hold(self._chosen, self._terms)
        while True:
            for told in heard(held, now_ms()):
                if isinstance(told, Granted):
                    self._held, self._deadline_ms = held, told.deadline_ms
                    return Grant(told.token or 0)
                if isinstance(told, Refused):
                    self._end(held)
                    raise Unreachable(told.sentence)
            _turn(held)

    def release(self) -> None:
        held, self._held = self._held, None
        assert held is not None
        held.look()
        lost = [told for told in heard(held, now_ms()) if isinstance(told, Lost)]
        sentence = self._end(held)
        if lost or sentence:
            raise NotHeld(lost[0].sentence if lost else sentence)

    def _end(self, held: HeldClaim) -> str:
        held.close(now_ms(), succeeded=False)
        try:
            while True:
                for told in heard(held, now_ms()):
                    if isinstance(told, Closed):
                        return told.sentence
                _turn(held)
        finally:
            held.hang_up()


def _turn(held: HeldClaim) -> None:
    descriptor, interest = held.descriptor()
    wake_at_ms = held.wake_at_ms()
    poll = select.poll()
    if descriptor >= 0:
        poll.register(descriptor, interest)
    if poll.poll(None if wake_at_ms is None else max(0, wake_at_ms - now_ms())):
        held.on_ready(now_ms())
