"""One question to one member over HTTP, for what must go through that very member. What HTTP calls an error is an answer here."""

import http.client
import json
from types import TracebackType
from typing import Any, NamedTuple, Self

from coordctl.local.clusters import host_and_port
from coordnode.client import tls
from coordnode.client.identity import bearer
from coordnode.errors import Disconnected, TimedOut, Unreachable

GRACE_SECONDS = 0.5  # a member is told how long we wait, and may say at the very end that it waited in vain


class Answer(NamedTuple):
    status: int
    body: dict[str, Any]

    @property
    def is_ok(self) -> bool:
        return self.status == 200

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
        headers = {"Content-Type": "application/json"} | ({"Coord-Session": str(session)} if session else {}) | bearer()
        connection = self._connection
        try:
            if connection.sock is None:
                try:
                    connection.connect()
                except OSError as error:
                    raise Unreachable(_trouble(error)) from None
            content = None if body is None else json.dumps(body)
            connection.request(method, f"{path}?timeout_ms={self._patience_ms}{query}", content, headers)
            answer = connection.getresponse()
            found = json.loads(answer.read())
            return Answer(answer.status, found if isinstance(found, dict) else {})
        except TimeoutError:
            connection.close()
            raise TimedOut("fell silent") from None
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise Disconnected(_trouble(error)) from None
        except ValueError:
            connection.close()
            raise Disconnected("does not speak coordnode's HTTP") from None

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _trouble(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "fell silent"
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()
