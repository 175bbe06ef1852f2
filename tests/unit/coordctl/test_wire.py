"""A name may stand for several places: whoever dials goes on until somebody is there."""

import select
import socket
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from coordctl.hot import line as hot_line
from coordctl.hot import secrecy, wire
from coordctl.hot.wire import Wire
from coordctl.local.clusters import Endpoint
from tests.processes.members import own_hosts

SECONDS_MAX = 10


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server((own_hosts(1)[0], 0)) as made:
        yield made


def place(address: tuple[str, int]) -> tuple[Any, ...]:
    return (socket.AF_INET, socket.SOCK_STREAM, 0, "", address)


def nobody() -> tuple[str, int]:
    with socket.create_server((own_hosts(1)[0], 0)) as made:
        return made.getsockname()  # type: ignore[no-any-return]


def dialled(one: Wire) -> int:
    """How many places were tried."""
    for tries in range(1, SECONDS_MAX):
        while not one.is_ready():
            pass
        if one.finish_dialling():
            return tries
    raise AssertionError("it never ends")


def test_the_next_place_of_a_name_is_tried_and_remembered(listening: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "look_up", lambda _address: [place(nobody()), place(listening.getsockname())])
    with closing(Wire()) as one:
        one.out += b"kept"
        for _ in range(2):
            one.dial("localhost:7001")
            dialled(one)
            one.out += b"hello"
            one.flush()
            accepted, _ = listening.accept()
            with accepted:
                assert accepted.recv(5) == b"hello"
        one.dial("localhost:7001")
        assert dialled(one) == 1, "where somebody was"


def test_a_place_that_never_answers_is_not_the_first_one_next_time(listening: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as deaf:
        deaf.bind((own_hosts(1)[0], 0))  # and does not listen: refused; stands for a place without an answer while it is not asked
        monkeypatch.setattr(wire, "look_up", lambda _address: [place(deaf.getsockname()), place(listening.getsockname())])
        with closing(Wire()) as one:
            one.dial("n1:7001")
            one.close()  # given up by its owner's patience
            one.dial("n1:7001")
            assert dialled(one) == 1


@pytest.mark.parametrize("heard_ms", [0, 1])
def test_nobody_who_was_heard_is_asked_whether_it_speaks_tls(heard_ms: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """That is waited for, and who holds a lock must see its lease end meanwhile."""
    asked: list[str] = []
    monkeypatch.setattr(secrecy, "_speaks_tls", asked.append)
    with socket.create_server((own_hosts(1)[0], 0)) as listening:
        host, port = listening.getsockname()
        talk, line, _ = hot_line.of([Endpoint(f"{host}:{port}")], "me", 0)
        talk.open(b"nonce", 10_000, "me", None)
        talk.heard_ms = heard_ms
        with closing(line):
            line.drive(1)
            accepted, _ = listening.accept()
            accepted.close()
            select.select([line.descriptor()[0]], [], [], SECONDS_MAX)
            line.on_ready(2)
            assert talk.troubles[f"{host}:{port}"], "it hung up"
    assert asked == ([] if heard_ms else [f"{host}:{port}"])


def test_when_nobody_is_anywhere_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "look_up", lambda _address: [place(nobody()), place(nobody())])
    with closing(Wire()) as one, pytest.raises(OSError, match="refused"):
        one.dial("n1:7001")
        dialled(one)
