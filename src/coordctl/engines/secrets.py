"""Who this process is to another engine, and whom it believes: said as to coordnode, by COORD_TLS and COORD_AUTH_TOKEN_FILE.

A member is believed only at an address that its certificate names, as with the engine's own tools: nothing else tells it from another
holder of the authority's certificates.
"""

from __future__ import annotations

import os

from coordctl.hot.dialling import connect, in_words
from coordctl.local.clusters import host_and_port
from coordnode.client.identity import TOKEN_VARIABLE, token_here
from coordnode.errors import BadRequest, Unreachable
from coordnode.light import TYPE_CHECKING, NamedTuple, suppress

if TYPE_CHECKING:
    import ssl

    from coordctl.hot.bare import socket
    from coordnode.client.tls import Credentials, Secured

TLS_VARIABLE = "COORD_TLS"
NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER", "PACKET_LENGTH", "HTTP_REQUEST", "UNEXPECTED_MESSAGE")
LOOK_SECONDS = 0.3
ALERT, HANDSHAKE = b"\x15", b"\x16"  # a record's first byte
SHUT_OUT = ("CERTIFICATE", "UNKNOWN_CA", "DECRYPT_ERROR", "HANDSHAKE_FAILURE", "ACCESS_DENIED", "PROTOCOL_VERSION")  # alerts


class User(NamedTuple):
    name: str
    password: str


def user_here() -> User | None:
    """None: nobody in particular."""
    said = token_here()
    if not said:
        return None
    name, colon, password = said.partition(":")
    if not colon or not name or not password:
        raise BadRequest(f"{TOKEN_VARIABLE}={os.environ[TOKEN_VARIABLE]}: for etcd and ZooKeeper USER:PASSWORD belongs in it")
    return User(name, password)


def check() -> None:
    """Before anybody is spoken to. Raises BadRequest."""
    user_here()
    if folder := os.environ.get(TLS_VARIABLE, ""):
        _context_of(folder)


def secured(connection: socket.socket, address: str) -> socket.socket | Secured:
    """A connection as this process was told to speak on it. Raises BadRequest."""
    folder = os.environ.get(TLS_VARIABLE, "")
    if not folder:
        return connection
    from coordnode.client.tls import Secured

    return Secured(connection, _context_of(folder), host_and_port(address)[0])


_credentials: dict[str, Credentials] = {}


def _context_of(folder: str) -> ssl.SSLContext:
    from coordnode.client.tls import Credentials

    if folder not in _credentials:
        _credentials[folder] = Credentials(folder, _loaded)
    context = _credentials[folder].context()
    assert context is not None
    return context


def _loaded(folder: str) -> ssl.SSLContext:
    """Older versions of both engines speak TLS 1.2, and whoever wants no certificate of a client needs none."""
    import ssl

    from coordnode.client import tls

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return tls.filled(context, folder, needs_pair=False)


def trouble(error: OSError, unheard: str = "") -> str:
    """`unheard`: the address, where nobody has answered us yet."""
    return shut_out(error, unheard) or in_words(error)


def shut_out(error: OSError, unheard: str = "") -> str:
    """Why there is no understanding about certificates, so that nothing that was sent has been read; "": it is something else."""
    folder = os.environ.get(TLS_VARIABLE, "")
    if folder:
        return _misunderstood(error, folder)
    if unheard and _speaks_tls(unheard):
        return f"it speaks TLS: {TLS_VARIABLE} is to name a folder with ca.pem"
    return ""


def _misunderstood(error: OSError, folder: str) -> str:
    reason = getattr(error, "reason", None)
    if not isinstance(reason, str):
        return ""
    if reason == "CERTIFICATE_VERIFY_FAILED":
        return f"its certificate is not believed by {folder}/ca.pem ({getattr(error, 'verify_message', reason).rstrip('.')})"
    if any(part in reason for part in NO_TLS):
        return f"it does not speak TLS, and {TLS_VARIABLE} is set"
    if "ALERT" not in reason or not any(part in reason for part in SHUT_OUT):
        return ""
    from coordnode.client.tls import has_pair

    if not has_pair(folder):
        return f"it wants a certificate of who asks: put certificate.pem and key.pem into {folder}"
    return f"it does not believe {folder}/certificate.pem ({reason.partition('ALERT_')[2].replace('_', ' ').lower()})"


def _speaks_tls(address: str) -> bool:
    """Whether it answers a handshake's first words with some of its own."""
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    words = ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), words, server_hostname=host_and_port(address)[0]).do_handshake()
    try:
        connection = connect(address, LOOK_SECONDS)
    except Unreachable:
        return False
    try:
        connection.sendall(words.read())
        return connection.recv(1) in (ALERT, HANDSHAKE)
    except OSError:
        return False
    finally:
        connection.close()
