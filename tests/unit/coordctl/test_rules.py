"""What the runner does about what happens, told without processes."""

from coordctl.runner import ending, outcome, rules, source, words
from coordctl.runner.rules import Close, End, Exit, Forward, Lend, Push, Rules, Say, Settings, Start, Suspend, TakeBack

GRANTED = source.Granted(7, 10_000, {"COORD_TOKEN": "7"})


def made(**changes: object) -> Rules:
    settings = Settings("demo", "sleep", ending.policy(10_000))
    return Rules(settings._replace(**changes), 0)


def running(**changes: object) -> Rules:
    rule = made(**changes)
    assert rule.on_told(GRANTED, 100) == [Start(GRANTED.environment, 10_000)]
    return rule


def end(rule: Rules, now_ms: int = 500) -> outcome.Outcome:
    (action,) = rule.on_told(source.Closed(), now_ms)
    assert isinstance(action, Exit)
    return action.outcome


def gone(rule: Rules, status: int, at_ms: int = 400) -> list[rules.Action]:
    rule.on_word([words.EXITED, status, at_ms], at_ms)
    return rule.on_word([words.GONE, at_ms], at_ms)


def test_a_run_that_goes_well() -> None:
    rule = running()
    assert rule.on_told(source.Renewed(12_000), 200) == [Push(12_000)]
    assert rule.on_signal(15, 200) == [Forward(15)]
    assert gone(rule, 0) == [TakeBack(False), Close(True)]
    assert end(rule) == outcome.Outcome(outcome.ENDED, 0, 7, 100, 300)


def test_a_command_that_failed_has_not_succeeded() -> None:
    rule = running()
    assert gone(rule, 3) == [TakeBack(False), Close(False)]
    assert end(rule).exit_code == 3
    rule = running()
    assert gone(rule, -9) == [TakeBack(True), Close(False)]
    assert end(rule).exit_code == 137


def test_nothing_is_lost_to_a_job_that_is_gone() -> None:
    rule = running()
    gone(rule, 0)
    assert rule.on_told(source.Lost(ending.LOST, "too late"), 450) == []
    assert end(rule).exit_code == 0


def test_a_loss_is_79_whatever_the_command_returned() -> None:
    rule = running()
    assert rule.on_told(source.Lost(ending.BROKEN, "demo was broken"), 200) == [End(ending.BROKEN)]
    assert rule.on_told(source.Renewed(20_000), 200) == []
    assert gone(rule, 0) == [TakeBack(True), Say("demo was broken; command ended (TERM)"), Close(False)]
    assert end(rule) == outcome.Outcome(outcome.BROKEN, 79, 7, 100, 300)


def test_a_loss_is_said_at_once_when_the_command_cannot_be_ended() -> None:
    """As another user's it may run on for hours: nobody is told that it was ended."""
    rule = running()
    rule.on_told(source.Lost(ending.BROKEN, "demo was broken"), 200)
    (said,) = rule.on_word([words.UNENDED, [[12, "sudo", "Operation not permitted"], [13, "dd", ""]]], 300)
    assert said == Say("demo was broken; the command cannot be ended (12 sudo: Operation not permitted, 13 dd: killed, and there still)")
    assert gone(rule, 0) == [TakeBack(True), Say("demo was broken; command ended at last"), Close(False)]
    assert end(rule).exit_code == 79


def test_what_ended_after_the_deadline_was_lost_though_nobody_noticed() -> None:
    for on_lost in ("term", "ignore"):
        rule = running(policy=ending.policy(10_000, on_lost))
        said = gone(rule, 0, 10_000)
        assert Say("demo is lost: its lease ran out before the command ended; command ended (TERM)") in said
        assert end(rule).exit_code == 79


def test_an_ignored_loss_is_said_at_once_and_still_79() -> None:
    rule = running(policy=ending.policy(10_000, "ignore"))
    (said,) = rule.on_word([words.ENDING, ending.LOST], 9_000)
    assert isinstance(said, Say)
    assert said.sentence.endswith("the command goes on (--on-lost ignore)")
    assert gone(rule, 0, 20_000) == [TakeBack(True), Close(False)]
    assert end(rule).exit_code == 79


def test_whatever_loss_is_ignored_is_said_at_once_and_what_ends_the_command_then_is_said_too() -> None:
    rule = running(policy=ending.policy(10_000, "ignore"), hold_max_ms=20_000)
    (said,) = rule.on_word(["guard died"], 200)
    assert said == Say("demo counts as lost: the guard of its command was killed; the command goes on (--on-lost ignore)")
    assert rule.on_word([words.ENDING, ending.LOST], 200) == []
    assert rule.on_time(20_100) == [End(ending.HOLD_MAX)]
    assert Say("demo was held for 20 s (--hold-max); command ended (TERM)") in gone(rule, -15, 20_200)
    assert end(rule).exit_code == 79


def test_the_guards_death_is_a_loss_and_before_the_grant_a_refusal() -> None:
    rule = running()
    rule.on_word(["guard died"], 200)
    gone(rule, -15)
    assert end(rule).exit_code == 79
    rule = made()
    said, closes = rule.on_word(["guard died"], 200)
    assert (isinstance(said, Say), closes) == (True, Close(False))
    assert end(rule).exit_code == 75


def test_hold_max() -> None:
    rule = running(hold_max_ms=1_000)
    assert rule.wake_at_ms() == 1_100
    assert rule.on_time(1_099) == []
    assert rule.on_time(1_100) == [End(ending.HOLD_MAX)]
    assert (rule.on_time(1_200), rule.wake_at_ms()) == ([], None)
    gone(rule, -15, 1_300)
    assert end(rule).exit_code == 124


def test_what_was_refused() -> None:
    for kind, code in ((outcome.NOT_ACQUIRED, 42), (outcome.UNREACHABLE, 69), (outcome.NOT_PERMITTED, 77), (outcome.DONE_BEFORE, 0)):
        rule = made(not_acquired_code=42)
        assert rule.on_told(source.Refused(kind, "why"), 50) == [Say("why"), Close(False)]
        assert end(rule) == outcome.Outcome(kind, code, None, 50)


def test_nothing_is_started_on_a_lease_that_is_over() -> None:
    rule = made(not_acquired_code=42)
    said, closes = rule.on_told(GRANTED, GRANTED.deadline_ms)
    assert said == Say("demo was granted, but its lease ran out before the command was started: try again")
    assert closes == Close(False)
    assert end(rule, 11_000).exit_code == 42


def test_a_grant_that_comes_after_the_signal_starts_nothing() -> None:
    rule = made()
    assert rule.on_signal(2, 50) == [Close(False)]
    assert rule.on_told(GRANTED, 60) == []
    assert end(rule).exit_code == 130


def test_a_record_that_could_not_be_written_is_how_it_ended() -> None:
    rule = running()
    gone(rule, 0)
    said, exits = rule.on_told(source.Closed("not recorded", outcome.LOST), 500)
    assert (said, exits) == (Say("not recorded"), Exit(outcome.Outcome(outcome.LOST, 79, 7, 100, 300)))


def test_what_is_left_is_named_and_a_signal_ends_it() -> None:
    rule = running()
    rule.on_word([words.EXITED, 0, 200], 200)
    back, said = rule.on_word([words.LEFT, [[41, "sleep"], [42, "cat"]]], 200)
    assert back == TakeBack(False)
    assert isinstance(said, Say)
    assert "left 2 processes behind: 41 sleep, 42 cat; demo is held until they end" in said.sentence
    assert rule.on_signal(2, 300) == [End(ending.LEFT)]
    assert rule.on_signal(10, 300) == [Forward(10)]
    assert rule.on_signal(rules.TSTP, 300) == [Forward(rules.TSTP), Suspend(rules.TSTP)]
    assert rule.on_resumed(400, was_lent=True) == [Forward(rules.CONT)], "Ctrl-C is for us, even if the command ended while suspended"


def test_of_what_is_left_by_a_job_that_is_ended_nothing_is_released() -> None:
    for on_lost, fate in (("term", "they are ended, too"), ("ignore", "released all the same (--leftover release)")):
        rule = running(policy=ending.policy(10_000, on_lost, "release"))
        rule.on_word([words.ENDING, ending.LOST], 9_000)
        _, said = rule.on_word([words.LEFT, [[41, "sleep"]]], 9_000)
        assert isinstance(said, Say)
        assert said.sentence.endswith(fate)


def test_suspension() -> None:
    rule = running()
    assert rule.on_word([words.STOPPED, rules.TSTP], 200) == [Suspend(rules.TSTP)]
    assert rule.on_resumed(300, was_lent=True) == [Lend()], "which continues it, once: another would undo a Ctrl-Z that came in between"
    assert rule.on_resumed(300, was_lent=False) == [Forward(rules.CONT)], "others of a pipeline want to hear Ctrl-C, too"
    assert rule.on_word([words.STOPPED, rules.TTIN], 300) == [Lend(rules.TTIN)]
    assert rule.on_word([words.STOPPED, rules.STOP], 300) == [], "whoever stops it with STOP means the command alone"
    assert rule.on_signal(rules.TSTP, 300) == [Forward(rules.TSTP)]
    assert rule.on_resumed(10_000, was_lent=True) == [End(ending.LOST)], "the deadline passed while it slept"
    assert made().on_signal(rules.TSTP, 50) == [Suspend(rules.TSTP)], "who waits can be suspended, too"


def test_what_stopped_for_the_terminal_and_could_never_be_continued_is_ended() -> None:
    rule = running()
    assert rule.on_word([words.STOPPED, rules.TTIN], 200) == [Lend(rules.TTIN)]
    said, ends = rule.on_unable_to_stop()
    assert (isinstance(said, Say), ends) == (True, End(ending.NO_TERMINAL))
    assert gone(rule, -15) == [TakeBack(True), Close(False)]
    assert end(rule).exit_code == 143
    assert rule.on_unable_to_stop() == []


def test_who_stops_itself_with_stop_is_suspended_when_somebody_waits_for_the_terminal() -> None:
    rule = running()
    assert rule.on_word([words.STOPPED, rules.STOP], 200, is_lent=True) == [Suspend(rules.TSTP)]
    assert rule.on_signal(rules.TSTP, 300) == [Forward(rules.TSTP)]
    assert rule.on_word([words.STOPPED, rules.STOP], 300) == [Suspend(rules.TSTP)], "it was told to stop, and does so in its own way"
    assert rule.on_word([words.STOPPED, rules.STOP], 400) == [], "the next time is not about that Ctrl-Z"


def test_what_goes_on_although_it_is_lost_is_continued() -> None:
    policy = ending.policy(10_000, on_lost=ending.IGNORE)
    late, told = running(policy=policy), running(policy=policy)
    assert late.on_resumed(10_000, was_lent=True) == [End(ending.LOST), Lend()]
    assert told.on_word([words.ENDING, ending.LOST], 9_000) == [
        Say("demo is lost: its lease was not renewed in time; the command goes on (--on-lost ignore)")
    ]
    assert told.on_resumed(11_000, was_lent=True) == [Lend()]


def test_a_command_that_could_not_be_started() -> None:
    for number, code in ((2, 127), (20, 127), (13, 126), (8, 126), (7, 126)):
        rule = running()
        rule.on_word([words.FAILED, number], 200)
        actions = gone(rule, 126)
        assert any(isinstance(action, Say) and action.sentence.startswith("sleep: ") for action in actions)
        assert end(rule) == outcome.Outcome(outcome.NOT_STARTED, code, 7, 100, 300)


def test_a_second_signal_does_not_wait_for_ever() -> None:
    rule = running()
    gone(rule, 0)
    assert rule.on_signal(2, 500) == []
    said, exits = rule.on_signal(2, 400 + rules.CLOSING_MS)
    assert (isinstance(said, Say), isinstance(exits, Exit)) == (True, True)


def test_a_success_that_may_not_have_been_recorded_is_no_success() -> None:
    for status, code in ((0, 69), (3, 3)):
        rule = running(records=True)
        gone(rule, status)
        said, exits = rule.on_signal(15, 400 + rules.CLOSING_MS)
        assert isinstance(said, Say)
        assert ("whether that was recorded is not known" in said.sentence) == (status == 0)
        assert isinstance(exits, Exit)
        assert exits.outcome.exit_code == code
