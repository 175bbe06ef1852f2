"""What `status` makes of members that answer at slightly different moments."""

from pathlib import Path

import pytest

from coordctl.facts.members import ClusterFacts
from coordctl.local.clusters import Endpoint
from coordctl.operations import status, statuses
from tests.unit.coordctl.test_judgement import said

APART = [said(1, "leader"), said(2, applied=49, digest_index=47), said(3)]
TOGETHER = [said(1, "leader"), said(2), said(3)]


def asked(monkeypatch: pytest.MonkeyPatch, *answers: list[statuses.MemberFacts]) -> list[int]:
    """Each question gets the next answer, the last one for ever; the list grows by one for each question."""
    questions: list[int] = []

    def of_cluster(*_: object, **__: object) -> ClusterFacts:
        questions.append(len(questions))
        return ClusterFacts(answers[min(len(questions), len(answers)) - 1])

    monkeypatch.setattr(statuses, "of_cluster", of_cluster)
    monkeypatch.setattr(status, "PAUSE_SECONDS", 0)
    return questions


def test_members_that_were_between_two_states_are_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    questions = asked(monkeypatch, APART, APART, TOGETHER)
    assert status.health("local", [], 2).digest == "equal"
    assert len(questions) == 3


def test_states_that_never_can_be_compared_are_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    questions = asked(monkeypatch, APART)
    assert status.health("local", [], 2).digest == "unknown"
    assert len(questions) == status.COMPARISONS_MAX


def test_a_home_where_backups_cannot_be_looked_for_hides_nothing_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked(monkeypatch, TOGETHER)
    (tmp_path / "file").touch()
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    assert status.health("local", [], 2).digest == "equal"


def test_a_member_that_was_named_twice_is_one_and_two_with_one_id_are_two(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = {"voters": [1], "outgoing": [], "learners": [], "contacts": {"1": "a:1"}}
    member = said(1, "leader", config=alone, address="a:1", pid=7)
    copied = said(1, "leader", config=alone, address="b:1", pid=7)
    named = [Endpoint("a:1"), Endpoint("localhost:1"), Endpoint("b:1")]
    monkeypatch.setattr(statuses, "ask", lambda *_, **__: [member, member, copied])
    assert statuses.of_cluster(named, 1).members == [member, copied]
