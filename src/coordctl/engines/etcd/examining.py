"""All that one member of etcd tells a client of itself."""

import re
from contextlib import suppress
from typing import Any

from coordctl.engines.etcd.asking import Asking
from coordctl.engines.etcd.gateway import Ask
from coordctl.engines.etcd.looking import look
from coordctl.engines.etcd.telling import metrics
from coordctl.engines.examining import Examined, Known
from coordctl.local.clusters import Endpoint
from coordnode.errors import CoordError, Unreachable

ALARM = re.compile(r"memberID:(\w+) alarm:(\w+)")


def examine(endpoint: Endpoint, seconds: float) -> Examined:
    found = Examined(look(endpoint, seconds))
    if found.look.trouble:
        return found
    one = Asking([endpoint.address], round(seconds * 1000))
    try:
        status = one.once(Ask("maintenance/status", {}), endpoint.address)
        members = one.once(Ask("cluster/member/list", {}), endpoint.address).get("members", [])
    except CoordError as error:
        return Examined(found.look._replace(trouble=error.sentence))
    names = {int(one["ID"]): one.get("name", "") for one in members}
    alarms = [match.groups() for text in status.get("errors", ()) if (match := ALARM.search(text))]
    numbers = _metrics(endpoint.address, seconds)
    plain = tuple(one for one in found.look.alarms if not ALARM.search(one))
    return Examined(
        found.look._replace(alarms=plain),
        member=names.get(int(status["header"]["member_id"]), ""),
        cluster=status["header"]["cluster_id"],
        known=tuple(_known(one) for one in members),
        alarms=tuple((what, names.get(_id(whose), "") or f"member {whose}") for whose, what in alarms),
        revision=int(status["header"].get("revision", 0)),
        used_bytes=int(status.get("dbSizeInUse", 0)) or None,
        file_bytes=int(status.get("dbSize", 0)) or None,
        quota_bytes=numbers.get("etcd_server_quota_backend_bytes"),
        files_used=numbers.get("process_open_fds"),
        files_max=numbers.get("process_max_fds"),
    )


def digest(endpoint: Endpoint, revision: int, seconds: float) -> tuple[int, int] | None:
    """Of all that is kept up to this revision: members that have compacted it alike have the same."""
    try:
        found = Asking([endpoint.address], round(seconds * 1000)).once(Ask("maintenance/hash", {"revision": revision}), endpoint.address)
    except CoordError:
        return None
    return int(found.get("compact_revision", 0)), int(found.get("hash", 0))


def _id(text: str) -> int:
    """As it is logged: in hexadecimal digits by some versions, in decimal ones by others."""
    return int(text) if text.isdecimal() and len(text) > 16 else int(text, 16)


def _known(fields: dict[str, Any]) -> Known:
    addresses = tuple(url.partition("://")[2] for url in fields.get("clientURLs", ()))
    return Known(fields.get("name", ""), addresses or tuple(fields.get("peerURLs", ())), not fields.get("isLearner"))


def _metrics(address: str, seconds: float) -> dict[str, int]:
    """Of those without labels; where they are shown elsewhere, none."""
    found: dict[str, int] = {}
    try:
        said = metrics(address, seconds)
    except Unreachable:
        return found
    for line in said.decode(errors="replace").splitlines():
        name, _, value = line.partition(" ")
        with suppress(ValueError, OverflowError):
            found[name] = int(float(value))
    return found
