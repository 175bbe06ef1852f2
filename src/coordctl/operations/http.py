"""One question to one member over HTTP, for what must go through that very member. What HTTP calls an error is an answer here."""

import http.client
import json
from typing import Any, NamedTuple

from coordctl.local.clusters import host_and_port
from coordnode.client import tls
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
    patience_ms = max(1, round(seconds * 1000))
    headers = {"Content-Type": "application/json"} | ({"Coord-Session": str(session)} if session else {})
    host, port = host_and_port(address)
    context = tls.context_here()
    connection = (
        http.client.HTTPConnection(host, port, timeout=seconds + GRACE_SECONDS)
        if context is None
        else http.client.HTTPSConnection(host, port, timeout=seconds + GRACE_SECONDS, context=context)
    )
    try:
        try:
            connection.connect()
        except OSError as error:
            raise Unreachable(_trouble(error)) from None
        content = None if body is None else json.dumps(body)
        connection.request(method, f"{path}?timeout_ms={patience_ms}{query}", content, headers)
        answer = connection.getresponse()
        found = json.loads(answer.read())
        return Answer(answer.status, found if isinstance(found, dict) else {})
    except TimeoutError:
        raise TimedOut("fell silent") from None
    except (OSError, http.client.HTTPException) as error:
        raise Disconnected(_trouble(error)) from None
    except ValueError:
        raise Disconnected("does not speak coordnode's HTTP") from None
    finally:
        connection.close()


def _trouble(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "fell silent"
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()
