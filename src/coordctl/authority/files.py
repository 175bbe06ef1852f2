"""Where an authority keeps what it made: `payments.ca/`, with a folder for each member and client in the form that COORD_TLS names.

Its own certificate can be replaced while everybody is connected, in three stages: BOTH are believed, the old one still signs; then the
new one SIGNS, and everything is issued anew; then the OLD one is gone. Whoever has a folder follows with each; nobody is ever met by a
certificate that it does not believe, as long as every folder reached the stage before.
"""

import os
from collections.abc import Iterator

from coordctl.authority import making
from coordctl.authority.making import About, Pair
from coordnode.client.tls import CA, CERTIFICATE, KEY, REVOKED
from coordnode.errors import BadRequest, Conflict

CA_KEY = "ca.key"
NEXT, NEXT_KEY = "next.pem", "next.key"
MEMBERS, CLIENTS = "members", "clients"
SETTLED, BOTH, SIGNS = "settled", "both are believed", "the new one signs"  # stages; the third leads back to the first
OPERATOR = "operator"  # the client that deploy makes for whoever deploys


class Authority:
    def __init__(self, folder: str) -> None:
        self.folder = folder

    def exists(self) -> bool:
        return os.path.exists(os.path.join(self.folder, CA_KEY))

    def init(self, cluster: str) -> None:
        if self.exists():
            raise Conflict(f"{self.folder} is an authority already; members that believe it would not believe another")
        pair = making.authority(cluster)
        os.makedirs(self.folder, mode=0o700, exist_ok=True)
        _write(os.path.join(self.folder, CA), pair.certificate, 0o644)
        _write(os.path.join(self.folder, CA_KEY), pair.key, 0o600)

    def certificate(self) -> bytes:
        """What is believed; the first one signs, but for the time between the first and the second stage."""
        return _read(os.path.join(self.folder, CA))

    # --- being replaced ---------------------------------------------------------------------------------------------

    def stage(self) -> str:
        if os.path.exists(os.path.join(self.folder, NEXT_KEY)):
            return BOTH
        return SIGNS if len(making.split(self.certificate())) > 1 else SETTLED

    def believe_next(self, cluster: str) -> None:
        """A new one is drawn, and every folder believes it from now on."""
        assert self.stage() == SETTLED
        pair = making.authority(cluster)
        _write(os.path.join(self.folder, NEXT), pair.certificate, 0o644)
        _write(os.path.join(self.folder, NEXT_KEY), pair.key, 0o600)  # begun once this is there
        self.bring()

    def sign_with_next(self, days: int) -> None:
        """Everything is issued anew. Done again, it goes on where it was stopped."""
        assert self.stage() == BOTH
        new = _read(os.path.join(self.folder, NEXT))
        old = next(one for one in making.split(self.certificate()) if one != new)
        _write(os.path.join(self.folder, CA), new + old, 0o644)
        os.replace(os.path.join(self.folder, NEXT_KEY), os.path.join(self.folder, CA_KEY))
        os.unlink(os.path.join(self.folder, NEXT))
        self.issue_all(days)

    def forget_old(self) -> None:
        assert self.stage() == SIGNS
        _write(os.path.join(self.folder, CA), making.split(self.certificate())[0], 0o644)
        self.bring()

    def bring(self) -> None:
        """What is believed, to every folder."""
        believed = self.certificate()
        if self.stage() == BOTH:
            believed = making.split(believed)[0] + _read(os.path.join(self.folder, NEXT))
            _write(os.path.join(self.folder, CA), believed, 0o644)
        for kind in (MEMBERS, CLIENTS):
            for name in _names(os.path.join(self.folder, kind)):
                _write(os.path.join(self.folder, kind, name, CA), believed, 0o644)

    def issue_all(self, days: int) -> None:
        """Of those that the present signer has not signed yet."""
        signer = making.split(self.certificate())[0]
        for kind, name, about in list(self.issued()):
            folder = os.path.join(self.folder, f"{kind}s", name)
            if making.is_issued_by(_read(os.path.join(folder, CERTIFICATE)), signer):
                continue
            if kind == "member":
                self.member(name, int(about.uri.removeprefix(making.MEMBER_URI)), days, renew=True)
            else:
                self.client(name, days, renew=True)

    # --- not to be believed any more --------------------------------------------------------------------------------

    def revoked(self) -> bytes:
        path = os.path.join(self.folder, REVOKED)
        return _read(path) if os.path.exists(path) else b""

    def revoke(self, kind: str, name: str, reason: str) -> str:
        """The fingerprint of the certificate that nobody believes once members have the list. Its folder is emptied: it is issued anew."""
        folder = os.path.join(self.folder, f"{kind}s", name)
        about = making.about(_read(os.path.join(folder, CERTIFICATE)))
        line = f"{about.fingerprint} {kind} {name} {reason}".rstrip() + "\n"
        _write(os.path.join(self.folder, REVOKED), self.revoked() + line.encode(), 0o644)
        for file in (CERTIFICATE, KEY):
            os.unlink(os.path.join(folder, file))
        return about.fingerprint

    def member(self, name: str, number: int, days: int, *, renew: bool = False) -> Pair:
        """As made before, unless that is for another id, or is to be renewed."""
        folder = os.path.join(self.folder, MEMBERS, name)
        if not renew and os.path.exists(os.path.join(folder, KEY)):
            found = Pair(_read(os.path.join(folder, CERTIFICATE)), _read(os.path.join(folder, KEY)))
            if making.about(found.certificate).uri == f"{making.MEMBER_URI}{number}":
                return found
        made = making.member(self._own(), name, number, days)
        self._keep(folder, made)
        return made

    def client(self, name: str, days: int, *, renew: bool = False) -> str:
        """The folder for COORD_TLS."""
        folder = os.path.join(self.folder, CLIENTS, name)
        if renew or not os.path.exists(os.path.join(folder, KEY)):
            self._keep(folder, making.client(self._own(), name, days))
        return folder

    def issued(self) -> Iterator[tuple[str, str, About]]:
        """(kind, name, what its certificate says)"""
        for kind in (MEMBERS, CLIENTS):
            folder = os.path.join(self.folder, kind)
            for name in _names(folder):
                path = os.path.join(folder, name, CERTIFICATE)
                if os.path.exists(path):
                    yield kind.removesuffix("s"), name, making.about(_read(path))

    def about(self) -> About:
        return making.about(self.certificate())

    def _own(self) -> Pair:
        return Pair(making.split(self.certificate())[0], _read(os.path.join(self.folder, CA_KEY)))

    def _keep(self, folder: str, pair: Pair) -> None:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        _write(os.path.join(folder, CA), self.certificate(), 0o644)
        # The key before the certificate: whoever finds the new certificate finds its key.
        _write(os.path.join(folder, KEY), pair.key, 0o600)
        _write(os.path.join(folder, CERTIFICATE), pair.certificate, 0o644)


def _names(folder: str) -> list[str]:
    return sorted(os.listdir(folder)) if os.path.isdir(folder) else []


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise BadRequest(f"{path}: {error.strerror}; make it with `coordctl ca init`, or copy the folder of who made it") from None


def _write(path: str, content: bytes, mode: int) -> None:
    beside = f"{path}.{os.getpid()}.tmp"
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with open(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)
