"""A connection to etcd that comes to nothing: it is given up, and another one may follow."""

import select

import pytest

from coordctl.engines.etcd.line import Answers

NOWHERE = "255.255.255.255:9"  # refused by this machine itself, before anything is sent


@pytest.fixture
def answers() -> Answers:
    return Answers(select.epoll(), streams=False)


def test_one_that_is_refused_at_once_is_given_up(answers: Answers) -> None:
    for _ in range(2):
        with pytest.raises(OSError, match="unreachable|denied"):
            answers.connect(NOWHERE)
    assert answers.descriptor() == -1
    answers.close()


def test_what_is_sent_after_it_ended_goes_nowhere(answers: Answers) -> None:
    answers.close()
    answers.send(b"too late")
    assert not answers.is_connected
