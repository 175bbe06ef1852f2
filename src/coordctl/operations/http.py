"""One question to one member over HTTP, for what must go through that very member. What HTTP calls an error is an answer here."""

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, NamedTuple, Self

from coordctl.local.clusters import host_and_port
from coordnode.client import tls
from coordnode.client.identity import bearer
from coordnode.errors import CoordError, Disconnected, NotPermitted, TimedOut, Unreachable

OK, FORBIDDEN = 200, 403
GRACE_SECONDS = 0.5  # a member is told how long we wait, and may say at the very end that it waited in vain


class Answer(NamedTuple):
    status: int
    body: dict[str, Any]

    @property
    def is_ok(self) -> bool:
        return self.status == OK

    def must(self) -> Self:
        """Raises where it was refused."""
        if not self.is_ok:
            raise (NotPermitted if self.status == FORBIDDEN else CoordError)(self.sentence)
        return self

    @property
    def sentence(self) -> str:
        """Why not."""
        return str(self.body.get("sentence", f"HTTP {self.status}"))


def ask(address: str, method: str, path: str, body: object = None, *, seconds: float, session: int = 0, query: str = "") -> Answer:
    """Raises Unreachable when surely nothing was sent, else TimedOut or Disconnected."""
    with Line(address, seconds) as line:
        return line.ask(method, path, body, session=session, query=query)


class Line:
    """A connection to one member, for question after question."""

    def __init__(self, address: str, seconds: float) -> None:
        """`seconds`: for each of them."""
        host, port = host_and_port(address)
        context = tls.context_here()
        self._patience_ms = max(1, round(seconds * 1000))
        self._connection = (
            http.client.HTTPConnection(host, port, timeout=seconds + GRACE_SECONDS)
            if context is None
            else http.client.HTTPSConnection(host, port, timeout=seconds + GRACE_SECONDS, context=context)
        )

    def ask(self, method: str, path: str, body: object = None, *, session: int = 0, query: str = "") -> Answer:
        headers = {"Coord-Session": str(session)} if session else {}
        return self._answer(self._request(method, path, None if body is None else json.dumps(body), headers, query))

    def follow(self, path: str, *, query: str = "") -> "Stream":
        """Under way when this returns. Ends this line."""
        self._connect()
        connected = self._connection.sock
        response = self._request("GET", path, None, {"Accept": "text/event-stream"}, query)
        if response.status != OK:
            self._answer(response).must()
        connected.settimeout(None)
        return Stream(connected, response)

    def _connect(self) -> None:
        if self._connection.sock is None:
            try:
                self._connection.connect()
            except OSError as error:
                self.close()
                raise Unreachable(_trouble(error)) from None

    def _request(self, method: str, path: str, content: str | None, headers: dict[str, str], query: str) -> http.client.HTTPResponse:
        self._connect()
        with self._troubles():
            url = f"{path}?timeout_ms={self._patience_ms}{query}"
            self._connection.request(method, url, content, {"Content-Type": "application/json"} | headers | bearer())
            return self._connection.getresponse()

    def _answer(self, response: http.client.HTTPResponse) -> Answer:
        with self._troubles():
            return Answer(response.status, _object(response.read()))

    @contextmanager
    def _troubles(self) -> Iterator[None]:
        try:
            yield
        except TimeoutError:
            self.close()
            raise TimedOut("fell silent") from None
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Disconnected(_trouble(error)) from None
        except ValueError:
            self.close()
            raise Disconnected("does not speak coordnode's HTTP") from None

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class Stream:
    """Events from one member, as they come, until it ends them or somebody hangs up, in another thread if need be."""

    def __init__(self, connected: socket.socket, response: http.client.HTTPResponse) -> None:
        self._socket = connected
        self._response = response

    def __iter__(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """(kind, body)"""
        kind = ""
        with self._response as response, suppress(OSError, ValueError, http.client.HTTPException):
            while line := response.readline():
                name, _, value = line.rstrip(b"\n").partition(b": ")
                if name == b"event":
                    kind = value.decode()
                elif name == b"data":
                    yield kind, _object(value)

    def hang_up(self) -> None:
        with suppress(OSError):  # it ended before
            self._socket.shutdown(socket.SHUT_RDWR)


def _object(content: bytes) -> dict[str, Any]:
    found = json.loads(content)
    return found if isinstance(found, dict) else {}


def _trouble(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "fell silent"
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()
