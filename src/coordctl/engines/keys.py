"""All keys of one cluster, of whichever engine, and writes to it, each a question of its own."""

import os
import time
from collections.abc import Iterator
from typing import Any

from coordctl.hot import kv
from coordctl.local.clusters import ETCD, Chosen, spoken
from coordnode.errors import Unreachable
from coordnode.ranges import prefix_end

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

    def put(self, key: bytes, value: bytes, *, overwrites: bool) -> None:
        """Without `overwrites` what somebody else puts there meanwhile stays."""
        request_id = f"coordctl-{os.urandom(12).hex()}"
        if overwrites:
            kv.put(self._asking(), key, value, request_id)
        else:
            kv.compare_and_set(self._asking(), key, value, request_id, prev_revision=None, prev_value=None)

    def _asking(self) -> Any:
        left_ms = round(1000 * (self._until - time.monotonic()))
        if left_ms <= 0:
            raise Unreachable("it takes longer than --timeout: give it more, and run it again: what is alike is not written again")
        return spoken(self._cluster.engine, "asking").of(self._cluster.endpoints, left_ms, lambda _: None)
