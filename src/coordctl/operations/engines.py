"""status and health of whichever engine: coordnode's members say more, so they are asked in their own way."""

import time

from coordctl.engines import looking
from coordctl.engines.lacks import TITLES
from coordctl.engines.looking import Look
from coordctl.facts import foreign, judgement
from coordctl.facts.foreign import Said
from coordctl.local.clusters import COORDNODE, Chosen
from coordctl.operations import status as members
from coordctl.results.status import FoundMember, Health, Status

ASK_SECONDS_MAX = 2.0


def status(chosen: Chosen, timeout_seconds: float) -> Status:
    if chosen.engine == COORDNODE:
        return members.status(chosen.name, chosen.endpoints, timeout_seconds)
    found, said, leader = _look(chosen, timeout_seconds)
    listed = foreign.findings(said)
    answered = sum(not one.trouble for one in found)
    return Status(
        outcome="answered" if answered else "unreachable",
        exit_code=0 if answered else 69,
        cluster=chosen.name or TITLES[chosen.engine],
        judgement=judgement.WORDS[judgement.level(listed)],
        can_lose=foreign.can_lose(said),
        leader=leader.name if leader is not None else "",
        term=leader.term if leader is not None else 0,
        revision=None,
        members=[_member(chosen, one, leader) for one in found],
        findings=members.shown_findings(listed),
        digest="unknown",
        digest_index=0,
        sources_answered=answered,
        sources_asked=len(found),
        unix_ms=time.time_ns() // 1_000_000,
    )


def health(chosen: Chosen, timeout_seconds: float) -> Health:
    if chosen.engine == COORDNODE:
        return members.health(chosen.name, chosen.endpoints, timeout_seconds)
    found, said, _ = _look(chosen, timeout_seconds)
    listed = foreign.findings(said)
    level = judgement.level(listed)
    well = sum(not one.trouble and not one.alarms for one in found)
    fine = f"{well} of {foreign.voters(said)} members of {TITLES[chosen.engine]}, can lose {foreign.can_lose(said)}"
    return Health(
        outcome=members.LEVEL_NAMES[level],
        exit_code=level,
        cluster=chosen.name,
        sentence="; ".join(one.sentence for one in listed) or fine,
        can_lose=foreign.can_lose(said),
        members_well=well,
        members=len(found),
        digest="unknown",
        digest_index=0,
        findings=members.shown_findings(listed),
        sources_answered=sum(not one.trouble for one in found),
        sources_asked=len(found),
    )


def _look(chosen: Chosen, timeout_seconds: float) -> tuple[list[Look], list[Said], Look | None]:
    found = looking.look(chosen.engine, chosen.endpoints, min(timeout_seconds, ASK_SECONDS_MAX))
    leader = looking.leads(found)
    said = [Said(one.shown, one.trouble, one is leader, one.applied, one.alarms, one.voters) for one in found]
    return found, said, leader


def _member(chosen: Chosen, one: Look, leader: Look | None) -> FoundMember:
    """Indexes of members that were asked at different moments: how far one is behind is a figure of its size, not more."""
    known = next((endpoint for endpoint in chosen.endpoints if endpoint.address == one.address), None)
    lag = max(0, leader.applied - one.applied) if leader is not None and not one.trouble else None
    return FoundMember(
        name=one.shown,
        member=known.member if known is not None else 0,
        address=one.address,
        role=one.role or "?",
        state="UNREACHABLE" if one.trouble else "NOT READY" if one.alarms else "ok",
        trouble=one.trouble,
        lag=lag,
        seen_unix_s=None,
        applied=None if one.trouble else one.applied,
        commit_p99_ms=None,
        sync_p99_ms=None,
        version=one.version or None,
        term=None if one.trouble else one.term,
        pid=None,
        uptime_s=None,
        free_bytes=None,
        reasons=list(one.alarms),
    )
