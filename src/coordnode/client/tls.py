"""TLS as a client speaks it: a folder holds whom it believes and who it is. A peer is who its certificate says, wherever it was reached.

The folder has ca.pem, certificate.pem and key.pem. A certificate that only stands for a client cannot pass for a member: OpenSSL looks
at what each may be used for. `Secured` is a socket, as far as the clients here use one, also one that never blocks.
"""

from __future__ import annotations

import os
import time

from coordnode.errors import BadRequest
from coordnode.light import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable

CA, CERTIFICATE, KEY = "ca.pem", "certificate.pem", "key.pem"
REVOKED = "revoked.txt"  # of members: certificates that are not believed any more, by their SHA-256
VARIABLE = "COORD_TLS"
RECORD_BYTES = 1 << 16
PAIR_WAITS_S = (0.02, 0.1, 0.4)  # for the other of two files that are being replaced


def folder_here() -> str:
    """What this process was told; "": to speak in the clear."""
    return os.environ.get(VARIABLE, "")


def dialling(folder: str) -> ssl.SSLContext | None:
    """None: in the clear. Raises BadRequest."""
    if not folder:
        return None
    import ssl  # takes as long to load as all that a plain command does

    return loaded(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), folder)


def loaded(context: ssl.SSLContext, folder: str) -> ssl.SSLContext:
    import ssl

    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return filled(context, folder)


def filled(context: ssl.SSLContext, folder: str, *, needs_pair: bool = True) -> ssl.SSLContext:
    """With what lies in the folder. Raises BadRequest."""
    import ssl

    at, wanted = CA, f"{CA}, {CERTIFICATE} and {KEY}" if needs_pair else CA
    try:
        context.load_verify_locations(os.path.join(folder, CA))
        at = f"{CERTIFICATE} and {KEY}"
        if needs_pair or has_pair(folder):
            _load_pair(context, os.path.join(folder, CERTIFICATE), os.path.join(folder, KEY))
    except ssl.SSLError as error:
        raise BadRequest(f"{folder}: {at} cannot be used: {error.reason or error}") from None
    except OSError as error:
        raise BadRequest(f"{folder}: {at}: {error.strerror}; the folder needs {wanted}") from None
    return context


def has_pair(folder: str) -> bool:
    return os.path.exists(os.path.join(folder, CERTIFICATE)) or os.path.exists(os.path.join(folder, KEY))


class HungUpUnheard(ConnectionError):
    """The peer ended the connection before a word of TLS from it that shows it believes us: it has read nothing."""

    def __init__(self, is_greeted: bool) -> None:
        super().__init__(0, "it hung up at the sight of our certificate: it does not believe it" if is_greeted else "it does not speak TLS")


class Secured:
    """Around a connected socket. What is sent before the handshake is over waits for it."""

    def __init__(self, connection: socket.socket, context: ssl.SSLContext, name: str = "") -> None:
        """`name`: what the peer's certificate must be for, where the context checks that."""
        import ssl

        self._raw = connection
        self._wants_more = ssl.SSLWantReadError
        self._from_peer, self._to_peer = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._ssl = context.wrap_bio(self._from_peer, self._to_peer, server_hostname=name or None)
        self._is_greeted = False
        self._is_heard = bool(name)  # a member that believes us sends its tickets at once; not so others
        self._is_over = False  # the peer said so
        self._plain = bytearray()  # waits for the handshake
        self._cipher = bytearray()  # waits for the socket
        self._read = bytearray()  # decrypted, not asked for yet
        self._push()

    def fileno(self) -> int:
        return self._raw.fileno()

    def settimeout(self, seconds: float | None) -> None:
        self._raw.settimeout(seconds)

    def shutdown(self, how: int) -> None:
        """Of the socket: whoever waits for it wakes up."""
        self._raw.shutdown(how)

    def close(self) -> None:
        self._raw.close()

    def getsockopt(self, level: int, name: int) -> int:
        return self._raw.getsockopt(level, name)

    def wants_to_write(self) -> bool:
        return bool(self._cipher)

    def send(self, data: bytes | bytearray) -> int:
        """Takes all of it; what the socket does not take waits, and goes with what is sent next, be it nothing."""
        self._plain += data
        self._push()
        return len(data)

    def sendall(self, data: bytes | bytearray) -> None:
        """What waits for the handshake goes while the answer is awaited."""
        self.send(data)

    def recv(self, count: int) -> bytes:
        """b"": the end. Raises BlockingIOError where the socket does, or when nothing whole has come yet; HungUpUnheard."""
        is_blocking = self._raw.gettimeout() != 0
        while not self._read and not self._is_over:
            data = self._raw.recv(RECORD_BYTES if is_blocking else count)
            if not data:
                if not self._is_heard:
                    raise HungUpUnheard(self._is_greeted)
                return b""
            self._is_heard = self._is_heard or self._is_greeted
            self._from_peer.write(data)
            self._push()
            self._decrypt()
            if not self._read and not is_blocking and not self._is_over:
                raise BlockingIOError
        found = bytes(self._read[:count])
        del self._read[:count]
        return found

    def _decrypt(self) -> None:
        try:
            while self._is_greeted and not self._is_over:
                part = self._ssl.read(RECORD_BYTES)
                self._read += part
                if not part:
                    self._is_over = True
                    self._ssl.unwrap()  # the peer waits for our word, too, before it hangs up
                    self._push()
        except self._wants_more:
            return

    def _push(self) -> None:
        if not self._is_greeted:
            try:
                self._ssl.do_handshake()
                self._is_greeted = True
            except self._wants_more:
                pass
        if self._is_greeted and self._plain:
            self._ssl.write(self._plain)
            self._plain.clear()
        self._cipher += self._to_peer.read()
        while self._cipher:
            try:
                del self._cipher[: self._raw.send(self._cipher)]
            except BlockingIOError:
                return


class Credentials:
    """What lies in a folder, read anew once its files are others: a client that lives for long follows renewals and new authorities."""

    def __init__(self, folder: str, load: Callable[[str], ssl.SSLContext | None] = dialling) -> None:
        self._folder = folder
        self._load = load
        self._seen = _marks(folder)
        self._context = load(folder)

    def context(self) -> ssl.SSLContext | None:
        """For the next connection. While half of what is new is there, the old goes on."""
        seen = _marks(self._folder)
        if seen != self._seen:
            try:
                self._context = self._load(self._folder)
                self._seen = seen
            except BadRequest:
                pass
        return self._context


def _marks(folder: str) -> list[tuple[int, int, int]]:
    found = []
    for name in (CA, CERTIFICATE, KEY) if folder else ():
        try:
            about = os.stat(os.path.join(folder, name))
            found.append((about.st_ino, about.st_size, about.st_mtime_ns))
        except OSError:
            found.append((0, 0, 0))
    return found


_credentials: dict[str, Credentials] = {}


def context_here() -> ssl.SSLContext | None:
    """As this process was told; None: in the clear."""
    folder = folder_here()
    if folder not in _credentials:
        _credentials[folder] = Credentials(folder)
    return _credentials[folder].context()


def secured(connection: socket.socket) -> Secured:
    """For those who found that this process was told anything."""
    context = context_here()
    assert context is not None
    return Secured(connection, context)


def _load_pair(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Two files cannot be replaced at once: who reads between them looks again."""
    import ssl

    for wait_s in PAIR_WAITS_S:
        try:
            return context.load_cert_chain(certificate, key)
        except ssl.SSLError as error:
            if error.reason != "KEY_VALUES_MISMATCH":
                raise
        time.sleep(wait_s)
    context.load_cert_chain(certificate, key)
