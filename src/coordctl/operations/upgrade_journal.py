"""Where an upgrade's journal lies: on every host beside the switch, and mirrored in the cluster; and what others wish of who is at it."""

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from shlex import quote

import msgspec

from coordctl.facts.hosts import HostFacts
from coordctl.operations.fleet import LOCKED_CODE, Fleet, OtherOperator, told
from coordctl.operations.upgrade_mirror import KEY
from coordctl.rolling import journal as journals
from coordctl.rolling.journal import Journal
from coordctl.transport.base import Script
from coordnode.client.sync import Cluster
from coordnode.errors import CoordError

FILE, WISH = "upgrade.json", "upgrade.wish"
WRITE_SECONDS = 20.0
MIRROR_SECONDS = 2.0
MIRROR_AGAIN_SECONDS = 15.0


class Wish(msgspec.Struct, frozen=True):
    """That it stand still, from somebody who has not the lock."""

    id: str  # of the upgrade
    who: str
    reason: str


class JournalKeeper:
    def __init__(self, fleet: Fleet, cluster: Cluster | None) -> None:
        self._fleet = fleet
        self._cluster = cluster  # None: it is not asked
        self._mirror_again = 0.0

    def write(self, journal: Journal) -> Wish | None:
        """To every host that is reached; one that fails is out from then on. What is wished there. Raises OtherOperator."""
        ran = self._everywhere("journal", lambda base: _put(base, FILE, journals.encode(journal)) + _told_wish(base))
        self._mirror(journal)
        return _wish_in(journal, ran.values())

    def look(self, journal: Journal) -> Wish | None:
        """Also keeps the lock fresh."""
        return _wish_in(journal, self._everywhere("look", _told_wish).values())

    def forget_wishes(self) -> None:
        self._everywhere("forget wishes", lambda base: f"rm -f {quote(f'{base}/{WISH}')}\n")

    def _everywhere(self, name: str, make: Callable[[str], str]) -> dict[str, str]:
        """`make`: the script of a host with this base."""
        fleet = self._fleet
        bases = {host: fleet.facts[host].base for host in fleet.names()}
        scripts = {host: Script(name, fleet.held_script(host) + make(base)) for host, base in bases.items()}
        found = fleet.at_each(list(scripts), lambda transport: transport.run(scripts[transport.host], WRITE_SECONDS), WRITE_SECONDS)
        for host, ran in found.items():
            if ran.code == LOCKED_CODE:
                raise OtherOperator(told(host, ran.stdout))
            if ran.code:
                fleet.fail(host, f"its journal cannot be written: {ran.last_words()}")
        return {host: ran.stdout for host, ran in found.items() if not ran.code}

    def _mirror(self, journal: Journal) -> None:
        """As far as there is a quorum: hosts have it in any case. Where there is none, not every step waits for one."""
        if self._cluster is None or (journal.state == "running" and time.monotonic() < self._mirror_again):
            return
        once = f"{journal.plan.id}-{journal.number}"  # so that it may be sent again when the lead has just changed
        try:
            if journal.is_over:
                self._cluster.kv.delete(KEY, request_id=once, timeout=MIRROR_SECONDS)
            else:
                self._cluster.kv.put(KEY, journals.encode(journal), request_id=once, timeout=MIRROR_SECONDS)
        except CoordError:
            self._mirror_again = time.monotonic() + MIRROR_AGAIN_SECONDS


def read(all_facts: Mapping[str, HostFacts], cluster: Cluster | None) -> Journal | None:
    """The newest copy there is."""
    found = [one for facts in all_facts.values() if (one := journals.of_host(facts.upgrade)) is not None]
    if cluster is not None:
        with suppress(CoordError):
            item = cluster.kv.get(KEY, timeout=MIRROR_SECONDS)
            mirrored = journals.decode(item.value) if item is not None else None
            found += [mirrored] if mirrored is not None else []
    return journals.newest(found)


def wish(fleet: Fleet, wished: Wish) -> None:
    """Left on every host that is reached, for whoever has the lock there."""
    text = msgspec.json.encode(wished).decode()
    scripts = {host: Script("wish", f"set -eu\n{_put(fleet.facts[host].base, WISH, text)}") for host in fleet.names()}
    fleet.run(scripts, WRITE_SECONDS)


def _put(base: str, name: str, text: str) -> str:
    place = quote(f"{base}/{name}")
    assert "\n" not in text
    return f"umask 022\ncat > {place}.part <<'COORDCTL_FILE'\n{text}\nCOORDCTL_FILE\nsync {place}.part\nmv -f {place}.part {place}\n"


def _told_wish(base: str) -> str:
    return f"cat {quote(f'{base}/{WISH}')} 2>/dev/null || :\n"


def _wish_in(journal: Journal, texts: Iterable[str]) -> Wish | None:
    for text in texts:
        with suppress(msgspec.DecodeError, msgspec.ValidationError):
            found = msgspec.json.decode(text or "null", type=Wish | None)
            if found is not None and found.id == journal.plan.id:
                return found
    return None
