"""A client that behaves: puts and gets, one after the other, and how long each took."""

import threading
import time
from collections.abc import Sequence
from typing import NamedTuple

from coordnode.client.sync import connect

PAUSE_S = 0.005


class Seen(NamedTuple):
    calls: int
    p50_ms: float
    p99_ms: float
    longest_ms: float

    def __str__(self) -> str:
        return f"{self.calls} calls, p50 {self.p50_ms:.1f} ms, p99 {self.p99_ms:.1f} ms, longest {self.longest_ms:.0f} ms"


class Bystander:
    """Any answer that is not the right one is an error; leaving the `with` raises it."""

    def __init__(self, endpoints: Sequence[tuple[str, int]]) -> None:
        self._endpoints = [f"{host}:{port}" for host, port in endpoints]
        self._took_ms: list[float] = []
        self._error: BaseException | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Bystander":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        if self._error is not None:
            raise AssertionError("a client that behaves was disturbed") from self._error

    def take(self) -> Seen:
        """What was seen since this was asked last."""
        took, self._took_ms = sorted(self._took_ms), []
        assert took, "a client that behaves got nothing done"
        return Seen(len(took), took[len(took) // 2], took[len(took) * 99 // 100], took[-1])

    def wait_calls(self, count: int) -> None:
        while len(self._took_ms) < count and self._thread.is_alive():
            self._stopping.wait(0.01)

    def _run(self) -> None:
        try:
            with connect(self._endpoints, identity="bystander", timeout=30.0) as cluster:
                number = 0
                while not self._stopping.wait(PAUSE_S):
                    number += 1
                    value = b"%d" % number
                    began = time.perf_counter()
                    cluster.kv.put("bystander", value, request_id=f"bystander-{number}")
                    middle = time.perf_counter()
                    result = cluster.kv.get("bystander")
                    self._took_ms += [(middle - began) * 1000, (time.perf_counter() - middle) * 1000]
                    assert result is not None
                    assert result.value == value, f"{result.value!r} was read after {value!r} was put"
        except BaseException as error:
            self._error = error
