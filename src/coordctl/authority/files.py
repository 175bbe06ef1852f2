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
        """What is believed."""
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
        self._believe_both()

    def sign_with_next(self, days: int) -> None:
        """Everything is issued anew."""
        assert self.stage() == BOTH
        _write(os.path.join(self.folder, CA), _read(os.path.join(self.folder, NEXT)) + self._signer(), 0o644)
        os.replace(os.path.join(self.folder, NEXT_KEY), os.path.join(self.folder, CA_KEY))
        os.unlink(os.path.join(self.folder, NEXT))
        self._issue_all(days)

    def forget_old(self) -> None:
        """Its own certificate last: as long as that names both, this was not done."""
        assert self.stage() == SIGNS
        new = self._signer()
        self._bring(new)
        _write(os.path.join(self.folder, CA), new, 0o644)
        if os.path.exists(os.path.join(self.folder, NEXT)):  # the stage before was stopped after all but this
            os.unlink(os.path.join(self.folder, NEXT))

    def complete(self, days: int) -> bool:
        """What the present stage makes is made as a whole, wherever it was stopped; whether there was anything to do. No stage may be left
        before everybody was brought all of it."""
        stage = self.stage()
        if stage == BOTH:
            return self._believe_both()
        return self._issue_all(days) if stage == SIGNS else False

    def _believe_both(self) -> bool:
        believed = self._signer() + _read(os.path.join(self.folder, NEXT))
        is_new = self.certificate() != believed
        if is_new:
            _write(os.path.join(self.folder, CA), believed, 0o644)
        return self._bring(believed) or is_new

    def _bring(self, believed: bytes) -> bool:
        """To every folder that has anything else."""
        folders = [os.path.join(self.folder, kind) for kind in (MEMBERS, CLIENTS)]
        paths = [os.path.join(folder, name, CA) for folder in folders for name in _names(folder)]
        behind = [path for path in paths if not os.path.exists(path) or _read(path) != believed]
        for path in behind:
            _write(path, believed, 0o644)
        return bool(behind)

    def _issue_all(self, days: int) -> bool:
        """Of those that the present signer has not signed yet."""
        signer = self._signer()
        behind = [
            (kind, name, about)
            for kind, name, about in self.valid()
            if not making.is_issued_by(self.certificate_of(kind, name), signer) or self._whole(self._folder_of(kind, name)) is None
        ]
        for kind, name, about in behind:
            if kind == "member":
                self.member(name, int(about.uri.removeprefix(making.MEMBER_URI)), days, renew=True)
            else:
                self.client(name, days, renew=True)
        return bool(behind)

    # --- not to be believed any more --------------------------------------------------------------------------------

    def revoked(self) -> bytes:
        path = os.path.join(self.folder, REVOKED)
        return _read(path) if os.path.exists(path) else b""

    def revoke(self, kind: str, name: str, reason: str) -> str:
        """The fingerprint of the certificate that nobody believes once members have the list. Its folder is emptied: it is issued anew."""
        if not reason.isprintable():  # a line of the list each; one that does not read as such is refused by members, and all of it with it
            raise BadRequest("--reason holds an end of line or another character that cannot be shown: give one line of text")
        folder = self._folder_of(kind, name)
        about = making.about(self.certificate_of(kind, name))
        line = f"{about.fingerprint} {kind} {name} {reason}".rstrip() + "\n"
        _write(os.path.join(self.folder, REVOKED), self.revoked() + line.encode(), 0o644)
        for file in (KEY, CERTIFICATE):  # stopped in between, it is listed still, and can be revoked again
            if os.path.exists(os.path.join(folder, file)):
                os.unlink(os.path.join(folder, file))
        return about.fingerprint

    def member(self, name: str, number: int, days: int, *, renew: bool = False) -> Pair:
        """As made before, unless that is for another id, or is to be renewed."""
        folder = self._folder_of("member", name)
        found = None if renew else self._whole(folder)
        if found is not None and making.about(found.certificate).uri == f"{making.MEMBER_URI}{number}":
            return found
        made = making.member(self._own(), name, number, days)
        self._keep(folder, made)
        return made

    def client(self, name: str, days: int, *, renew: bool = False) -> str:
        """The folder for COORD_TLS."""
        folder = self._folder_of("client", name)
        if renew or self._whole(folder) is None:
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

    def valid(self) -> Iterator[tuple[str, str, About]]:
        """Without those that are revoked, whose folders a revocation that was stopped has left: nobody is given another unasked."""
        return (one for one in self.issued() if not self._is_revoked(one[2]))

    def _is_revoked(self, about: About) -> bool:
        return about.fingerprint.encode() in self.revoked()

    def certificate_of(self, kind: str, name: str) -> bytes:
        return _read(os.path.join(self._folder_of(kind, name), CERTIFICATE))

    def about(self) -> About:
        return making.about(self.certificate())

    def _own(self) -> Pair:
        return Pair(self._signer(), _read(os.path.join(self.folder, CA_KEY)))

    def _signer(self) -> bytes:
        """The first; or, as long as the next one may not sign, the one that is not the next, wherever it stands."""
        is_waiting = self.stage() == BOTH
        not_yet = _read(os.path.join(self.folder, NEXT)) if is_waiting else b""
        signers = [one for one in making.split(self.certificate()) if one != not_yet]
        return signers[0]

    def _folder_of(self, kind: str, name: str) -> str:
        return os.path.join(self.folder, f"{kind}s", name)

    def _whole(self, folder: str) -> Pair | None:
        """None: it was never made, or only in part, or was revoked: then it is made anew."""
        paths = [os.path.join(folder, file) for file in (CERTIFICATE, KEY)]
        if not all(map(os.path.exists, paths)):
            return None
        found = Pair(*map(_read, paths))
        return found if making.fits(found) and not self._is_revoked(making.about(found.certificate)) else None

    def _keep(self, folder: str, pair: Pair) -> None:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        _write(os.path.join(folder, CA), self.certificate(), 0o644)
        # The key before the certificate: whoever finds the new certificate finds its key, and a key without its certificate is no pair.
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
    beside = f"{path}.{os.getpid()}.tmp"  # if it is there, whoever had this number before was killed
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with open(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)
