"""SIGHUP: settings and certificates are read anew, and what can be is taken over without a restart. What cannot is named."""

import dataclasses
import os
import time
from collections.abc import Callable

from msgspec import structs

from coordnode.client.tls import CA, CERTIFICATE, KEY, REVOKED
from coordnode.config import KEYS, RELOADABLE, NodeConfig
from coordnode.errors import CoordError
from coordnode.node.member import Member
from coordnode.node.reloaded import Reloaded
from coordnode.node.tuning import limits

CERTIFICATES = "certificates"
FIELDS = {KEYS[name].field: name for name in KEYS}


class Reloading:
    def __init__(self, member: Member, reread: Callable[[], NodeConfig], files_max: int) -> None:
        self._member = member
        self._reread = reread
        self._files_max = files_max
        self._certificates = _content(member.config.tls)

    def on_signal(self) -> None:
        member = self._member
        before = member.reloaded
        now = Reloaded(before.times + 1, int(time.time()))
        try:
            changed, needs_restart = self._take_over(self._reread())
            now = now._replace(changed=changed, needs_restart=needs_restart)
            member.telemetry.emit("reloaded", changed=list(changed), needs_restart=list(needs_restart))
        except CoordError as error:
            now = now._replace(trouble=error.sentence)
            member.telemetry.emit("not_reloaded", error=error.sentence)
        member.reloaded = now

    def _take_over(self, wanted: NodeConfig) -> tuple[tuple[str, ...], tuple[str, ...]]:
        member = self._member
        differ = [field for field in FIELDS if getattr(wanted, field) != getattr(member.config, field)]
        taken = {field: getattr(wanted, field) for field in differ if FIELDS[field] in RELOADABLE}
        certificates = self._renewed()
        member.config = config = dataclasses.replace(member.config, **taken)
        member.observer.commits.set_slow(config.slow_commit_ms)
        member.clients.limits = limits(config, self._files_max)
        member.recovered.wal.set_free_bytes_min(config.free_bytes_min)
        replica = member.replica
        replica.clients.authority.openings.sessions_max = config.client_sessions_max
        replica.config = structs.replace(
            replica.config,
            snapshot_entries=config.snapshot_entries,
            snapshot_log_bytes=config.snapshot_log_bytes,
            keep_entries=config.keep_entries,
        )
        names = [FIELDS[field] for field in taken] + [CERTIFICATES] * certificates
        return tuple(names), tuple(FIELDS[field] for field in differ if field not in taken)

    def _renewed(self) -> bool:
        """Connections made from now on show the new ones, and are believed by them. Those that stand go on, unless theirs was revoked."""
        member, folder = self._member, self._member.config.tls
        tls, content = member.door.ours.tls, _content(folder)
        if tls is None or content == self._certificates:
            return False
        tls.renew()
        member.door.end_revoked()
        member.peers.end_revoked()
        self._certificates = content
        return True


def _content(folder: str) -> list[bytes]:
    found = []
    for name in (CA, CERTIFICATE, KEY, REVOKED) if folder else ():
        try:
            with open(os.path.join(folder, name), "rb") as file:
                found.append(file.read())
        except OSError:
            found.append(b"")
    return found
