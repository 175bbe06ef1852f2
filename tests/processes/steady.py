"""Who asks all the time, over TLS in each way there is, and has no patience with a request that fails."""

import http.client
import ssl
import threading
from collections.abc import Sequence

from coordnode.client import sync
from coordnode.client.tls import Credentials
from coordnode.errors import CoordError
from tests.processes.members import wait_until

KINDS = ("standing", "new", "http")


def http_status(address: tuple[str, int], context: ssl.SSLContext | None) -> int:
    """0: it was not let in."""
    assert context is not None
    connection = http.client.HTTPSConnection(*address, timeout=10, context=context)
    try:
        connection.request("GET", "/status")
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


class Steady:
    """Asks until it is told to stop: over a connection that stands, over new ones, and over HTTP. Certificates are read anew from the
    folder whenever they are others. A machine that stalls may end a connection; that costs no request that can be recognised."""

    def __init__(self, tls: str, addresses: Sequence[tuple[str, int]]) -> None:
        self.counts = dict.fromkeys(KINDS, 0)
        self.failures: list[str] = []
        self._tls = tls
        self._addresses = addresses
        self._endpoints = [f"{host}:{port}" for host, port in addresses]
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(kind,)) for kind in KINDS]

    def __enter__(self) -> "Steady":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def _run(self, kind: str) -> None:
        credentials = Credentials(self._tls)
        with sync.connect(self._endpoints, tls=self._tls, timeout=60) as standing:
            while not self._is_over.is_set():
                number = self.counts[kind]
                try:
                    if kind == "standing":
                        standing.kv.put("steady/standing", str(number), request_id=f"steady-{number}")
                    elif kind == "new":
                        with sync.connect(self._endpoints, tls=self._tls, timeout=60) as fresh:
                            fresh.kv.put("steady/new", str(number), request_id=f"fresh-{number}")
                    elif (status := http_status(self._addresses[number % len(self._addresses)], credentials.context())) != 200:
                        self.failures.append(f"HTTP {status}")
                except CoordError as error:
                    self.failures.append(f"{kind}: {error.sentence}")
                self.counts[kind] += 1

    def go_on(self) -> None:
        """Until each kind has asked some more."""
        before = dict(self.counts)
        wait_until(lambda: all([self.counts[kind] >= before[kind] + 5 for kind in before]), "more was asked")
