"""Who gets the processor: what members waited for it, and what their host says. Pure."""

from collections.abc import Iterator

from coordctl.logs import squeezes
from coordctl.logs.evidence import (
    HIGH,
    LOW,
    MEDIUM,
    NEAR_MS,
    SURGE,
    Evidence,
    Hypothesis,
    Line,
    by_member,
    shown_by,
    told,
)


def starved(evidence: Evidence) -> Iterator[Hypothesis]:
    waited = by_member(evidence.signs("pulse.waited_ms"))
    pressed = evidence.signs("pulse.pressure.cpu")
    if not waited:
        return
    surge = evidence.signs(*SURGE)
    onset = min(signs[0].onset_ms for signs in waited.values())
    if any(abs(sign.onset_ms - onset) <= NEAR_MS for sign in surge):
        return
    worst = max(sign.now for signs in waited.values() for sign in signs)
    members = tuple(sorted(waited))
    sentence = f"other processes took the CPU from {', '.join(members)}: ready to run, and not run, for up to {worst:.0f} ms of a second"
    lines = [evidence.number(sign) for signs in waited.values() for sign in signs] + [evidence.number(sign) for sign in pressed]
    sure = HIGH if pressed or worst >= 500 else MEDIUM
    shows_ms = shown_by(*(sign for signs in waited.values() for sign in signs))
    yield told("cpu taken by others", members, onset, sure, sentence, lines, shows_ms=shows_ms)


def squeezed(evidence: Evidence) -> Iterator[Hypothesis]:
    if evidence.baseline is None or evidence.signs("pulse.waited_ms") or evidence.signs(*SURGE):
        return
    looked = [(member, squeezes.of(evidence.side, evidence.baseline, member)) for member in evidence.members]
    found = {member: one for member, one in looked if one is not None}
    if found:
        pressed = max(one.pressed for one in found.values())
        sentence = (
            f"other processes press upon {', '.join(found)}: for up to {pressed:.0f} % of the time something on the host was ready to run "
            "and did not, though members had no more to do than before"
        )
        lines = [
            Line(one.shows_ms[0], who, f"waited_ms up to {one.worst_ms:,.0f}, usually {one.usual_ms:,.1f}") for who, one in found.items()
        ]
        shows_ms = tuple(sorted({at_ms for one in found.values() for at_ms in one.shows_ms}))
        yield told("cpu taken by others", tuple(found), shows_ms[0], LOW, sentence, lines, shows_ms=shows_ms)
