"""What a cause is told from: signs, acts, lives and facts of a window, and what a hypothesis is. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

from coordctl.logs import lives
from coordctl.logs.comparing import Compared, Side, Sign
from coordctl.logs.foreign import ENGINE
from coordctl.logs.lines import is_host
from coordctl.logs.lives import Gap
from coordctl.logs.mining import Act, Summary

HIGH, MEDIUM, LOW = "high", "medium", "low"
ORDER = {HIGH: 0, MEDIUM: 1, LOW: 2}
EVIDENCE_MAX = 12
UNTOLD = lives.COMMON | {"python", "loop", "trace"}
WRONG_STATE = "the state of at least one member is wrong; it stops serving until it has the majority's"
NEAR_MS = 5_000
SURGE = ("pulse.connections", "pulse.asks", "pulse.asked_kib", "pulse.opened")


class Line(NamedTuple):
    at_ms: int
    member: str
    text: str


class Hypothesis(NamedTuple):
    cause: str  # of the closed list CAUSES
    members: tuple[str, ...]
    since_ms: int
    confidence: str
    sentence: str
    evidence: list[Line]
    risk: str
    lasts: bool = False  # after whatever made it show is over
    shows_ms: tuple[int, ...] = ()  # when it showed, second by second; or its beginning and its end; (): that does not matter
    ways: tuple[tuple[str, str], ...] = ()  # of a cut link: who does not hear from whom

    @property
    def is_planned(self) -> bool:
        return CAUSES[self.cause].gravity == 0


class Cause(NamedTuple):
    runbook: str  # "": nothing is to be done
    gravity: int  # as a probe's exit code; 0: somebody planned it
    confirm: str  # the command that confirms or refutes it


CAUSES = {
    "member killed": Cause("member-killed.md", 1, "coordctl status"),
    "out of memory": Cause("member-killed.md", 1, "coordctl status"),
    "member paused": Cause("member-paused.md", 1, "coordctl health"),
    "member failed": Cause("member-will-not-start.md", 1, "coordctl status"),
    "rotten record": Cause("member-will-not-start.md", 1, "coordctl wal verify FOLDER"),
    "disk full": Cause("disk-full.md", 1, "df -h FOLDER"),
    "slow disk": Cause("slow-commits.md", 1, "coordctl status"),
    "cpu taken by others": Cause("slow-commits.md", 1, "top"),
    "memory pressure": Cause("", 1, "free -m"),
    "cut link": Cause("split-network.md", 1, "coordctl status"),
    "slow link": Cause("split-network.md", 1, "ping HOST"),
    "clock": Cause("clock-offset.md", 1, "timedatectl"),
    "different settings": Cause("different-settings.md", 1, "coordctl logs search --since 1h started"),
    "version mismatch": Cause("different-settings.md", 1, "coordctl status"),
    "client surge": Cause("slow-commits.md", 1, "coordctl session ls"),
    "connections full": Cause("client-cannot-connect.md", 1, "coordctl status"),
    "wrong address": Cause("split-network.md", 1, "coordctl status"),
    "old folder": Cause("member-will-not-start.md", 2, "coordctl wal diff FOLDER FOLDER"),
    "lock held": Cause("lock-held-for-ever.md", 1, "coordctl lock show NAME"),
    "certificate": Cause("certificate-expiring.md", 1, "coordctl ca show"),
    "name resolution": Cause("split-network.md", 1, "getent hosts NAME"),
    "states differ": Cause("", 2, "coordctl health"),
    "election storm": Cause("election-storm.md", 1, "coordctl status"),
    "no leader": Cause("no-leader.md", 1, "coordctl status"),
    "database full": Cause("disk-full.md", 1, "etcdctl alarm list"),
    "sessions expired": Cause("session-churn.md", 1, "coordctl session ls"),
    "restart": Cause("", 0, "coordctl status"),
    "stopped": Cause("", 0, "coordctl status"),
    "hand-over": Cause("", 0, "coordctl status"),
}
NO_RISK = "no acknowledged write is lost: they are durable on a majority"
RISK_FORGOT = "it forgot entries that it acknowledged: with one more loss, what was acknowledged may be gone"
RISK_ALONE = "what was acknowledged is on that member's disk; until it is back nobody else has it"


def by_member(signs: Sequence[Sign]) -> dict[str, list[Sign]]:
    found: dict[str, list[Sign]] = {}
    for sign in signs:
        found.setdefault(sign.member, []).append(sign)
    return found


class Evidence:
    """What the rules look at: the window only, times corrected."""

    def __init__(self, side: Side, baseline: Side | None, compared: Compared) -> None:
        self.side = side
        self.summary: Summary = side.summary
        self.baseline = baseline
        self.compared = compared
        self.members = sorted(member for member in side.summary.spans if not is_host(member))
        self.ids = {name: identity for identity, name in side.summary.names.items()}
        self.everything = self.corrected()  # of the time around the window, too
        self.acts = [act for act in self.everything if side.window.from_ms - NEAR_MS <= act.at_ms < side.window.to_ms]
        found = lives.gaps(side, self.acts, compared.signs, self.name)
        self.early_ends = [gap for gap in found if lives.is_early_end(side, self.acts, gap, self.name)]
        self.gaps: list[Gap] = [gap for gap in found if gap not in self.early_ends]

    def corrected(self) -> list[Act]:
        return [
            Act(act.at_ms - self.side.offset(act.member).ms, act.member, act.kind, act.term, act.index, act.fields)
            for act in self.summary.acts
        ]

    def name(self, identity: object) -> str:
        return self.summary.names.get(str(identity), f"member {identity}")

    def signs(self, *families: str, member: str = "") -> list[Sign]:
        return [
            sign
            for sign in self.compared.signs
            if any(sign.kind == family or sign.kind.startswith(f"{family}.") for family in families) and member in ("", sign.member)
        ]

    def told(self, *kinds: str, member: str = "") -> list[Act]:
        return [act for act in self.acts if act.kind in kinds and member in ("", act.member)]

    def was_gone(self, member: str, at_ms: int) -> Gap | None:
        return next((gap for gap in self.gaps if gap.member == member and gap.from_ms - NEAR_MS <= at_ms <= gap.to_ms + NEAR_MS), None)

    def line(self, act: Act) -> Line:
        shown = {key: self.name(value) if key in ("peer", "leader", "target") else value for key, value in act.fields.items()}
        words = " ".join(
            f"{key}={value}" for key, value in shown.items() if key not in lives.COMMON and key not in ("python", "loop", "trace")
        )
        return Line(act.at_ms, act.member, f"{act.kind} {words}".strip())

    def number(self, sign: Sign) -> Line:
        name = sign.kind.removeprefix("pulse.")
        usually = f", usually {sign.before:,.1f}" if sign.before else ""
        return Line(sign.onset_ms, sign.member, f"{name} up to {sign.now:,.0f}{usually}")

    def engine(self, member: str) -> str:
        """Of another engine; "": it is one of ours."""
        known = self.summary.facts.get((member, ENGINE), ())
        return str(known[-1][1]) if known else ""

    def is_alone(self) -> bool:
        return len(self.members) < 3


def told(
    cause: str,
    members: tuple[str, ...],
    since_ms: int,
    confidence: str,
    sentence: str,
    evidence: list[Line],
    risk: str = NO_RISK,
    *,
    lasts: bool = False,
    shows_ms: tuple[int, ...] = (),
    ways: tuple[tuple[str, str], ...] = (),
) -> Hypothesis:
    return Hypothesis(cause, members, since_ms, confidence, sentence, evidence, risk, lasts, shows_ms, ways)


def shown_by(*signs: Sign) -> tuple[int, ...]:
    return tuple(sorted({at_ms for sign in signs for at_ms in sign.beyond_ms}))


def minority(values: dict[str, str]) -> tuple[str, ...]:
    """Whose value is not that of more than half."""
    counts: dict[str, int] = {}
    for value in values.values():
        counts[value] = counts.get(value, 0) + 1
    most = max(counts, key=lambda value: counts[value])
    return tuple(sorted(member for member, value in values.items() if value != most)) if 2 * counts[most] > len(values) else ()
