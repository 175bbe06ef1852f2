"""How the cluster is: facts from every member, judged once, for `status` and `health`."""

import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from coordctl.facts import judgement, verdicts
from coordctl.facts.members import COMMIT, SYNC, ClusterFacts, MemberFacts
from coordctl.facts.metrics import parse_metrics
from coordctl.facts.verdicts import Recent, Sample
from coordctl.local import samples, seen
from coordctl.local.clusters import Endpoint
from coordctl.local.samples import Kept
from coordctl.operations import backups, canary_status, statuses, upgrade_mirror
from coordctl.results.status import Finding, FoundMember, Health, Status

ASK_SECONDS_MAX = 2.0
CHANGING_SECONDS_MAX = 1.0
PAUSE_SECONDS = 0.05
COMPARISONS_MAX = 10
LEVEL_NAMES = ("ok", "warning", "critical", "unknown")


class Looked(NamedTuple):
    """One look at all members, and how it has been since an earlier one from here."""

    facts: ClusterFacts
    since: dict[int, Recent]
    findings: list[judgement.Finding]  # worst first
    backup_age_s: int | None


def look(endpoints: Sequence[Endpoint], timeout_seconds: float) -> Looked:
    began = time.monotonic()
    facts = _compared(endpoints, min(timeout_seconds, ASK_SECONDS_MAX))
    error_ms = (time.monotonic() - began) * 1_000
    since = _since(facts)
    backup_age_s = backups.newest_age_s(facts)
    told = [*judgement.findings(facts), *judgement.of_risks(facts), *judgement.of_backup(backup_age_s)]
    found = [*told, *verdicts.of(facts, since, error_ms)]
    return Looked(facts, since, sorted(found, key=judgement.rank), backup_age_s)


def _since(facts: ClusterFacts) -> dict[int, Recent]:
    if not facts.cluster:
        return {}
    now = {one.member: _kept(one) for one in facts.answered if one.metrics_text}
    before = samples.exchange(facts.cluster, now)
    found = {}
    for one in facts.answered:
        kept = before.get(one.member)
        sample = None if kept is None else Sample(kept.unix_s, kept.pid, kept.free_bytes, parse_metrics(kept.metrics.encode()))
        since = verdicts.recent(one, sample, time.time())
        if since is not None:
            found[one.member] = since
    return found


def _kept(one: MemberFacts) -> Kept:
    assert one.status is not None
    return Kept(time.time(), one.status["pid"], one.status["disk"]["free_bytes"], one.metrics_text)


def status(name: str, endpoints: Sequence[Endpoint], timeout_seconds: float) -> Status:
    facts, since, found, backup_age_s = look(endpoints, timeout_seconds)
    slow = verdicts.slow_members(since, facts)
    digest, digest_index = facts.digests()
    last_seen = _seen(facts)
    return Status(
        outcome="answered" if facts.answered else "unreachable",
        exit_code=0 if facts.answered else 69,
        cluster=facts.cluster_name or name,
        judgement=judgement.WORDS[judgement.level(found)],
        can_lose=facts.can_lose(),
        leader=facts.leader_name,
        term=facts.term,
        revision=facts.leader_status["revision"] if facts.leader_status is not None else None,
        members=[_member(facts, one, last_seen, since.get(one.member), slow) for one in facts.members],
        findings=shown_findings(found),
        digest=digest,
        digest_index=digest_index,
        sources_answered=len(facts.answered),
        sources_asked=len(facts.members),
        unix_ms=time.time_ns() // 1_000_000,
        backup_age_s=backup_age_s,
        canary=_canary(facts.cluster_name or name),
        changing=upgrade_mirror.under_way(facts, min(timeout_seconds, CHANGING_SECONDS_MAX)),
        over_s=round(max((one.seconds for one in since.values()), default=0)) or None,
        elections=verdicts.elections([(one, since[one.member]) for one in facts.answered if one.member in since]) if since else None,
    )


def _canary(cluster: str) -> str:
    found = canary_status.status(cluster)
    return found.sentence if found.windows and found.exit_code != judgement.UNKNOWN else ""


def _compared(endpoints: Sequence[Endpoint], timeout_seconds: float) -> ClusterFacts:
    """Members answer at slightly different moments: until two states at one index can be compared they are asked again, a few times."""
    until = time.monotonic() + timeout_seconds
    for _ in range(COMPARISONS_MAX):
        facts = statuses.of_cluster(endpoints, timeout_seconds, with_metrics=True)
        if facts.digests()[0] != "unknown" or not facts.answered or time.monotonic() + PAUSE_SECONDS >= until:
            break
        time.sleep(PAUSE_SECONDS)
    return facts


def shown_findings(found: Sequence[judgement.Finding]) -> list[Finding]:
    return [shown(one) for one in found]


def shown(one: judgement.Finding) -> Finding:
    return Finding(
        level=LEVEL_NAMES[one.level], sentence=one.sentence, remedy=one.remedy, runbook=one.runbook, host=one.host, check=one.check
    )


def _seen(facts: ClusterFacts) -> dict[int, int]:
    """When nobody answers, nobody says which cluster it is, but we may know whom we asked."""
    if facts.cluster:
        return seen.note(facts.cluster, [one.member for one in facts.answered])
    return seen.of_members([one.member for one in facts.members])


def _member(facts: ClusterFacts, one: MemberFacts, last_seen: dict[int, int], since: Recent | None, slow: set[int]) -> FoundMember:
    said = one.status or {}
    state = facts.state(one)
    return FoundMember(
        name=one.shown_name,
        member=one.member,
        address=one.address,
        role=facts.role(one),
        state="SLOW" if state == "ok" and one.member in slow else state,
        trouble=one.trouble,
        lag=facts.lag(one),
        seen_unix_s=last_seen.get(one.member),
        applied=said.get("applied"),
        commit_p99_ms=_rounded(one.p99_ms(COMMIT)),
        sync_p99_ms=_rounded(one.p99_ms(SYNC)),
        recent_commit_p99_ms=_rounded(since.metrics.histogram(COMMIT).quantile_ms(0.99)) if since is not None else None,
        recent_sync_p99_ms=_rounded(since.metrics.histogram(SYNC).quantile_ms(0.99)) if since is not None else None,
        version=said.get("version"),
        term=said.get("term"),
        pid=said.get("pid"),
        uptime_s=said.get("uptime_s"),
        free_bytes=said["disk"]["free_bytes"] if said else None,
        reasons=list(said.get("reasons", ())),
    )


def _rounded(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else round(milliseconds, 3)


def health(name: str, endpoints: Sequence[Endpoint], timeout_seconds: float) -> Health:
    facts, since, found, backup_age_s = look(endpoints, timeout_seconds)
    level = judgement.level(found)
    digest, digest_index = facts.digests()
    well = sum(facts.state(one) == "ok" for one in facts.members)
    return Health(
        outcome=LEVEL_NAMES[level],
        exit_code=level,
        cluster=facts.cluster_name or name,
        sentence="; ".join([_all_is_well(facts, well, backup_age_s, since)] * (level == judgement.OK) + [one.sentence for one in found]),
        can_lose=facts.can_lose(),
        members_well=well,
        members=len(facts.members),
        digest=digest,
        digest_index=digest_index,
        findings=shown_findings(found),
        sources_answered=len(facts.answered),
        sources_asked=len(facts.members),
        backup_age_s=backup_age_s,
    )


def _all_is_well(facts: ClusterFacts, well: int, backup_age_s: int | None, since: Mapping[int, Recent]) -> str:
    words = [f"{well} of {len(facts.members)} members", f"can lose {facts.can_lose()}"]
    verdict, index = facts.digests()
    if verdict == "equal":
        words.append(f"digest equal at index {index}")
    harmed = [one.shown_name for one in facts.answered if one.status is not None and one.status.get("fault_injection")]
    if harmed:
        words.append(f"faults can be injected into {', '.join(harmed)}")
    for one in facts.answered:
        if one.status is facts.leader_status:
            late = since[one.member].metrics.histogram(COMMIT).quantile_ms(0.99) if one.member in since else None
            commit_ms = one.p99_ms(COMMIT) if late is None else late
            words += [f"p99 commit {commit_ms:.1f} ms"] if commit_ms is not None else []
    if backup_age_s is not None:
        words.append(f"backup {backup_age_s // 3_600} h old")
    return ", ".join(words)
