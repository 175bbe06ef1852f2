"""The course of an upgrade: every step there is, left at any point, paused, resumed, aborted and failed, decided from journal and facts."""

from collections.abc import Iterator, Mapping

import msgspec
import pytest

from coordctl.rolling import course, journal
from coordctl.rolling.course import Note, Outcome, Seen, Step
from coordctl.rolling.journal import HostPlan, Journal, Plan

NOTE = Note(1, "ops@web1")
WELL, BAD = Outcome(True), Outcome(False, "it is slow")
OLD, NEW = "1-a", "2-b"
SIGHT = {name: Seen((OLD, NEW), OLD, OLD) for name in ("n1", "n2", "n3")}


def plan(*names: str, level: int = 0, learners: tuple[str, ...] = ()) -> Plan:
    hosts = tuple(HostPlan(name, number, OLD, NEW, name not in learners) for number, name in enumerate(names, 1))
    told = {"id": "u1", "cluster": "fleet", "before": OLD, "after": NEW, "who": "ops@web1", "reason": "", "accepted": ()}
    return Plan(hosts=hosts, level=level, bake_ms=1_000, healthy_ms=1_000, began_unix_ms=7, **told)  # type: ignore[arg-type]


def begin(*names: str, level: int = 0, learners: tuple[str, ...] = ()) -> Journal:
    return Journal(plan=plan(*(names or ("n1", "n2", "n3")), level=level, learners=learners))


def stepped(at: Journal, outcome: Outcome = WELL, sight: Mapping[str, Seen] = SIGHT) -> tuple[Step, Journal]:
    step = course.next_step(at, sight)
    assert step is not None
    return step, course.ended(course.begun(at, step, NOTE), step, outcome, NOTE)


def walked(at: Journal, sight: Mapping[str, Seen] = SIGHT) -> Iterator[tuple[Step, Journal]]:
    """Every step until it is over or stands still, all of them well; with the journal as it is written before the step."""
    while (step := course.next_step(at, sight)) is not None:
        before = course.begun(at, step, NOTE)
        yield step, before
        at = course.ended(before, step, WELL, NOTE)
    yield Step("over", at.state), at


def words(at: Journal, sight: Mapping[str, Seen] = SIGHT) -> list[str]:
    return [" ".join(part for part in (step.host, step.what) if part) for step, _ in walked(at, sight)]


def test_it_goes_from_host_to_host_and_each_stands_every_gate() -> None:
    turn = ["settle", "switch", "probe", "lead", "bake"]
    assert words(begin("n1", "n2")) == ["unpack", *[f"{name} {what}" for name in ("n1", "n2") for what in turn], "close", "done over"]


def test_who_only_learns_never_leads_and_the_level_comes_last() -> None:
    assert words(begin("n1", "n2", level=4, learners=("n1",))) == [
        *("unpack", "n1 settle", "n1 switch", "n1 probe"),
        *("n2 settle", "n2 switch", "n2 probe", "n2 lead", "n2 bake", "level", "close", "done over"),
    ]


def test_a_plan_without_hosts_raises_the_level() -> None:
    at = Journal(plan=msgspec.structs.replace(plan("n1", level=4), hosts=()))
    assert words(at) == ["level", "close", "done over"]


def test_a_host_is_noted_as_touched_before_it_is() -> None:
    for step, before in walked(begin()):
        if step.what == journal.SWITCH:
            assert step.host in before.touched
        if step.what == journal.SETTLE:
            assert step.host not in before.touched


FORWARD = [(step, at) for step, at in walked(begin(level=4)) if step.what != "over"]


@pytest.mark.parametrize("number", range(len(FORWARD)))
def test_a_driver_that_was_killed_in_any_step_is_followed_by_one_that_ends_it(number: int) -> None:
    step, left = FORWARD[number]
    again = course.resumed(left, NOTE)
    expected = Step(journal.PROBE, step.host) if step.what in (journal.LEAD, journal.BAKE) else step
    assert course.next_step(again, SIGHT) == expected
    over = list(walked(again))[-1][1]
    assert (over.state, over.passed) == ("done", ("n1", "n2", "n3"))


@pytest.mark.parametrize("number", range(len(FORWARD)))
def test_from_any_step_an_abort_brings_back_all_that_was_touched_the_last_one_first(number: int) -> None:
    _, left = FORWARD[number]
    aborted = course.aborted(left, "aborted by ops", NOTE)
    back = [f"{name} {what}" for name in reversed(left.touched) for what in ("yield", "return", "recover")]
    assert words(aborted) == [*back, "close", "rolled back over"]


BACK = [(step, at) for step, at in walked(course.aborted(FORWARD[-2][1], "aborted", NOTE)) if step.what != "over"]


@pytest.mark.parametrize("number", range(len(BACK)))
@pytest.mark.parametrize("goes_on", [course.resumed, lambda at, note: course.aborted(at, "again", note)])
def test_a_driver_that_was_killed_on_the_way_back_is_followed_by_one_that_brings_back_the_rest(number: int, goes_on: object) -> None:
    step, left = BACK[number]
    again = goes_on(left, NOTE)  # type: ignore[operator]
    first = course.next_step(again, SIGHT)
    assert first == (Step(journal.YIELD, step.host) if step.host else step)
    over = list(walked(again))[-1][1]
    assert (over.state, sorted(over.returned), over.evidence) == ("rolled back", ["n1", "n2", "n3"], "aborted")


@pytest.mark.parametrize("number", range(len(FORWARD)))
def test_a_gate_that_fails_turns_it_round_once_a_host_was_touched(number: int) -> None:
    step, left = FORWARD[number]
    after = course.ended(left, step, BAD, NOTE)
    if step.what in (journal.SETTLE, journal.LEVEL, journal.CLOSE):  # nothing new came of it
        assert (after.state, after.goes_back, after.evidence) == ("paused", False, "it is slow")
        assert course.next_step(course.resumed(after, NOTE), SIGHT) == step
    elif step.what == journal.UNPACK:
        assert (after.state, after.touched) == ("rolled back", ())
    else:
        assert words(after)[0] == f"{step.host} yield"
        over = list(walked(after))[-1][1]
        assert (over.state, over.evidence, over.returned) == ("rolled back", "it is slow", tuple(reversed(left.touched)))


@pytest.mark.parametrize("what", [journal.SWITCH, journal.PROBE, journal.LEAD, journal.BAKE])
def test_where_going_back_would_end_service_it_stands_still(what: str) -> None:
    step, left = next((step, at) for step, at in FORWARD if step == Step(what, "n2"))
    after = course.ended(left, step, BAD._replace(may_return=False), NOTE)
    assert (after.state, after.goes_back, course.next_step(after, SIGHT)) == ("paused", False, None)
    assert course.next_step(course.resumed(after, NOTE), SIGHT) in (step, Step(journal.PROBE, "n2"))


def test_a_host_that_cannot_be_brought_back_keeps_none_of_the_others() -> None:
    at = course.aborted(FORWARD[-2][1], "aborted", NOTE)
    seen = []
    while (step := course.next_step(at, SIGHT)) is not None:
        seen.append(f"{step.host} {step.what}".strip())
        outcome = Outcome(False, "n2 is not reached") if step == Step(journal.RETURN, "n2") else WELL
        at = course.ended(course.begun(at, step, NOTE), step, outcome, NOTE)
    assert seen[-5:] == ["n2 return", "n1 yield", "n1 return", "n1 recover", "close"]
    assert (at.state, at.left, at.returned) == ("paused", ("n2",), ("n3", "n1"))
    assert at.evidence == "aborted; n2 could not be brought back"
    again = course.aborted(at, "again", NOTE)
    assert words(again) == ["n2 yield", "n2 return", "n2 recover", "close", "rolled back over"]


def test_a_host_that_has_the_version_although_nobody_remembers_is_brought_back_too() -> None:
    """The newest copy of the journal may have been on hosts that are gone."""
    stale = FORWARD[2][1]  # n1's switch was begun
    assert stale.touched == ("n1",)
    sight = {**SIGHT, "n2": Seen((OLD, NEW), NEW, OLD)}
    assert course.to_return(course.aborted(stale, "aborted", NOTE), sight) == ["n2", "n1"]


def test_a_pause_stops_it_where_it_is_and_a_member_is_proved_anew_before_it_leads() -> None:
    at = begin()
    for what in ("unpack", "settle", "switch", "probe"):
        step, at = stepped(at)
        assert step.what == what
    standing = course.paused(at, "paused by ops", NOTE)
    assert course.next_step(standing, SIGHT) is None
    assert course.next_step(course.resumed(standing, NOTE), SIGHT) == Step(journal.PROBE, "n1")


def test_a_journal_is_read_as_it_was_written_and_the_newest_copy_counts() -> None:
    copies = [at for _, at in FORWARD[:4]]
    assert journal.newest([copies[2], copies[3], copies[0]]) == copies[3]
    assert journal.decode(journal.encode(copies[3]).encode()) == copies[3]
    later = msgspec.structs.replace(copies[0], plan=msgspec.structs.replace(copies[0].plan, began_unix_ms=8))
    assert journal.newest([later, copies[3]]) == later
    assert journal.newest([]) is None


@pytest.mark.parametrize("text", [b"", b"[]", b'{"format": 2}', b'{"format": 1, "plan": 7}'])
def test_a_copy_that_cannot_be_read_is_none(text: bytes) -> None:
    assert journal.decode(text) is None


def test_its_history_tells_who_did_what_and_is_bounded() -> None:
    at = begin("n1")
    for _ in range(journal.HISTORY_MAX):
        at = course.resumed(course.paused(at, "paused", NOTE), NOTE)
    assert len(at.history) == journal.HISTORY_MAX
    assert {(one.who, one.what) for one in at.history} == {("ops@web1", "stands still: paused"), ("ops@web1", "goes on")}
    assert course.says(FORWARD[7][1]) == "upgrade 1-a → 2-b by ops@web1, running, 1 of 3 upgraded"
    turned = course.aborted(FORWARD[7][1], "aborted by eva", NOTE)
    assert course.says(turned) == "upgrade 1-a → 2-b by ops@web1, going back, 0 of 2 back: aborted by eva"
    assert [course.state_of(FORWARD[7][1], name) for name in ("n1", "n2", "n3")] == ["upgraded", "in turn", "waiting"]
