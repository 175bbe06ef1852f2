"""A name may stand for several places: whoever dials goes on until somebody is there."""

import _socket
import os
import select
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from coordctl.hot import dialling, secrecy
from coordctl.hot import line as hot_line
from coordctl.hot.wire import Wire
from coordctl.local.clusters import Endpoint
from coordnode.client.lookups import Lookups
from tests.processes.members import own_hosts
from tests.unit.client.naming import Names, Stuck

SECONDS_MAX = 10


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server((own_hosts(1)[0], 0)) as made:
        yield made


def stands_for(monkeypatch: pytest.MonkeyPatch, *places: tuple[str, int]) -> None:
    """Every name does."""
    monkeypatch.setattr(Lookups, "places", lambda _self, _address: [(socket.AF_INET, place) for place in places])


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
    stands_for(monkeypatch, nobody(), listening.getsockname())
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
        stands_for(monkeypatch, deaf.getsockname(), listening.getsockname())
        with closing(Wire()) as one:
            one.dial("n1:7001")
            one.close()  # given up by its owner's patience
            one.dial("n1:7001")
            assert dialled(one) == 1


def test_who_dials_waits_for_no_resolver_and_a_late_answer_is_for_the_next_dial(
    listening: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = Names()
    monkeypatch.setattr(_socket, "getaddrinfo", names.getaddrinfo)
    resolver = names.of["slow.test"] = Stuck(listening.getsockname())
    with closing(Wire()) as one:
        one.dial("slow.test:7001")
        assert (one.is_open, one.is_connected, one.is_ready()) == (True, False, False)
        one.close()  # given up by its owner's patience
        one.dial("slow.test:7001")
        assert not resolver.has_answered
        resolver.may_answer.set()
        assert dialled(one) == 2, "the first is not dialled yet: it is looked up"
        one.dial("slow.test:7001")
        assert dialled(one) == 1, "where somebody was"
    assert names.asked == ["slow.test"]


def test_a_name_that_nobody_knows_is_said_when_it_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown() -> list[tuple[str, int]]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    names = Names()
    monkeypatch.setattr(_socket, "getaddrinfo", names.getaddrinfo)
    names.of["no.test"] = unknown
    with closing(Wire()) as one, pytest.raises(OSError, match="Name or service not known"):
        one.dial("no.test:7001")
        dialled(one)


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
    stands_for(monkeypatch, nobody(), nobody())
    with closing(Wire()) as one, pytest.raises(OSError, match="refused"):
        one.dial("n1:7001")
        dialled(one)


def test_whoever_only_listens_hears_of_it_when_the_other_side_is_gone(listening: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """A router that forgets a quiet connection tells nobody."""
    stands_for(monkeypatch, listening.getsockname())
    host, port = listening.getsockname()
    with closing(Wire()) as one, closing(dialling.connect(f"{host}:{port}", SECONDS_MAX)) as other:
        one.dial("localhost:7001")
        for descriptor in (one.descriptor()[0], other.fileno()):
            with socket.socket(fileno=os.dup(descriptor)) as dialled:
                assert dialled.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
                quiet, every = (dialled.getsockopt(socket.IPPROTO_TCP, name) for name in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL))
                assert quiet + every * dialled.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT) <= 60
