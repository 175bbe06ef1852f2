"""Whoever asks over HTTP is answered, also by a member with a bug."""

import asyncio
import json
from typing import cast

import pytest

from coordnode.api.table import Table
from coordnode.ids import ClusterId
from coordnode.net.http import HttpAnswer, Request
from coordnode.net.http_link import HttpLink
from coordnode.node.gateway import Gateway, Host


class Noting:
    """The member and the connection: what they are told."""

    def __init__(self) -> None:
        self.bugs: list[str] = []
        self.answers: list[HttpAnswer] = []

    def nonce(self) -> bytes:
        return b"nonce"

    def on_bug(self, error: str, trace: str) -> None:
        assert "Traceback" in trace
        self.bugs.append(error)

    def answer(self, answer: HttpAnswer) -> None:
        self.answers.append(answer)


def test_a_bug_on_the_way_to_the_question_is_an_answer_and_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(table: Table, method: str, path: str) -> None:
        raise KeyError(path)

    monkeypatch.setattr(Table, "find", broken)
    noting = Noting()
    loop = asyncio.new_event_loop()
    gateway = Gateway(loop, cast(Host, noting), ClusterId(1), "tests")
    gateway.on_request(cast(HttpLink, noting), Request("GET", "/v1/kv/a", "", {}, True, 0))
    loop.close()
    assert [(answer.status, json.loads(answer.body)["definite"]) for answer in noting.answers] == [(500, False)]
    assert noting.bugs == ["HTTP: KeyError: '/v1/kv/a'"]
    assert gateway.statuses == {500: 1}
