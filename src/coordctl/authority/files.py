"""Where an authority keeps what it made: `payments.ca/`, with a folder for each member and client in the form that COORD_TLS names."""

import os
from collections.abc import Iterator

from coordctl.authority import making
from coordctl.authority.making import About, Pair
from coordnode.client.tls import CA, CERTIFICATE, KEY
from coordnode.errors import BadRequest, Conflict

CA_KEY = "ca.key"
MEMBERS, CLIENTS = "members", "clients"
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
        return _read(os.path.join(self.folder, CA))

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
            for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
                path = os.path.join(folder, name, CERTIFICATE)
                if os.path.exists(path):
                    yield kind.removesuffix("s"), name, making.about(_read(path))

    def about(self) -> About:
        return making.about(self.certificate())

    def _own(self) -> Pair:
        return Pair(self.certificate(), _read(os.path.join(self.folder, CA_KEY)))

    def _keep(self, folder: str, pair: Pair) -> None:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        _write(os.path.join(folder, CA), self.certificate(), 0o644)
        # The key before the certificate: whoever finds the new certificate finds its key.
        _write(os.path.join(folder, KEY), pair.key, 0o600)
        _write(os.path.join(folder, CERTIFICATE), pair.certificate, 0o644)


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
