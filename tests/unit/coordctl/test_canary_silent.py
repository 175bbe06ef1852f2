"""A canary's round before members that accept and do not answer, or not to the end: it is over in a few times --timeout, and says so."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from coordctl.canary.samples import OK, READ, WATCH, WRITE
from coordctl.engines import watching
from coordctl.local.clusters import ETCD, ZOOKEEPER, Chosen, Endpoint
from coordctl.operations.canary import Canary, Met
from coordctl.operations.canary_probes import Moment, Through, Trip
from coordnode.errors import CoordError
from tests.unit.unstalled import Unstalled

SECONDS = 0.3
TIMEOUTS_MAX = 20  # of a machine with other work; four of them stand behind each other
DRIP_SECONDS = 0.02
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
NOTHING, ONLY_HEADERS, DRIPS, DRIPS_BEHIND_HEADERS = (b"", b""), (HEAD, b""), (b"", b"H"), (HEAD, b"0")
FRAME_OF_A_MEGABYTE = (b"\0\x10\0\0", b"0")  # as ZooKeeper has it


@contextmanager
def member(at_once: bytes, drip: bytes) -> Iterator[Endpoint]:
    """Accepts; says this at once, and that again and again."""
    is_over = threading.Event()
    connections: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(DRIP_SECONDS)

        def serve() -> None:
            while not is_over.is_set():
                with suppress(TimeoutError):
                    connection, _ = listener.accept()
                    connections.append(connection)
                    with suppress(OSError):
                        connection.sendall(at_once)
                for connection in connections if drip else ():
                    with suppress(OSError):
                        connection.sendall(drip)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield Endpoint(f"127.0.0.1:{listener.getsockname()[1]}", 0, "n1")
        finally:
            is_over.set()
            thread.join()
            for connection in connections:
                connection.close()


@pytest.mark.parametrize(
    ("engine", "how"),
    [
        *((ETCD, how) for how in (NOTHING, ONLY_HEADERS, DRIPS, DRIPS_BEHIND_HEADERS)),
        *((ZOOKEEPER, how) for how in (NOTHING, FRAME_OF_A_MEGABYTE)),
    ],
)
def test_whoever_does_not_answer_to_the_end_keeps_a_round_waiting_for_no_longer(engine: str, how: tuple[bytes, bytes]) -> None:
    with member(*how) as endpoint, Unstalled() as clock:
        canary = Canary(Chosen(engine, "", [endpoint]), SECONDS)
        begun_ns = clock.now_ns()
        told = canary.round(1)
        elapsed = (clock.now_ns() - begun_ns) / 1e9
        with pytest.raises(CoordError):
            watching.watch(Chosen(engine, "", [endpoint]), "_canary/", SECONDS)
        canary.close()
    assert elapsed < TIMEOUTS_MAX * SECONDS
    assert {one.probe for one in told.samples} >= {WRITE, READ, WATCH}
    assert all(one.outcome != OK and one.sentence for one in told.samples)


class Watched(Through):
    """Its watch ends when somebody hangs up, as one that waits for what comes."""

    def __init__(self) -> None:
        super().__init__(Trip("_canary/x/", "test", 1, 5_000, SECONDS), "n1")
        self._is_over = threading.Event()

    def _open(self) -> None:
        pass

    def _follow(self) -> None:
        pass

    def _moments(self) -> Iterator[Moment]:
        self._is_over.wait()
        yield from ()

    def _put(self) -> int:
        raise ZeroDivisionError("an error that nobody foresaw")

    def hang_up(self) -> None:
        self._is_over.set()


def test_an_error_that_nobody_foresaw_ends_the_watches() -> None:
    """It was waited for without an end behind them, and never told."""
    canary = Canary(Chosen(ETCD, "", [Endpoint("127.0.0.1:1")]), SECONDS)
    with pytest.raises(ZeroDivisionError):
        canary._samples(Met("", (), [], [], [Watched()]))
    canary.close()
