"""All keys of one cluster, of whichever engine, and writes to it, each a question of its own."""

import os
import time
from collections.abc import Iterator
from typing import Any

from coordctl.hot import kv
from coordctl.local.clusters import ETCD, ZOOKEEPER, Chosen, spoken
from coordnode.errors import Unreachable
from coordnode.ranges import prefix_end

Item = kv.Item
OURS = b"coordctl/"  # on etcd: locks and elections, and not keys


class Keys:
    def __init__(self, cluster: Chosen, until: float) -> None:
        self._cluster = cluster
        self._until = until

    def items(self, prefix: bytes) -> Iterator[kv.Item]:
        start, more = prefix, True
        while more:
            _, items, more = kv.page(self._asking(), start, prefix_end(prefix), keys_only=False, stale=False)
            yield from (one for one in items if self._cluster.engine != ETCD or not one.key.startswith(OURS))
            start = items[-1].key + b"\0" if items else start

    def put(self, key: bytes, value: bytes, before: kv.Item | None) -> bool:
        """Whether it was: what somebody else puts there meanwhile stays, but on ZooKeeper where something was there before.

        `before`: what was seen there; None: nothing.
        """
        request_id = f"coordctl-{os.urandom(12).hex()}"
        if before is not None and self._cluster.engine == ZOOKEEPER:  # which cannot compare what is there
            kv.put(self._asking(), key, value, request_id)
            return True
        revision = None if before is None else before.mod_revision
        return kv.compare_and_set(self._asking(), key, value, request_id, prev_revision=revision, prev_value=None)[1]

    def _asking(self) -> Any:
        left_ms = round(1000 * (self._until - time.monotonic()))
        if left_ms <= 0:
            raise Unreachable("it takes longer than --timeout: give it more, and run it again: what is alike is not written again")
        return spoken(self._cluster.engine, "asking").of(self._cluster.endpoints, left_ms, lambda _: None)
