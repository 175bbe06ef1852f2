"""How far a client on this machine gets with each member: name, connection, TLS, words; then one request as every client sends it."""

import json
import os
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from contextlib import suppress

from coordctl.facts.reaching import CONNECT, NAME, REFUSED, SPEECH, TLS, WELL, Asked, Reached
from coordctl.local.clusters import Endpoint, host_and_port
from coordnode.client import sync, tls
from coordnode.errors import CoordError

QUESTION = b"GET /status HTTP/1.1\r\nHost: coordnode\r\nConnection: close\r\n\r\n"
ALERT_SECONDS = 0.3
HUNG_UP = "it hung up after the handshake"
TRIES = 2  # a busy machine stalls now and then


def reached(endpoints: Sequence[Endpoint], seconds: float) -> list[Reached]:
    found: dict[str, Reached] = {}

    def look(address: str) -> None:
        for _ in range(TRIES):
            found[address] = _look(address, seconds)
            if found[address].stage not in (CONNECT, SPEECH):
                return

    threads = [threading.Thread(target=look, args=(endpoint.address,), daemon=True) for endpoint in endpoints]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [found[endpoint.address] for endpoint in endpoints]


def _look(address: str, seconds: float) -> Reached:
    try:
        connection = socket.create_connection(host_and_port(address), seconds)
    except socket.gaierror as error:
        return Reached(address, NAME, (error.strerror or str(error)).lower())
    except TimeoutError:
        return Reached(address, CONNECT, "no answer")
    except OSError as error:
        return Reached(address, REFUSED if isinstance(error, ConnectionRefusedError) else CONNECT, (error.strerror or str(error)).lower())
    family, name = connection.family, connection.getpeername()
    with connection:
        stage = SPEECH
        try:
            context = tls.dialling(tls.folder_here())
            if context is not None:
                stage = TLS
                connection = context.wrap_socket(connection)
                _await_alert(connection, seconds)
            asked = time.time_ns()
            connection.sendall(QUESTION)
            answer = bytearray()
            while data := connection.recv(1 << 16):
                answer += data
            if not answer and context is not None:
                return Reached(address, TLS, HUNG_UP)
            if not answer and _speaks_tls(name, family, seconds):
                return Reached(address, TLS, "it speaks TLS")
            return _answered(address, bytes(answer), asked, time.time_ns())
        except TimeoutError:
            return Reached(address, SPEECH, "no answer")
        except ssl.SSLCertVerificationError as error:
            return Reached(address, TLS, f"verify failed: {error.verify_message}")
        except ssl.SSLEOFError:
            return Reached(address, TLS, HUNG_UP)
        except ssl.SSLError as error:  # also what it says of our certificate once it has read it
            return Reached(address, TLS, (error.reason or str(error)).lower().replace("_", " "))
        except OSError as error:
            return Reached(address, stage, HUNG_UP if stage == TLS else (error.strerror or str(error)).lower())
        finally:
            connection.close()


def _await_alert(connection: socket.socket, seconds: float) -> None:
    """Whether our certificate is taken is told after the handshake, and lost where we have said something by then."""
    connection.settimeout(ALERT_SECONDS)
    with suppress(TimeoutError):
        connection.recv(1)
    connection.settimeout(seconds)


def _speaks_tls(name: object, family: int, seconds: float) -> bool:
    """Whoever it is: nothing is said to it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.socket(family, socket.SOCK_STREAM) as connection:
        connection.settimeout(seconds)
        try:
            connection.connect(name)  # type: ignore[arg-type]  # as getaddrinfo gave it
            context.wrap_socket(connection).close()
        except OSError:  # ssl's errors are some
            return False
    return True


def _answered(address: str, answer: bytes, asked_ns: int, answered_ns: int) -> Reached:
    head, _, body = answer.partition(b"\r\n\r\n")
    try:
        status = json.loads(body) if head.startswith(b"HTTP/1.1 200 ") else None
    except ValueError:
        status = None
    if not isinstance(status, dict) or status.get("schema") != "coordnode.status/1":
        return Reached(address, SPEECH, "no coordnode" if answer else "it hangs up")
    error_ms = (answered_ns - asked_ns) / 2e6
    offset_ms = status["unix_ms"] - (asked_ns + answered_ns) / 2e6 if "unix_ms" in status else 0.0
    return Reached(address, WELL, "", status, offset_ms, error_ms)


def own_end_unix_s() -> int | None:
    """When the certificate of this client ends; None: it has none, or what reads one is not installed."""
    folder = tls.folder_here()
    try:
        from coordctl.authority import making

        with open(os.path.join(folder, tls.CERTIFICATE), "rb") as file:
            return making.about(file.read()).ends_unix_s if folder else None
    except (ImportError, OSError, ValueError):
        return None


def asked(endpoints: Sequence[Endpoint], seconds: float) -> Asked:
    """A request that only a leader answers, and that changes nothing."""
    try:
        with sync.connect([endpoint.address for endpoint in endpoints], timeout=seconds) as cluster:
            cluster.barrier()
    except (CoordError, OSError) as error:
        return Asked(type(error).__name__, error.sentence if isinstance(error, CoordError) else str(error))
    return Asked("", "")
