"""Who of a line holds: decided by whoever came earlier, the same by everybody who looks."""

import itertools
import random

import pytest

from coordctl.engines import lines
from coordctl.engines.lines import Place
from coordctl.hot import locks
from coordnode.errors import BadRequest, Conflict, Deadlock, TooLarge

EXCLUSIVE, SHARED = Place(b"", 0, 0, ""), Place(b"", 0, 0, "", kind=locks.SHARED)


def semaphore(permits: int, limit: int) -> Place:
    return Place(b"", 0, 0, "", kind=locks.SEMAPHORE, permits=permits, limit=limit)


def line(*kinds: Place) -> list[Place]:
    return [one._replace(number=10 * place, session=place, key=b"%d" % place) for place, one in enumerate(kinds, 1)]


def holding(places: list[Place]) -> list[int]:
    return [one.session for one in places if lines.holds(places, one)]


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        (line(EXCLUSIVE, EXCLUSIVE), [1]),
        (line(SHARED, SHARED, EXCLUSIVE, SHARED), [1, 2]),
        (line(EXCLUSIVE, SHARED), [1]),
        (line(semaphore(1, 3), semaphore(2, 3), semaphore(1, 3)), [1, 2]),
        (line(semaphore(2, 3), semaphore(2, 3), semaphore(1, 3)), [1]),
    ],
)
def test_earlier_ones_decide(places: list[Place], expected: list[int]) -> None:
    assert holding(places) == expected
    assert holding(list(reversed(places))) == list(reversed(expected)), "in whatever order they are listed"


def test_who_holds_goes_on_holding_and_never_too_many_do() -> None:
    for seed in range(300):
        chance = random.Random(seed)
        limit = chance.randint(1, 4)
        kinds = [semaphore(chance.randint(1, limit), limit) for _ in range(6)] if seed % 2 else chance.choices([EXCLUSIVE, SHARED], k=6)
        places = line(*kinds)
        while places:
            before = holding(places)
            held = [one for one in places if one.session in before]
            assert held, seed
            if kinds[0].limit:
                assert sum(one.permits for one in held) <= limit, seed
            else:
                assert len(held) == 1 or all(one.kind == locks.SHARED for one in held), seed
            gone = chance.choice(places)
            places.remove(gone)
            assert {*before} - {gone.session} <= {*holding(places)}, seed


def test_other_settings_than_the_first_ones_are_a_conflict() -> None:
    places = line(semaphore(1, 2), semaphore(1, 3), EXCLUSIVE)
    assert lines.conflict(places, places[0]) is None
    assert isinstance(lines.conflict(places, places[1]), Conflict)
    assert isinstance(lines.conflict(places, places[2]), Conflict)
    assert lines.conflict(line(SHARED, EXCLUSIVE), line(SHARED, EXCLUSIVE)[1]) is None


def test_a_circle_is_found_by_whoever_closes_it() -> None:
    """1 holds x, and its command's session 3 waits for y; 2 holds y, and its command's session 4 waits for x."""
    x = [EXCLUSIVE._replace(number=1, session=1), EXCLUSIVE._replace(number=5, session=4, parent=2)]
    y = [EXCLUSIVE._replace(number=2, session=2), EXCLUSIVE._replace(number=4, session=3, parent=1)]
    assert lines.circle({b"x": x[:1], b"y": y}, y[1]) is None
    found = lines.circle({b"x": x, b"y": y}, x[1])
    assert isinstance(found, Deadlock)
    assert "x" in found.sentence
    inner = [EXCLUSIVE._replace(number=1, session=1), EXCLUSIVE._replace(number=2, session=2, parent=1)]
    assert isinstance(lines.circle({b"x": inner}, inner[1]), Deadlock), "what its own command's outer run holds"


@pytest.mark.parametrize("name", [b"a", b"a/b", b"%2F", "ünï \U0001f512".encode(), bytes(range(0x20, 0x7F)), b"\xff\xfe"])
def test_names_are_one_part_of_a_path(name: bytes) -> None:
    assert b"/" not in lines.escaped(name)
    assert lines.escaped(name).isascii()
    assert lines.unescaped(lines.escaped(name)) == name


def test_a_prefix_of_a_name_is_a_prefix_of_its_path() -> None:
    for name, count in itertools.product([b"jobs/nightly", "ä/ö".encode()], range(5)):
        assert lines.escaped(name).startswith(lines.escaped(name[:count]))


def test_a_place_is_read_as_it_was_written_and_what_others_wrote_is_a_place_too() -> None:
    written = Place(b"k", 7, 9, 'ops "a"\\ü', locks.SHARED, 1, 0, "note\n", 1_700_000_000_000, 5, b"\x00\xff", "web1")
    assert lines.place(b"k", 7, 9, written.kept()) == written
    for kept in (b"", b"hello", b"{}", b"[1]", b"\xff", b'{"owner":"x"}'):
        assert lines.place(b"k", 7, 9, kept) == Place(b"k", 7, 9, ""), kept


def test_what_makes_no_sense_is_refused() -> None:
    for name, kind in ((b"", BadRequest), (b"n" * 2_000, TooLarge), (b"a\nb", BadRequest)):
        with pytest.raises(kind):
            lines.asked(locks.Wish(name.decode()).operation(), 1, "", 0, 0)
    with pytest.raises(BadRequest, match="TTL is 5 ms; give 1000"):
        lines.check_ttl(5)
