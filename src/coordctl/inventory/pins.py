"""The host keys that are believed: beside the inventory, in the form of known_hosts, under the hosts' names.

So `ssh -o HostKeyAlias=n1 -o UserKnownHostsFile=payments.known_hosts …` believes the same. Nothing here asks a host.
"""

import hashlib
import os
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import NamedTuple

from coordnode.errors import BadRequest

SUFFIX = "known_hosts"


class HostKey(NamedTuple):
    kind: str  # ssh-ed25519, …
    blob: bytes

    @property
    def fingerprint(self) -> str:
        """As ssh shows it."""
        return "SHA256:" + b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip("=")


def read(path: str) -> dict[str, HostKey]:
    """Host's name → its key; nothing where nothing was pinned yet."""
    try:
        with open(path, encoding="ascii") as file:
            lines = file.read().splitlines()
    except FileNotFoundError:
        return {}
    pins = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            name, kind, blob = line.split()[:3]
            pins[name] = HostKey(kind, b64decode(blob, validate=True))
        except ValueError:
            raise BadRequest(
                f"{path}:{number}: a pinned key is NAME KIND BASE64: remove the line, then `coordctl inventory trust`"
            ) from None
    return pins


def write(path: str, pins: Mapping[str, HostKey]) -> None:
    text = "".join(f"{name} {key.kind} {b64encode(key.blob).decode()}\n" for name, key in sorted(pins.items()))
    beside = f"{path}.{os.getpid()}.tmp"
    with open(beside, "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)
