"""Which build this is, what it runs on; and of a cluster: which builds its members are, and which of them work together."""

import platform
from collections.abc import Sequence
from itertools import combinations

from coordctl.facts import pairs
from coordctl.facts.members import ClusterFacts
from coordctl.facts.pairs import OURS, Speaks
from coordctl.local.clusters import Endpoint
from coordctl.operations import statuses
from coordctl.results.version import Pair, Version, VersionMember


def version(endpoints: Sequence[Endpoint] = (), timeout_seconds: float = 0) -> Version:
    """`endpoints`: of the cluster to be asked; none: only of ourselves."""
    facts = statuses.of_cluster(endpoints, timeout_seconds) if endpoints else ClusterFacts([])
    members = [
        VersionMember(
            name=one.shown_name,
            version=str(one.status["version"]) if one.status else None,
            level=one.status["level"] if one.status else None,
            level_max=one.status["level_max"] if one.status else None,
            trouble=one.trouble,
        )
        for one in facts.members
    ]
    found = pairs_of([pairs.of_status(one.status) for one in facts.answered if one.status is not None])
    code = 69 if endpoints and not facts.answered else 1 if any(not one.works for one in found) else 0
    return Version(
        outcome="answered" if code != 69 else "unreachable",
        exit_code=code,
        version=OURS.release,
        python=platform.python_version(),
        platform=platform.system().lower(),
        wire=OURS.wire,
        storage_format=OURS.storage,
        level_max=OURS.level_max,
        members=members,
        pairs=found,
    )


def pairs_of(members: Sequence[Speaks]) -> list[Pair]:
    """Us with each build that members are, and those with each other."""
    builds = sorted(set(members))
    as_client = [Pair(kind="client and member", one=OURS.release, other=other.release, why=pairs.beside(OURS, other)) for other in builds]
    among = [
        Pair(kind="member and member", one=one.release, other=other.release, why=pairs.beside(one, other))
        for one, other in combinations(builds, 2)
    ]
    return [*as_client, *among]
