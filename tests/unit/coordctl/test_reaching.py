"""Why a client cannot use the cluster: what cannot be planted here is judged from values."""

from coordctl.facts.judgement import CRITICAL
from coordctl.facts.reaching import SPEECH, WELL, Asked, Client, Reached, of_ways

STATUS = {"version": "9.9.9", "leader": 7}
WELL_ASKED = Asked("", "")
OURS = Client("0.1.0", "", None)


def test_members_of_a_version_that_does_not_speak_ours() -> None:
    (found,) = of_ways([Reached("a:1", WELL, "", STATUS)], Asked("UnknownVersion", "speak 2"), OURS)
    assert (found.level, found.check, found.runbook) == (CRITICAL, "version", "client-cannot-connect.md")
    assert found.sentence == "this client is 0.1.0, the members are 9.9.9, and they do not speak the same: speak 2"


def test_a_clock_that_is_off_is_told_only_where_it_surely_is() -> None:
    (found,) = of_ways([Reached("a:1", WELL, "", STATUS, 90_000.0, 20.0)], WELL_ASKED, OURS)
    assert (found.check, found.runbook) == ("clock", "clock-offset.md")
    assert found.sentence == "the clock at a:1 is +90.0 s from this machine's (± 0.0 s)"
    assert of_ways([Reached("a:1", WELL, "", STATUS, 2_400.0, 2_000.0)], WELL_ASKED, OURS) == []


def test_a_request_that_fails_where_every_way_is_well_is_told_with_its_own_words() -> None:
    (found,) = of_ways([Reached("a:1", WELL, "", STATUS)], Asked("NotPermitted", "ops may not"), OURS)
    assert (found.check, found.sentence) == ("request", "a request from here was not answered: ops may not")
    found, *more = of_ways([Reached("a:1", SPEECH, "no answer")], Asked("Unreachable", "nobody"), OURS)
    assert (found.check, more) == ("answers", [])  # the way says why
