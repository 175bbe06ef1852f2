"""The log in memory beside a plain list of the same entries, and how it forgets: never much at once, and all of it in the end."""

import random

from coordnode.ids import Index, Term
from coordnode.raft.entry import BATCH, Entry
from coordnode.raft.log import FORGOTTEN_AT_ONCE, Log


def entry(index: int, size: int, term: int = 1) -> Entry:
    return Entry(Term(term), Index(index), BATCH, bytes(size))


def total(entries: list[Entry]) -> int:
    return sum(len(one.data) for one in entries)


def test_sums_over_any_stretch_are_those_of_its_entries() -> None:
    chance = random.Random(7)
    log, plain = Log(Index(10), Term(1), []), list[Entry]()
    for _ in range(3_000):
        act = chance.random()
        if act < 0.75 or not plain:
            plain.append(entry(log.last_index() + 1, chance.choice((0, 0, 1, 7, 300))))
            log.append(plain[-1])
        elif act < 0.85:
            index = chance.choice(plain).index
            log.truncate_from(index)
            plain = [one for one in plain if one.index < index]
        elif act < 0.9:
            log.compact(chance.choice(plain).index)
            plain = [one for one in plain if one.index > log.base_index]
        assert log.entries == plain
        assert log.bytes_after(log.base_index) == total(plain)
        last = Index(chance.randint(log.base_index - 2, log.last_index()))
        bytes_max = chance.randint(0, 900)
        assert log.bytes_after(last) == total([one for one in plain if one.index > last])
        first = log.first_within(bytes_max, last)
        assert total([one for one in plain if first <= one.index <= last]) <= bytes_max
        if first > log.base_index + 1:
            assert total([one for one in plain if first - 1 <= one.index <= last]) > bytes_max
        if plain:
            sent = log.slice_bytes(chance.choice(plain).index, bytes_max)
            assert sent == log.slice(sent[0].index, sent[-1].index)
            assert total(sent) <= bytes_max or len(sent) == 1
            assert sent[-1].index == log.last_index() or total([*sent, plain[sent[-1].index - log.base_index]]) > bytes_max


def test_much_is_forgotten_in_many_turns_and_meanwhile_what_is_there_is_right() -> None:
    count, floor = 20 * FORGOTTEN_AT_ONCE, 15 * FORGOTTEN_AT_ONCE + 3
    log = Log(Index(0), Term(0), [entry(index, 3, 1 + index // 1_000) for index in range(1, count + 1)])
    log.compact(Index(floor))
    turns, seen = 1, log.base_index
    while log.base_index < floor:
        log.forget_some()
        turns += 1
        assert 0 < log.base_index - seen <= FORGOTTEN_AT_ONCE
        seen = log.base_index
        assert log.entries[0].index == log.base_index + 1
        assert log.term_at(log.base_index) == 1 + log.base_index // 1_000
        assert log.bytes_after(log.base_index) == 3 * (count - log.base_index)
    assert turns == 16
    log.forget_some()
    assert log.base_index == floor


def test_what_was_to_be_forgotten_does_not_reach_into_a_log_that_began_anew() -> None:
    log = Log(Index(0), Term(0), [entry(index, 1) for index in range(1, 3 * FORGOTTEN_AT_ONCE)])
    log.compact(Index(3 * FORGOTTEN_AT_ONCE - 1))
    log.reset(Index(FORGOTTEN_AT_ONCE + 5), Term(2))
    log.append(entry(FORGOTTEN_AT_ONCE + 6, 1))
    log.forget_some()
    assert log.entries == [entry(FORGOTTEN_AT_ONCE + 6, 1)]
