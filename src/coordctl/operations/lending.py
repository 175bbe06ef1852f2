"""What a host gets that is to run beside members that run already: their version, whatever this coordctl's own is; one of them lends it."""

import os
import tempfile
import time
from collections.abc import Mapping
from shlex import quote

from coordctl.facts.hosts import HostFacts
from coordctl.operations import building
from coordctl.operations.building import Build
from coordctl.operations.fleet import Fleet
from coordctl.operations.identities import Refused
from coordctl.transport.base import Script, Transport, must_run
from coordnode import __version__

PACK_SECONDS = 60.0
FETCH_SECONDS = 120.0


def version_beside(name: str, facts: Mapping[str, HostFacts]) -> str:
    """The one that members run on hosts of this host's kind; "": it is for this coordctl to make one. Raises Refused."""
    target = facts[name].target
    running = [one for other, one in facts.items() if other != name and one.running is not None and one.current]
    versions = sorted({one.current for one in running if one.target == target})
    if len(versions) > 1:
        raise Refused(f"members run {', '.join(versions)}: go on with that upgrade, or back, first: `coordctl upgrade status`")
    releases = sorted({one.current.rpartition("-")[0] for one in running})
    if not versions and releases not in ([], [__version__]):
        raise Refused(
            f"members run {', '.join(releases)}, none of them on {target} as {name} does, and this coordctl is {__version__}: "
            "use the coordctl of their release"
        )
    return versions[0] if versions else ""


def lender(version: str, target: str, fleet: Fleet) -> str:
    return next(name for name in fleet.names() if version in fleet.facts[name].versions and fleet.facts[name].target == target)


def known(version: str, target: str, fleet: Fleet) -> Build:
    """Without what is in it: enough for a plan."""
    return Build(version, target, b"", fleet.facts[lender(version, target, fleet)].speaks.get(version) or {})


def lent(version: str, target: str, fleet: Fleet) -> Build:
    """Whoever gets it checks every file of it, as of one that was made here. Raises HostFailed."""
    source = lender(version, target, fleet)
    base = fleet.facts[source].base
    place = f"{base}/archive-{os.getpid()}-{time.time_ns()}.part"
    script = f"set -eu\numask 077\ncd {quote(f'{base}/versions/{version}')}\ntar --exclude=__pycache__ -czf {quote(place)} *\n"
    with tempfile.TemporaryDirectory() as scratch:
        path = os.path.join(scratch, "build.tar.gz")

        def fetch(transport: Transport) -> None:
            try:
                must_run(transport, Script("pack version", script), PACK_SECONDS)
                transport.get(place, path, FETCH_SECONDS)
            finally:
                transport.run(Script("remove pack", f"rm -f {quote(place)}\n"), PACK_SECONDS)

        fleet.at_each([source], fetch, PACK_SECONDS + FETCH_SECONDS)
        if source in fleet.failed:
            raise fleet.failed[source]
        return building.opened(path)
