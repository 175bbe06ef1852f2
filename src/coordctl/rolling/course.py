"""The course of an upgrade: what comes next, and what an outcome, a pause, an abort or a new start makes of the journal. Pure.

forward    unpack → for each host: settle → switch → probe → lead → bake → level → close → done
back       for each touched host, the last one first: yield → return → recover → close → rolled back

A gate that fails turns it round, unless that would take more away than it gives back: then it stands still, and a person decides.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from msgspec.structs import replace

from coordctl.rolling.journal import (
    BAKE,
    CLOSE,
    HISTORY_MAX,
    LEAD,
    LEVEL,
    PROBE,
    RECOVER,
    RETURN,
    SETTLE,
    SWITCH,
    UNPACK,
    YIELD,
    Journal,
    Plan,
    Record,
)

FORWARD = (SETTLE, SWITCH, PROBE, LEAD, BAKE)
BACK = (YIELD, RETURN, RECOVER)
CAN_WAIT = (SETTLE, LEVEL, CLOSE)  # nothing new came of what failed here: a person may look, and go on


class Seen(NamedTuple):
    """What a host says of itself."""

    versions: tuple[str, ...]
    current: str
    running: str  # the version that its member was started with; "": it does not run


class Step(NamedTuple):
    what: str
    host: str  # "": the whole fleet

    def says(self, plan: Plan) -> str:
        if not self.host:
            return {
                UNPACK: f"unpack {plan.after} where it is not",
                LEVEL: f"raise the feature level to {plan.level}",
                CLOSE: "look at all",
            }[self.what]
        host = plan.host(self.host)
        words = {
            SETTLE: "wait until it can be spared",
            SWITCH: f"switch to {host.after}",
            PROBE: "probe it",
            LEAD: "let it lead",
            BAKE: f"watch it lead for {plan.bake_ms / 1000:g} s",
            YIELD: "wait until it can be spared",
            RETURN: f"switch back to {host.before}",
            RECOVER: "wait until it is well",
        }
        return f"{self.host}: {words[self.what]}"


class Outcome(NamedTuple):
    """Of a step."""

    is_well: bool
    evidence: str = ""
    may_return: bool = True  # its host can be taken away once more without an outage, or gives nothing as it is; of `close`: all are back


Sight = Mapping[str, Seen]


def next_step(journal: Journal, sight: Sight) -> Step | None:
    """None: nothing is left to do, or it stands still."""
    if journal.state != "running":
        return None
    if journal.step and not journal.is_done:
        return Step(journal.step, journal.turn)
    return _back(journal, sight) if journal.goes_back else _forward(journal)


def _forward(journal: Journal) -> Step:
    plan, step = journal.plan, journal.step
    if not step:
        return Step(UNPACK, "") if plan.hosts else _after_hosts(plan)
    if step == LEVEL:
        return Step(CLOSE, "")
    if journal.turn and journal.turn not in journal.passed:
        at = FORWARD.index(step) + 1
        return Step(FORWARD[at], journal.turn)
    waiting = [host.name for host in plan.hosts if host.name not in journal.passed]
    return Step(SETTLE, waiting[0]) if waiting else _after_hosts(plan)


def _after_hosts(plan: Plan) -> Step:
    return Step(LEVEL if plan.level else CLOSE, "")


def _back(journal: Journal, sight: Sight) -> Step:
    if journal.turn and journal.step in BACK and journal.turn not in (*journal.returned, *journal.left):
        return Step(BACK[BACK.index(journal.step) + 1], journal.turn)
    waiting = to_return(journal, sight)
    return Step(YIELD, waiting[0]) if waiting else Step(CLOSE, "")


def to_return(journal: Journal, sight: Sight) -> list[str]:
    """The last one first. Hosts that have the version although nobody remembers switching them are among them."""
    strayed = [
        host.name
        for host in journal.plan.hosts
        if host.name not in journal.touched
        and host.name in sight
        and host.before != host.after
        and host.after in (sight[host.name].current, sight[host.name].running)
    ]
    return [name for name in [*strayed, *reversed(journal.touched)] if name not in (*journal.returned, *journal.left)]


def state_of(journal: Journal, name: str) -> str:
    """Of one host, in words."""
    if name in journal.returned:
        return "back"
    if name in journal.left:
        return "left"
    if name == journal.turn and not journal.is_over:
        return "in turn"
    if journal.goes_back:
        return "switched" if name in journal.touched else "unchanged"
    return "upgraded" if name in journal.passed else "switched" if name in journal.touched else "waiting"


def how_far(journal: Journal) -> str:
    done, words = (journal.returned, "back") if journal.goes_back else (journal.passed, "upgraded")
    return f"{len(done)} of {len(journal.touched if journal.goes_back else journal.plan.hosts)} {words}"


def says(journal: Journal) -> str:
    """In one line, for whoever has not seen it begin."""
    plan = journal.plan
    state = "going back" if journal.goes_back and journal.state == "running" else journal.state
    why = f' "{plan.reason}"' if plan.reason else ""
    evidence = f": {journal.evidence}" if journal.evidence else ""
    return f"upgrade {plan.before} → {plan.after} by {plan.who}{why}, {state}, {how_far(journal)}{evidence}"


# --- what happens to it --------------------------------------------------------------------------------------------


class Note(NamedTuple):
    unix_ms: int
    who: str


Change = Callable[[Journal], Journal]


def _changed(journal: Journal, note: Note, what: str, **changes: object) -> Journal:
    history = (*journal.history, Record(note.unix_ms, note.who, what))[-HISTORY_MAX:]
    return replace(journal, number=journal.number + 1, history=history, **changes)


def begun(journal: Journal, step: Step, note: Note) -> Journal:
    touched = journal.touched
    if step.what == SWITCH and step.host not in touched:
        touched = (*touched, step.host)
    says = step.says(journal.plan)
    return _changed(journal, note, says, step=step.what, turn=step.host, is_done=False, touched=touched)


def ended(journal: Journal, step: Step, outcome: Outcome, note: Note) -> Journal:
    """What came of the step that was begun."""
    return _ended_back(journal, step, outcome, note) if journal.goes_back else _ended_forward(journal, step, outcome, note)


def _ended_forward(journal: Journal, step: Step, outcome: Outcome, note: Note) -> Journal:
    if outcome.is_well:
        if step.what == CLOSE:
            return _changed(journal, note, "done", is_done=True, state="done", evidence="")
        if step.host and step.what == (BAKE if journal.plan.host(step.host).is_voter else PROBE):
            return _changed(journal, note, f"{step.host} stands", is_done=True, passed=(*journal.passed, step.host), evidence="")
        return replace(journal, is_done=True, evidence="")
    if step.what in CAN_WAIT or not outcome.may_return:
        return paused(journal, outcome.evidence, note)
    if not journal.touched:
        return _changed(journal, note, f"given up: {outcome.evidence}", goes_back=True, state="rolled back", evidence=outcome.evidence)
    return turned(journal, outcome.evidence, note)


def _ended_back(journal: Journal, step: Step, outcome: Outcome, note: Note) -> Journal:
    host = step.host
    if step.what == CLOSE:
        left = f"{', '.join(journal.left)} could not be brought back" if journal.left else ""
        evidence = "; ".join(part for part in (journal.evidence, left, outcome.evidence) if part)
        if journal.left or not outcome.may_return:
            return paused(journal, evidence, note)
        return _changed(journal, note, "rolled back", is_done=True, state="rolled back", evidence=evidence)
    if step.what == YIELD and not outcome.is_well:
        return paused(journal, f"{journal.evidence}; {outcome.evidence}" if journal.evidence else outcome.evidence, note)
    if step.what == RETURN and not outcome.is_well:
        return _changed(journal, note, f"{host}: {outcome.evidence}", is_done=True, left=(*journal.left, host))
    if step.what == RECOVER:
        says = f"{host} is back" + ("" if outcome.is_well else f", but not well: {outcome.evidence}")
        return _changed(journal, note, says, is_done=True, returned=(*journal.returned, host))
    return replace(journal, is_done=True)


def turned(journal: Journal, evidence: str, note: Note) -> Journal:
    """From here on it goes back."""
    back = {"goes_back": True, "state": "running", "step": "", "turn": "", "is_done": False}
    return _changed(journal, note, f"goes back: {evidence}", evidence=evidence, **back)


def paused(journal: Journal, evidence: str, note: Note) -> Journal:
    return _changed(journal, note, f"stands still: {evidence}", state="paused", evidence=evidence)


def resumed(journal: Journal, note: Note) -> Journal:
    """By whoever goes on, wherever it was left: a member is probed anew before it leads, and leads for the whole time."""
    if journal.goes_back:
        return _changed(journal, note, "goes on", state="running", step="", turn="", is_done=False, left=())
    is_half_proved = journal.step in (PROBE, LEAD, BAKE) and journal.turn not in journal.passed
    step, is_done = (PROBE, False) if is_half_proved else (journal.step, journal.is_done)
    return _changed(journal, note, "goes on", state="running", step=step, is_done=is_done, evidence="")


def aborted(journal: Journal, why: str, note: Note) -> Journal:
    if journal.goes_back:
        return resumed(journal, note)
    return turned(journal, why, note)
