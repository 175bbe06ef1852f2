"""What a canary's samples amount to: of one round, of a run of them, and whether a read was fresh."""

import pytest

from coordctl.canary.budget import Past, of_window, share
from coordctl.canary.cycles import Announced, Taken, judge_election, judge_queue
from coordctl.canary.freshness import Told, Write, judge_read, judge_watch, lag_ms
from coordctl.canary.judgement import BROKEN, DEGRADED, DOWN, LATENCIES_KEPT, UNREACHABLE, WELL, Tally, judge_round, judge_run
from coordctl.canary.samples import (
    ANSWERS,
    CYCLES,
    DENIED,
    FAILED,
    LOCK,
    OK,
    QUEUE,
    READ,
    REFUSES,
    SILENT,
    UNREACHED,
    WATCH,
    WRITE,
    WRONG,
    Reached,
    Round,
    Sample,
)

NAMES = ("n1", "n2", "n3")
TROUBLES = {ANSWERS: "", REFUSES: "connection refused", SILENT: "fell silent"}


def round_of(*hows: str, serves: bool = True, cycles: str = OK, wrong: bool = False, failing: str = LOCK) -> Round:
    """Members in these states; what answers serves, or finds no leader. `cycles`: what came of `failing`, or of all."""
    members = tuple(Reached(name, how, True, TROUBLES[how]) for name, how in zip(NAMES, hows, strict=True))
    samples = [Sample(one, "", cycles if one == failing or not serves else OK, 5.0) for one in CYCLES]
    samples = [one if one.outcome == OK else one._replace(sentence="no leader") for one in samples]
    for probe in (WRITE, READ, WATCH):
        for one in members:
            outcome, sentence = (
                (OK if serves else FAILED, "" if serves else "no leader") if one.how == ANSWERS else (UNREACHED, one.trouble)
            )
            samples.append(Sample(probe, one.member, outcome, 2.0, sentence))
    if wrong:
        samples[-1] = samples[-1]._replace(outcome=WRONG, sentence="an old answer")
    return Round(tuple(samples), members)


ALL_WELL = round_of(ANSWERS, ANSWERS, ANSWERS)
ONE_GONE = round_of(ANSWERS, ANSWERS, REFUSES)
LOCKS_FAIL = round_of(ANSWERS, ANSWERS, ANSWERS, cycles=FAILED)
QUEUES_FAIL = round_of(ANSWERS, ANSWERS, ANSWERS, cycles=FAILED, failing=QUEUE)
NO_LEADER = round_of(ANSWERS, ANSWERS, ANSWERS, serves=False, cycles=FAILED)
CUT_OFF = round_of(SILENT, SILENT, SILENT, cycles=UNREACHED)
DENIED_ALL = NO_LEADER._replace(samples=tuple([one._replace(outcome=DENIED) for one in NO_LEADER.samples]))
STALE = round_of(ANSWERS, ANSWERS, ANSWERS, wrong=True)


@pytest.mark.parametrize(
    ("found", "kind", "words"),
    [
        (ALL_WELL, WELL, ""),
        (ONE_GONE, DEGRADED, "write, read and watch through n3: connection refused"),
        (LOCKS_FAIL, DEGRADED, "lock: no leader"),
        (STALE, BROKEN, "watch through n3: an old answer"),
        (
            NO_LEADER,
            DOWN,
            "n1, n2 and n3 can be reached and cannot serve "
            "(lock, election and queue, write, read and watch through n1, n2 and n3: no leader)",
        ),
        # Of three, two are needed: what answers, and what surely does not run, is proof together.
        (round_of(ANSWERS, REFUSES, REFUSES, serves=False), DOWN, "n1 can be reached and cannot serve (write, read and watch"),
        (round_of(ANSWERS, REFUSES, SILENT, serves=False), DOWN, "; n2 is down"),
        # A member that finds no leader may itself be the one that is cut off.
        (round_of(ANSWERS, SILENT, SILENT, serves=False), UNREACHABLE, "the others are down, or only cut off from here (n2: fell silent"),
        (CUT_OFF, UNREACHABLE, "no member can be reached from here: they are down, or only cut off from here (n1: fell silent"),
        (DENIED_ALL, UNREACHABLE, "what the canary does is not permitted to it (lock, election and queue, write, read and watch through"),
        (round_of(REFUSES, REFUSES, REFUSES, cycles=UNREACHED), UNREACHABLE, "but their hosts answer: they look stopped"),
    ],
)
def test_a_round_claims_no_more_than_is_proved(found: Round, kind: str, words: str) -> None:
    judged = judge_round(found)
    assert judged.kind == kind
    assert words in judged.sentence


def test_a_learner_is_no_proof_of_a_lost_quorum() -> None:
    found = round_of(ANSWERS, SILENT, SILENT, serves=False)
    learner = Reached("n4", ANSWERS, False)
    assert judge_round(found._replace(members=(*found.members, learner))).kind == UNREACHABLE


@pytest.mark.parametrize(
    ("rounds", "level", "words"),
    [
        (
            [ALL_WELL] * 3,
            0,
            "3 rounds, none failed; p99 lock 5.0 ms, election 5.0 ms, queue 5.0 ms, write 2.0 ms, read 2.0 ms, watch 2.0 ms",
        ),
        ([ALL_WELL] * 2, 3, "too little was seen, 2 of at least 3 rounds"),
        ([], 3, "too little was seen, 0 of at least 3 rounds"),
        ([*[ALL_WELL] * 9, ONE_GONE], 1, "1 of 10 rounds not well: write, read and watch through n3"),
        ([*[ALL_WELL] * 9, NO_LEADER], 1, "1 of 10 rounds not well: n1, n2 and n3 can be reached"),
        ([ALL_WELL, NO_LEADER], 2, "down in 1 of 2 rounds"),
        ([ALL_WELL, LOCKS_FAIL], 1, "1 of 2 rounds not well"),
        ([ALL_WELL, LOCKS_FAIL, LOCKS_FAIL], 2, "the lock cycle failed in 2 of 3 rounds: lock: no leader"),
        ([ALL_WELL, QUEUES_FAIL, QUEUES_FAIL], 2, "the queue cycle failed in 2 of 3 rounds: queue: no leader"),
        ([*[ALL_WELL] * 99, STALE], 2, "a promise was broken in 1 of 100 rounds: watch through n3: an old answer"),
        ([CUT_OFF] * 5, 3, "0 of at least 3 rounds: no member can be reached from here"),
        ([*[ALL_WELL] * 4, *[CUT_OFF] * 4], 3, "4 of 8 rounds said nothing of the cluster"),
        ([*[ALL_WELL] * 7, CUT_OFF], 1, "1 of 8 rounds said nothing of the cluster"),
        ([NO_LEADER, *[CUT_OFF] * 9], 2, "down in 1 of 10 rounds"),  # what was proved stands
    ],
)
def test_a_run_is_as_bad_as_what_is_proved(rounds: list[Round], level: int, words: str) -> None:
    tally = Tally()
    for number, found in enumerate(rounds):
        tally.add(found, number)
    verdict = judge_run(tally, samples_min=3)
    assert verdict.level == level
    assert words in verdict.sentence


def test_a_run_of_any_length_is_kept_in_bounds() -> None:
    tally = Tally()
    for number in range(LATENCIES_KEPT + 10):
        tally.add(ALL_WELL if number else CUT_OFF, number)
    writes = tally.series[WRITE, "n1"]
    assert (writes.count, writes.unreached, writes.failed, writes.last_success_unix_ms) == (LATENCIES_KEPT + 9, 1, 0, LATENCIES_KEPT + 9)
    assert len(writes._latencies) == LATENCIES_KEPT


WRITES = [Write("n1", "a", "7", 20, lasts=True), Write("n2", "b", "7", 21, lasts=True), Write("n3", "c", "7", 0, lasts=False)]


@pytest.mark.parametrize(
    ("revision", "found", "outcome", "words"),
    [
        (21, {"a": "7", "b": "7"}, OK, ""),  # what nobody acknowledged may be there, or not
        (25, {"a": "7", "b": "7", "c": "7"}, OK, ""),
        (20, {"a": "7"}, WRONG, "answered as of revision 20, although 21 had been acknowledged through n2"),
        (21, {"a": "7", "b": "6"}, WRONG, "b was not what had been acknowledged through n2 at revision 21"),
        (21, {"b": "7"}, WRONG, "a was not what had been acknowledged through n1 at revision 20"),
    ],
)
def test_a_read_sees_all_that_was_acknowledged(revision: int, found: dict[str, str], outcome: str, words: str) -> None:
    assert judge_read(revision, found, WRITES) == (outcome, words)


def test_what_went_with_its_session_accuses_nobody() -> None:
    over = [write._replace(lasts=False) for write in WRITES]
    assert judge_read(21, {}, over)[0] == FAILED


TOLD = [Told(20, "a", "7", 1.0), Told(21, "b", "7", 1.5)]


@pytest.mark.parametrize(
    ("told", "next_revision", "outcome", "words"),
    [
        (TOLD, 22, OK, ""),
        ([*TOLD, Told(25, "c", "7")], 26, OK, ""),  # what nobody acknowledged may be told of, or not
        ([Told(19, "b", "6"), *TOLD], 22, OK, ""),
        (TOLD[:1], 21, FAILED, "did not tell in time of b, acknowledged through n2 at revision 21"),
        (TOLD[:1], 22, WRONG, "never told of b, acknowledged through n2 at revision 21, and went on to 22"),
        (TOLD[1:], 22, WRONG, "never told of a"),
        ([TOLD[0], Told(21, "b", "6")], 22, WRONG, "never told of b"),
        ([TOLD[0], Told(22, "b", "7")], 23, WRONG, "never told of b"),
        ([*reversed(TOLD)], 22, WRONG, "told of revision 20 after 21"),
        ([*TOLD, TOLD[1]], 22, WRONG, "told of revision 21 after 21"),
    ],
)
def test_a_watch_tells_of_all_that_was_acknowledged_in_order_and_once(
    told: list[Told], next_revision: int, outcome: str, words: str
) -> None:
    found, sentence = judge_watch(told, next_revision, WRITES)
    assert found == outcome
    assert words in sentence


def test_a_watch_is_as_slow_as_what_it_told_of_last() -> None:
    writes = [WRITES[0]._replace(at_s=0.9), WRITES[1]._replace(at_s=1.75), WRITES[2]]
    assert lag_ms(TOLD, writes) == pytest.approx(100)
    assert lag_ms([], writes) == 0
    assert lag_ms([*TOLD, Told(25, "c", "7", 99.0)], writes) == pytest.approx(100)


WON = Announced(0, 8, "7")
NOBODY, ELDER, OURS, OVER = Announced(10), Announced(11, 6, "6"), Announced(12, 8, "7"), Announced(13)


@pytest.mark.parametrize(
    ("newest", "announced", "outcome", "words"),
    [
        (7, [OURS, OVER], OK, ""),
        (7, [NOBODY, ELDER, OURS, OVER], OK, ""),  # who stood in line still, from a round before
        (8, [OURS, OVER], WRONG, "token 8 was won after 8"),
        (7, [OURS], FAILED, "token 8 had resigned, and that was not announced in time"),
        (7, [NOBODY], FAILED, "token 8 had won, and was not announced in time"),
        (7, [], FAILED, "was not announced in time"),
        (7, [OURS._replace(token=9), OVER], WRONG, "announced token 9 with '7', although token 8 had won with '7'"),
        (7, [OURS._replace(value="6"), OVER], WRONG, "announced token 8 with '6'"),
        (7, [OVER, OURS], WRONG, "told of revision 12 after 13"),
        (7, [OURS, OURS, OVER], WRONG, "told of revision 12 after 12"),
    ],
)
def test_an_election_announces_who_won_and_nobody_else(newest: int, announced: list[Announced], outcome: str, words: str) -> None:
    found, sentence = judge_election(newest, WON, announced)
    assert found == outcome
    assert words in sentence


PUT = Taken(5, 0, "7")
HAD = Taken(5, 9, "7")


@pytest.mark.parametrize(
    ("newest", "taken", "again", "left", "outcome", "words"),
    [
        (8, [HAD], [], 0, OK, ""),
        (8, [], [], 1, WRONG, "task 5 was put, and could not be taken"),
        (8, [HAD, HAD], [], 0, WRONG, "what could be taken was 5 with '7', 5 with '7'"),
        (8, [HAD._replace(payload="6")], [], 0, WRONG, "what could be taken was 5 with '6'"),
        (9, [HAD], [], 0, WRONG, "token 9 was handed out after 9"),
        (8, [HAD], [HAD], 0, WRONG, "task 5 was handed out again while it was held"),
        (8, [HAD], [], 1, WRONG, "task 5 was acknowledged, and 1 is left"),
    ],
)
def test_a_queue_hands_out_a_task_once(newest: int, taken: list[Taken], again: list[Taken], left: int, outcome: str, words: str) -> None:
    found, sentence = judge_queue(newest, PUT, taken, again, left)
    assert found == outcome
    assert words in sentence


def test_a_share_is_judged_by_its_interval() -> None:
    assert [round(bound, 3) for bound in share(0, 3)[2:]] == [0.0, 0.562]
    assert [round(bound, 4) for bound in share(1, 100)[2:]] == [0.0018, 0.0545]
    assert [round(bound, 3) for bound in share(8, 8)[2:]] == [0.676, 1.0]
    assert share(0, 0)[2:] == (0.0, 1.0)
    now_ms = 1_000_000
    rounds = [
        Past(now_ms - 700_000, 2, "long ago"),
        Past(now_ms - 5_000, 1, "lately"),
        Past(now_ms - 4_000, 3, "cut off"),
        Past(now_ms, 0, ""),
    ]
    assert of_window(rounds, now_ms, 600_000)[:2] == (1, 2)


@pytest.mark.parametrize(("failed", "well", "tolerated", "level"), [(0, 3, 0.01, 3), (0, 400, 0.01, 0), (5, 3, 0.2, 1), (1, 5, 0.2, 3)])
def test_more_than_is_tolerated_is_only_said_where_it_is_sure(failed: int, well: int, tolerated: float, level: int) -> None:
    tally = Tally()
    tally.rounds[DEGRADED], tally.rounds[WELL] = failed, well
    tally.trouble[DEGRADED] = "write through n3: refused"
    assert judge_run(tally, 3, tolerated).level == level


def test_a_run_that_measured_next_to_nothing_does_not_hold_to_a_share() -> None:
    tally = Tally()
    for found in [ALL_WELL, CUT_OFF] * 400:
        tally.add(found, 0)
    verdict = judge_run(tally, 3, 0.01)
    assert verdict.level == 3
    assert verdict.sentence.startswith("400 of 800 rounds said nothing of the cluster: ")
