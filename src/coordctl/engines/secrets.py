"""Who this process is to another engine, and whom it believes: said as to coordnode, by COORD_TLS and COORD_AUTH_TOKEN_FILE.

A member is believed only at an address that its certificate names, as with the engine's own tools: nothing else tells it from another
holder of the authority's certificates.
"""

from __future__ import annotations

import os

from coordctl.local.clusters import host_and_port
from coordnode.client.identity import TOKEN_VARIABLE, token_here
from coordnode.client.tls import folder_here
from coordnode.errors import BadRequest
from coordnode.light import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import ssl

    from coordctl.hot.bare import socket
    from coordnode.client.tls import Credentials, Secured


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
    if folder := folder_here():
        _context_of(folder)


def secured(connection: socket.socket, address: str) -> socket.socket | Secured:
    """A connection as this process was told to speak on it. Raises BadRequest."""
    folder = folder_here()
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
