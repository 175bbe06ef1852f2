"""What is wrong with a cluster of another engine, or will be, from all that its members tell a client. Pure."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from coordctl.facts import foreign
from coordctl.facts.diagnosis import odd_ones
from coordctl.facts.foreign import Said
from coordctl.facts.judgement import CRITICAL, WARNING, Finding, rank
from coordctl.facts.members import LAG_ENTRIES_MAX

MIB = 1 << 20
QUOTA_PART_MAX = 0.8  # of what the data may take: past it nobody may write
IDLE_PART_MAX = 0.5  # of the file, that its data do not use
IDLE_QUOTA_MIN = 0.2  # of what it may take: below that it does not matter
FILES_MIN = 1_024
FILES_PART_MAX = 0.8
TICKS_MIN = 2  # of a lease: a follower tells the leader of its clients twice in a tick, and coordctl counts on a quarter of the lease
SHARED_SETTINGS = ("tickTime", "minSessionTimeout", "maxSessionTimeout", "initLimit", "syncLimit", "electionAlg")


class Member(NamedTuple):
    """As another knows it."""

    name: str  # "": it never started
    address: str
    is_voter: bool


class Patient(NamedTuple):
    """A member; None, or empty: it does not say."""

    said: Said
    engine: str  # as it is called
    version: str
    is_voter: bool
    member: str  # as others call it
    cluster: str
    known: tuple[Member, ...]
    alarms: tuple[tuple[str, str], ...]  # (what, of whom)
    used_bytes: int | None
    file_bytes: int | None
    quota_bytes: int | None
    files_used: int | None
    files_max: int | None
    settings: dict[str, str]
    unsaid: str
    digest: tuple[int, int] | None  # (compacted up to which revision, digest)

    @property
    def name(self) -> str:
        return self.said.name


def findings(patients: Sequence[Patient]) -> list[Finding]:
    """Worst first."""
    found = foreign.findings([one.said for one in patients])
    answering = [one for one in patients if not one.said.trouble]
    for check in OF_ALL:
        found += check(answering, patients)
    for patient in answering:
        for look in OF_EACH:
            found += look(patient)
    return sorted(found, key=rank)


# --- members beside each other -------------------------------------------------------------------------------------


def _clusters(answering: Sequence[Patient], _all: Sequence[Patient]) -> list[Finding]:
    names = sorted({one.cluster for one in answering if one.cluster})
    if len(names) < 2:
        return []
    whose = "; ".join(f"{', '.join(one.name for one in answering if one.cluster == name)} of {name}" for name in names)
    return [Finding(CRITICAL, f"the members that are named are of {len(names)} clusters: {whose}", "name those of one", check="members")]


def _unnamed(answering: Sequence[Patient], patients: Sequence[Patient]) -> list[Finding]:
    known = _all_known(answering)
    if len(known) <= len(patients) or any(one.said.trouble for one in patients):
        return []  # who does not answer does not say which one it is
    named = {one.member for one in patients}
    others = [f"{one.name} ({one.address})" for one in known if one.name and one.name not in named]
    if not others:
        return []
    which = f": {', '.join(others)}" if "" not in named else ""
    sentence = f"only {len(patients)} of {len(known)} members are named, and the others were not asked{which}"
    return [Finding(WARNING, sentence, "name all members with --endpoints", check="members")]


def _all_known(answering: Sequence[Patient]) -> tuple[Member, ...]:
    """As who follows the log furthest knows them."""
    return max(answering, key=lambda one: one.said.applied).known if answering else ()


def _never_started(answering: Sequence[Patient], _all: Sequence[Patient]) -> list[Finding]:
    return [
        Finding(
            WARNING,
            f"a member at {one.address} was added and never started" + (", and counts as lost" if one.is_voter else ""),
            "start it there, or take it out: etcdctl member remove",
            check="members",
        )
        for one in _all_known(answering)
        if not one.name
    ]


def _even(answering: Sequence[Patient], patients: Sequence[Patient]) -> list[Finding]:
    known = _all_known(answering)
    count = sum(one.is_voter for one in known) if known else sum(one.is_voter for one in patients)
    if not answering or count % 2:
        return []
    sentence = f"{count} members vote: no more of them may be lost than of {count - 1}, and there is one more that can be"
    return [Finding(WARNING, sentence, f"have {count + 1}, or {count - 1}", check="members")]


def _lag(answering: Sequence[Patient], _all: Sequence[Patient]) -> list[Finding]:
    leader = next((one for one in answering if one.said.leads), None)
    behind = {one.name: leader.said.applied - one.said.applied for one in answering} if leader is not None else {}
    remedy = "see its disk, its link and its log"
    return [
        Finding(WARNING, f"{name} is {entries:,} entries behind the leader", remedy, "", name, "lag")
        for name, entries in behind.items()
        if entries > LAG_ENTRIES_MAX
    ]


def _versions(answering: Sequence[Patient], _all: Sequence[Patient]) -> list[Finding]:
    versions = sorted({one.version for one in answering if one.version})
    if len(versions) < 2:
        return []
    whose = "; ".join(f"{', '.join(one.name for one in answering if one.version == version)} {version}" for version in versions)
    return [Finding(WARNING, f"members are of {len(versions)} versions: {whose}", "go on with that upgrade, or back", check="version")]


def _digests(answering: Sequence[Patient], _all: Sequence[Patient]) -> list[Finding]:
    told = {one.name: one.digest for one in answering if one.digest is not None}
    common, _ = odd_ones({name: str(compacted) for name, (compacted, _) in told.items()})
    alike = {name: str(digest) for name, (compacted, digest) in told.items() if str(compacted) == common}
    if len(set(alike.values())) < 2:
        return []
    _, odd = odd_ones(alike)
    whose = f"{' and '.join(odd)} from the others" if odd else f"{', '.join(alike)} from each other"
    remedy = f"stop {' and '.join(odd) or 'the wrong one'}, take it out, and add it anew with an empty folder"
    return [Finding(CRITICAL, f"data differ as of one revision: {whose}", remedy, "", next(iter(odd), ""), "digest")]


def _settings(answering: Sequence[Patient], _all: Sequence[Patient]) -> list[Finding]:
    found = []
    for key in SHARED_SETTINGS:
        said = {one.name: one.settings[key] for one in answering if key in one.settings}
        common, odd = odd_ones(said)
        for name, value in odd.items():
            sentence = f"{name} has {key}={value}, the others have {common}: which one holds depends on the member that is asked"
            found.append(Finding(WARNING, sentence, "make it alike in each zoo.cfg, and restart", host=name, check="settings"))
    return found


def _unsaid(answering: Sequence[Patient], _all: Sequence[Patient]) -> list[Finding]:
    silent = {one.name: one.unsaid for one in answering if one.unsaid}
    if not silent:
        return []
    sentence = f"not all of {', '.join(silent)} could be looked at: {next(iter(silent.values()))}"
    return [Finding(WARNING, sentence, "4lw.commands.whitelist=srvr,mntr,conf in each zoo.cfg, and restart", check="settings")]


ALARMS = {  # what it means, and what to do
    "NOSPACE": (
        "no space is left by its quota, and nobody may put anything",
        "etcdctl compact REVISION; etcdctl defrag, on each; etcdctl alarm disarm",
    ),
    "CORRUPT": ("its data are not those of the others", "take that member out, and add it anew with an empty folder"),
}


def _alarms(answering: Sequence[Patient], _all: Sequence[Patient]) -> list[Finding]:
    """Each member tells all of them."""
    found = []
    for what, whose in sorted({alarm for one in answering for alarm in one.alarms}):
        meaning, remedy = ALARMS.get(what, ("see its log", "etcdctl alarm list"))
        found.append(Finding(CRITICAL, f"{whose} has raised {what}: {meaning}", remedy, "", whose, "alarm"))
    return found


OF_ALL: tuple[Callable[[Sequence[Patient], Sequence[Patient]], list[Finding]], ...] = (
    _clusters,
    _unnamed,
    _never_started,
    _even,
    _lag,
    _versions,
    _digests,
    _settings,
    _unsaid,
    _alarms,
)


# --- each member ---------------------------------------------------------------------------------------------------


def _quota(patient: Patient) -> list[Finding]:
    used, file, quota, name = patient.used_bytes, patient.file_bytes, patient.quota_bytes, patient.name
    if used is None or file is None or not quota:
        return []
    sizes = f"{_mib(file)} of at most {_mib(quota)} MiB, and {_mib(used)} of it are used"
    if file - used > IDLE_PART_MAX * file and file > IDLE_QUOTA_MIN * quota:
        remedy = "etcdctl defrag, one member after the other: it serves nobody meanwhile"
        return [Finding(WARNING, f"{name}'s data take {sizes}", remedy, "", name, "space")]
    if file > QUOTA_PART_MAX * quota:
        remedy = "etcdctl compact, then defrag each member; or start them with a larger --quota-backend-bytes"
        return [Finding(WARNING, f"{name}'s data take {sizes}; past it nobody may put anything", remedy, "", name, "space")]
    return []


def _mib(count: int) -> str:
    return f"{count / MIB:.1f}"


def _files(patient: Patient) -> list[Finding]:
    used, most = patient.files_used, patient.files_max
    if used is None or most is None or most < 0 or (most >= FILES_MIN and used <= FILES_PART_MAX * most):
        return []
    sentence = f"{patient.name} may open {most} files, and has {used}: each client's connection is one"
    return [Finding(WARNING, sentence, "raise it where it is started (LimitNOFILE=), and restart it", "", patient.name, "files")]


def _lease(patient: Patient) -> list[Finding]:
    """What a holder may believe of its lease rests on it: docs/engines.md."""
    tick, least = (patient.settings.get(key, "") for key in ("tickTime", "minSessionTimeout"))
    if not (tick.isdecimal() and least.isdecimal()) or int(least) >= TICKS_MIN * int(tick):
        return []
    enough = TICKS_MIN * int(tick)
    sentence = (
        f"{patient.name} grants leases of {least} ms, and a lock that is held for less than {TICKS_MIN} ticks ({enough} ms) is not safe"
    )
    return [Finding(WARNING, sentence, f"minSessionTimeout={enough} or more in zoo.cfg, or no such line", "", patient.name, "lease")]


def _learner(patient: Patient) -> list[Finding]:
    if patient.is_voter or patient.engine != "etcd":
        return []  # an observer of ZooKeeper is meant to stay one
    sentence = f"{patient.name} is a learner: it follows, and does not count"
    return [Finding(WARNING, sentence, "etcdctl member promote, once it has caught up", "", patient.name, "members")]


OF_EACH: tuple[Callable[[Patient], list[Finding]], ...] = (_quota, _files, _lease, _learner)
