"""Why two that speak of certificates do not understand each other, in words; loaded when something went wrong."""

from __future__ import annotations

from coordctl.hot.dialling import connect, in_words
from coordctl.local.clusters import host_and_port
from coordnode.client.tls import VARIABLE, HungUpUnheard, folder_here, has_pair
from coordnode.errors import Unreachable
from coordnode.light import suppress

NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER", "PACKET_LENGTH", "HTTP_REQUEST", "UNEXPECTED_MESSAGE")
LOOK_SECONDS = 0.3
ALERT, HANDSHAKE = b"\x15", b"\x16"  # a record's first byte
SHUT_OUT = ("CERTIFICATE", "UNKNOWN_CA", "DECRYPT_ERROR", "HANDSHAKE_FAILURE", "ACCESS_DENIED", "PROTOCOL_VERSION")  # alerts


def trouble(error: OSError, unheard: str = "") -> str:
    """`unheard`: the address, where nobody has answered us yet."""
    return shut_out(error, unheard) or in_words(error)


def shut_out(error: OSError, unheard: str = "") -> str:
    """Why there is no understanding about certificates, so that nothing that was sent has been read; "": it is something else."""
    folder = folder_here()
    if folder:
        return _misunderstood(error, folder)
    if unheard and _speaks_tls(unheard):
        return f"it speaks TLS: {VARIABLE} is to name a folder with ca.pem"
    return ""


def _misunderstood(error: OSError, folder: str) -> str:
    if isinstance(error, HungUpUnheard):
        return f"{error.strerror} ({folder})"
    reason = getattr(error, "reason", None)
    if not isinstance(reason, str):
        return ""
    if reason == "CERTIFICATE_VERIFY_FAILED":
        return f"its certificate is not believed by {folder}/ca.pem ({getattr(error, 'verify_message', reason).rstrip('.')})"
    if any(part in reason for part in NO_TLS):
        return f"it does not speak TLS, and {VARIABLE} is set"
    if "ALERT" not in reason or not any(part in reason for part in SHUT_OUT):
        return ""
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
