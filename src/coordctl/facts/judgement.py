"""The list of checks: what is wrong with a cluster, how bad that is, and what to do. `status` shows it, `health` turns it into a code."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from coordctl.facts.members import LAG_ENTRIES_MAX, ClusterFacts

OK, WARNING, CRITICAL, UNKNOWN = range(4)  # as Nagios has them
WORDS = ("OK", "WARNING", "CRITICAL", "UNKNOWN")
FEW_FILES = 16  # where fewer can still be made it is not room that lacks: as members judge
BACKUP_SECONDS_MAX = 7 * 86_400
CERTIFICATE_SECONDS_MIN = 30 * 86_400
_WORST_FIRST = (CRITICAL, UNKNOWN, WARNING, OK)  # unknown is only ever said of the whole: what warns beside it does not matter then


class Finding(NamedTuple):
    level: int
    sentence: str
    remedy: str  # the next command, or what to do
    runbook: str = ""  # a page of runbooks/
    host: str = ""  # whose matter it is; "": the cluster's
    check: str = ""  # what was looked at


def findings(facts: ClusterFacts) -> list[Finding]:
    """Worst first."""
    if not facts.answered:
        troubles = "; ".join(f"{found.shown_name}: {found.trouble}" for found in facts.members)
        return [Finding(UNKNOWN, f"no member could be reached from here ({troubles})", "coordctl up, or check --endpoints")]
    found = [*_clusters(facts), *_quorum(facts), *_state(facts), *_members(facts)]
    return sorted(found, key=rank)


def rank(finding: Finding) -> int:
    return _WORST_FIRST.index(finding.level)


def level(found: list[Finding]) -> int:
    return found[0].level if found else OK


def _clusters(facts: ClusterFacts) -> list[Finding]:
    """Whoever asks any of these endpoints is answered by the one or the other: nothing that is said of the whole counts."""
    known = facts.clusters()
    if len(known) < 2:
        return []
    named = []
    for number, name in known.items():
        addresses = [one.address for one in facts.answered if one.status is not None and one.status.get("cluster") == number]
        named.append(f"{name or 'one'} ({number}) at {', '.join(addresses)}")
    sentence = f"the members are not of one cluster: {' and '.join(named)}"
    return [Finding(CRITICAL, sentence, "check --endpoints, or COORD_ENDPOINTS, and name members of one cluster", "", "", "cluster")]


def _quorum(facts: ClusterFacts) -> list[Finding]:
    voters = facts.voters()
    reached = facts.good_voters(voters)
    if facts.leader_status is None:
        unreached = len(voters) - sum(1 for one in facts.answered if one.status is not None and one.status["member"] in voters)
        if len(voters) - unreached > len(voters) // 2:
            # A majority answered, and none of them leads: that is proof, not suspicion.
            return [
                Finding(
                    CRITICAL,
                    "no member leads, although a majority answers",
                    "coordctl logs; an election should end within 2 s",
                    "election-storm.md",
                    "",
                    "quorum",
                )
            ]
        answered = f"{len(facts.answered)} of {len(facts.members)}"
        return [Finding(UNKNOWN, f"no leader among the {answered} members that answer", "start the others", "quorum-lost.md", "", "quorum")]
    can_lose = facts.can_lose()
    if can_lose < 0:
        return [
            Finding(
                CRITICAL,
                f"only {reached} of {len(voters)} voters are well: writes cannot be acknowledged",
                "start the others",
                "quorum-lost.md",
                "",
                "quorum",
            )
        ]
    if can_lose == 0 and len(voters) > 1 and not _is_planned(facts, voters):
        return [
            Finding(
                WARNING,
                f"one more loss ends service: {reached} of {len(voters)} voters are well",
                "bring a member back",
                "member-killed.md",
                "",
                "quorum",
            )
        ]
    return []


def _is_planned(facts: ClusterFacts, voters: list[int]) -> bool:
    """Nobody is missing but who is drained."""
    drained = facts.drains()
    well = {one.member for one in facts.members if facts.state(one) == "ok"}
    return any(member in drained for member in voters) and all(member in well or member in drained for member in voters)


def _state(facts: ClusterFacts) -> list[Finding]:
    found = []
    verdict, index = facts.digests()
    if verdict == "different":
        found.append(Finding(CRITICAL, f"members' states differ at index {index}", "coordctl bundle, before anything is restarted"))
    leader = facts.leader_status
    if leader is not None and leader.get("writes_stopped_at"):
        stopped_at = leader["writes_stopped_at"]
        found.append(Finding(CRITICAL, f"writes are stopped: states differ at index {stopped_at} without a majority", "coordctl bundle"))
    return found


def of_backup(age_s: int | None) -> list[Finding]:
    """`age_s`: of the newest that was verified; None: there is none on this machine, and none was ever noted in the cluster."""
    if age_s is not None and age_s > BACKUP_SECONDS_MAX:
        return [Finding(WARNING, f"the newest backup is {age_s // 86_400} days old", "coordctl backup create")]
    return []


def of_risks(facts: ClusterFacts) -> list[Finding]:
    """That somebody took one knowingly is nothing to be alarmed about, nor to be forgotten. No gate is shut by it."""
    found = [Finding(OK, one.says(), f"once that is over: coordctl risk clear {one.risk}", "", "", "risk") for one in facts.accepted()]
    for one in facts.answered:
        risk = (one.status or {}).get("settings", {}).get("accept")
        if risk:
            sentence = f"{one.shown_name} runs with the risk {risk}, accepted in its settings"
            found.append(Finding(OK, sentence, "give it certificates: coordctl ca init, then deploy", "", one.shown_name, "risk"))
    return found


def _ends(seconds_left: int) -> str:
    if seconds_left < 0:
        return "is over: nobody new can connect to it"
    return f"ends in {seconds_left // 86_400} days" if seconds_left >= 2 * 86_400 else f"ends in {seconds_left // 3_600} hours"


def _absent(name: str, trouble: str) -> Finding:
    """Whose host says that nobody listens does not run; who is silent may well run, and be stopped or cut off."""
    sentence = f"{name} does not answer: {trouble}"
    if trouble == "connection refused":
        return Finding(WARNING, sentence, "start it: coordctl up, or coordctl start for a fleet", "member-killed.md", name, "answers")
    return Finding(WARNING, sentence, f"does its process run? coordctl doctor {name}", "member-paused.md", name, "answers")


def _members(facts: ClusterFacts) -> list[Finding]:
    found = []
    for one in facts.members:
        name = one.shown_name
        drain = facts.drains().get(one.member)
        if drain is not None:
            found.append(Finding(OK, f"{name} is {drain.says()}", f"coordctl member undrain {name}", "", name, "drain"))
        if one.status is None:
            if drain is not None:
                continue
            found.append(_absent(name, one.trouble))
            continue
        lag = facts.lag(one)
        if drain is not None:
            pass  # it goes and comes as somebody wants it
        elif lag is not None and lag > LAG_ENTRIES_MAX:
            found.append(
                Finding(
                    WARNING,
                    f"{name} is {lag} entries behind",
                    f"find what it lacks: coordctl doctor {name}",
                    "member-lagging.md",
                    name,
                    "lag",
                )
            )
        elif not one.status["ready"]:
            remedy = "wait a moment" if facts.leader_status is not None else "it will be once somebody leads"
            found.append(Finding(WARNING, f"{name} is not ready: {'; '.join(one.status['reasons'])}", remedy, "", name, "ready"))
        if one.status["disk"]["space_ok"] is False:
            sentence, remedy = _lack_of_room(name, one.status["disk"])
            found.append(Finding(WARNING, sentence, remedy, "disk-full.md", name, "space"))
        for harm in one.status.get("harm", ()):
            found.append(
                Finding(
                    WARNING,
                    f"{name} is harmed on purpose: {harm['fault']}",
                    "coordctl chaos status, or chaos revert --all",
                    "",
                    name,
                    "harm",
                )
            )
        seconds_left = one.status.get("certificate_seconds_left")
        if seconds_left is not None and seconds_left < CERTIFICATE_SECONDS_MIN:
            sentence, renew = f"{name}'s certificate {_ends(seconds_left)}", f"coordctl ca renew {name}; coordctl config push"
            found.append(Finding(WARNING, sentence, renew, "certificate-expiring.md", name, "certificate"))
        if one.status["storage"]["rot"]:
            found.append(
                Finding(
                    WARNING,
                    f"{name} found damaged bytes: {one.status['storage']['rot'][0]}",
                    "check that disk",
                    "member-will-not-start.md",
                    name,
                    "rot",
                )
            )
    return found


def _lack_of_room(name: str, disk: Mapping[str, Any]) -> tuple[str, str]:
    """What is wrong, and what to do."""
    if disk.get("free_files", FEW_FILES) < FEW_FILES:
        return f"{name}'s disk takes no more files, whatever room it has", f"remove files on the disk of {disk['folder']}: df -i tells"
    return f"{name} has too little free disk", f"free space below {disk['folder']}"
