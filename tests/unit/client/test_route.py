"""Which member is tried next."""

import random

from coordnode.client.route import BACKOFF_MS_MAX, Route
from coordnode.ids import NOBODY, MemberId

ONE, TWO, THREE = MemberId(1), MemberId(2), MemberId(3)


def test_who_fell_silent_is_not_asked_again_while_others_are_there_to_ask() -> None:
    route = Route([ONE, TWO, THREE], random.Random(1))
    silent = route.member
    route.on_unreachable(1_000, 1_200)
    asked: list[MemberId] = []
    now_ms = route.try_at_ms
    while now_ms < 2_200:
        asked.append(route.member)
        route.on_not_leader(NOBODY, now_ms)
        assert now_ms < route.try_at_ms <= now_ms + BACKOFF_MS_MAX
        now_ms = route.try_at_ms
    assert len(asked) > 4
    assert silent not in asked
    assert {*asked} == {ONE, TWO, THREE} - {silent}
    tried: list[MemberId] = []
    for _ in range(3):
        route.on_not_leader(NOBODY, 2_300)
        tried.append(route.member)
    assert silent in tried


def test_when_all_are_silent_they_are_tried_in_turn() -> None:
    route = Route([ONE, TWO, THREE], random.Random(1))
    tried: list[MemberId] = []
    for _ in range(6):
        tried.append(route.member)
        route.on_unreachable(1_000, 1_200)
    assert tried[:3] == tried[3:]
    assert {*tried} == {ONE, TWO, THREE}
