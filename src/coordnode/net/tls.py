"""TLS as a member speaks it: contexts for both directions, and which member a certificate stands for.

A member's certificate names its id in a URI, a client's its user. Addresses are in none: a peer may be reached through anything that
carries its bytes.
"""

import asyncio
import os
import ssl
from calendar import timegm
from hashlib import sha256

from coordnode.client.tls import CA, CERTIFICATE, REVOKED, dialling, loaded
from coordnode.errors import BadRequest, NotPermitted
from coordnode.ids import MemberId
from coordnode.services.callers import MEMBER

MEMBER_URI, CLIENT_URI = "urn:coordnode:member:", "urn:coordnode:client:"
HANDSHAKE_SECONDS_MAX = 5.0
BEGIN, END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


class Tls:
    """What this member shows and whom it believes, as its folder says; the newest of it for each connection made from now on."""

    def __init__(self, folder: str) -> None:
        """Raises BadRequest."""
        self._folder = folder
        self.listening = _listening(folder)
        self.listening.sni_callback = self._on_greeting
        self._newest = self.listening
        self.dialling = _dialling(folder)
        self.revoked = _revoked(folder)
        self.ends_unix_s = _ends(folder)

    def renew(self) -> None:
        """Raises BadRequest, and nothing is changed. An authority that is not in the folder any more is believed no more."""
        newest, dialling, revoked = _listening(self._folder), _dialling(self._folder), _revoked(self._folder)
        self._newest, self.dialling, self.revoked, self.ends_unix_s = newest, dialling, revoked, _ends(self._folder)

    def _on_greeting(self, greeted: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        """A listening socket keeps the context that it was opened with; each of its connections takes the newest."""
        greeted.context = self._newest

    def check(self, transport: asyncio.BaseTransport) -> None:
        """Raises NotPermitted for who was let in once and is not to be any more."""
        if self.revoked and (shown := fingerprint_of(transport)) in self.revoked:
            raise NotPermitted(f"the certificate {shown[:16]} was revoked")


def _listening(folder: str) -> ssl.SSLContext:
    return loaded(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), folder)


def _dialling(folder: str) -> ssl.SSLContext:
    ours = dialling(folder)
    assert ours is not None
    return ours


def _revoked(folder: str) -> frozenset[str]:
    """The first word of each line is a certificate's SHA-256, in hexadecimal; the rest is for people. No file: none is."""
    try:
        with open(os.path.join(folder, REVOKED), encoding="utf-8") as file:
            words = [line.split()[0] for line in file if line.strip()]
    except FileNotFoundError:
        return frozenset()
    except (OSError, ValueError) as error:
        raise BadRequest(f"{folder}: {REVOKED}: {getattr(error, 'strerror', None) or 'is no text'}") from None
    if any([len(word) != 64 or word.strip("0123456789abcdef") for word in words]):
        raise BadRequest(f"{folder}: {REVOKED}: each line begins with a certificate's SHA-256, 64 letters of 0-9 and a-f")
    return frozenset(words)


def _ends(folder: str) -> int:
    """The first moment at which the certificate there, or all whose authority is believed, are over. Both files were loaded before."""
    found = []
    for name in (CERTIFICATE, CA):
        with open(os.path.join(folder, name), encoding="ascii", errors="replace") as file:
            bundle = [BEGIN + part for part in file.read().split(BEGIN)[1:]]
        found.append(max([ends_of(ssl.PEM_cert_to_DER_cert(part[: part.index(END) + len(END)])) for part in bundle]))
    return min(found)


def ends_of(certificate: bytes) -> int:
    """When a certificate ends, in unix seconds, from its DER."""
    _, body, _ = _element(certificate, 0)
    _, place, _ = _element(certificate, body)
    kind, _, behind = _element(certificate, place)  # the version, or the serial where there is none
    place = behind if kind == 0xA0 else place
    for _ in ("serial", "algorithm", "issuer"):
        _, _, place = _element(certificate, place)
    _, place, _ = _element(certificate, place)
    _, _, place = _element(certificate, place)  # from when on
    kind, body, behind = _element(certificate, place)
    text = certificate[body:behind].decode("ascii")
    if kind == 0x17:  # two digits of the year
        text = ("19" if text[:2] >= "50" else "20") + text
    return timegm((int(text[:4]), int(text[4:6]), int(text[6:8]), int(text[8:10]), int(text[10:12]), int(text[12:14])))


def _element(data: bytes, place: int) -> tuple[int, int, int]:
    """(kind, where its content begins, where it ends)"""
    length, body = data[place + 1], place + 2
    if length & 0x80:
        count = length & 0x7F
        length, body = int.from_bytes(data[body : body + count], "big"), body + count
    return data[place], body, body + length


def fingerprint_of(transport: asyncio.BaseTransport) -> str:
    """Of the certificate at the other end; nothing in the clear."""
    secured = transport.get_extra_info("ssl_object")
    certificate = secured.getpeercert(binary_form=True) if secured is not None else None
    return sha256(certificate).hexdigest() if certificate else ""


def contexts(folder: str) -> Tls | None:
    """None: in the clear. Raises BadRequest."""
    return Tls(folder) if folder else None


def user_of(transport: asyncio.BaseTransport) -> str:
    """Whom the certificate at the other end stands for, as permits names users; nobody in the clear."""
    for name in _names(transport):
        if name.startswith(CLIENT_URI):
            return name.removeprefix(CLIENT_URI)
        if name.startswith(MEMBER_URI):
            return MEMBER + name.removeprefix(MEMBER_URI)
    return ""


def _names(transport: asyncio.BaseTransport) -> list[str]:
    certificate = transport.get_extra_info("peercert") or {}
    return [value for kind, value in certificate.get("subjectAltName", ()) if kind == "URI"]


def check_member(transport: asyncio.BaseTransport, member: MemberId) -> None:
    """Whoever says that it is a member has its certificate. Nothing is checked in the clear."""
    if transport.get_extra_info("peercert") is None:
        return
    names = _names(transport)
    if f"{MEMBER_URI}{member}" not in names:
        shown = ", ".join(names) or "nobody"
        raise NotPermitted(f"the certificate stands for {shown}, not for member {member}")
