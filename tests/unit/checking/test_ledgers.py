"""Checks that keep the truth of a service: what may be passes, and each kind of lie turns them red."""

from collections.abc import Callable

import pytest

from coordnode.checking.barrier_rounds import OPENED, OVER, BarrierRounds
from coordnode.checking.group_views import JOINED, LEFT, GroupViews
from coordnode.checking.shard_owners import ASSIGNED, FREED, REVOKING, Move, ShardOwners
from coordnode.errors import PromiseBroken

ABOUT = (b"here", (), 1)
A = (b"a", 1, *ABOUT, 1)
B = (b"b", 2, *ABOUT, 2)


def views() -> GroupViews:
    """Members a of session 1 and b of session 2, in views 1 and 2."""
    check = GroupViews()
    check.joined(1, b"g", b"a", ABOUT, b"a", 1, 1)
    check.told(1, [(JOINED, b"g", A)])
    check.begin()
    check.joined(2, b"g", b"", ABOUT, b"b", 2, 2)
    check.told(2, [(JOINED, b"g", B)])
    check.begin()
    return check


def test_views_as_they_were_pass() -> None:
    check = views()
    check.read(b"g", 1, 1, (A,))
    check.read(b"g", 7, 2, (A, B))
    check.read(b"none", 7, 0, ())
    check.refused(2, b"g", b"a", 34)
    check.refused(2, b"g", b"a", 31)
    check.updated(1, b"g", b"a", (None, None, None), 2, 9)
    assert check.ended(1)
    check.told(10, [(LEFT, b"g", A)])
    check.assembled(b"g", 10, (B,), 12)
    assert not check.ended(1)


VIEW_LIES: dict[str, Callable[[GroupViews], object]] = {
    "joined over another": lambda check: check.joined(3, b"g", b"a", ABOUT, b"a", 3, 3),
    "another name": lambda check: check.joined(3, b"g", b"c", ABOUT, b"d", 3, 3),
    "an old number": lambda check: check.joined(3, b"g", b"c", ABOUT, b"c", 2, 2),
    "a number of its own": lambda check: check.joined(3, b"g", b"c", ABOUT, b"c", 4, 3),
    "a foreign update": lambda check: check.updated(2, b"g", b"a", (b"x", None, None), 3, 3),
    "no change, new number": lambda check: check.updated(1, b"g", b"a", (b"here", None, None), 3, 3),
    "left twice": lambda check: check.left(1, b"g", b"b", 3, 3),
    "refused for nothing": lambda check: check.refused(2, b"g", b"c", 34),
    "refused its own": lambda check: check.refused(1, b"g", b"a", 31),
    "told out of nothing": lambda check: check.told(3, [(LEFT, b"g", A)]),
    "not told": lambda check: (check.left(1, b"g", b"a", 3, 3), check.begin()),
    "told half": lambda check: (check.ended(1), check.told(3, [(LEFT, b"h", A)])),
    "read too old": lambda check: check.read(b"g", 2, 1, (A,)),
    "read too new": lambda check: check.read(b"g", 1, 2, (A, B)),
    "believed too long": lambda check: check.assembled(b"g", 1, (A,), 2),
}


@pytest.mark.parametrize("lie", VIEW_LIES.values(), ids=VIEW_LIES)
def test_lies_about_views(lie: Callable[[GroupViews], object]) -> None:
    with pytest.raises(PromiseBroken) as broken:
        lie(views())
    assert broken.value.check_name == "group-views"


def owners() -> ShardOwners:
    """Two shards over group g: a of session 1 owns both, b of session 2 has come, and shard 1 is revoked until 110 ms."""
    check = ShardOwners(100)
    check.begin(0, False)
    check.configured(b"jobs", b"g", 2, 100)
    check.begin(0, False)
    check.member(b"g", b"a", 1, 1)
    grants = [Move(0, ASSIGNED, b"a", 1, 50), Move(1, ASSIGNED, b"a", 1, 51)]
    check.told(2, [(b"jobs", grants)], [(1, b"jobs", grants)])
    check.begin(10, False)
    check.member(b"g", b"b", 2, 1)
    revoked = [Move(1, REVOKING, b"a", 1, 51)]
    check.told(3, [(b"jobs", revoked)], [(1, b"jobs", revoked)])
    check.begin(20, False)
    return check


def moved(check: ShardOwners, *moves: Move, told: tuple[Move, ...] | None = None) -> None:
    by_session: dict[int, list[Move]] = {}
    for move in moves if told is None else told:
        by_session.setdefault(move.session, []).append(move)
    check.told(4, [(b"jobs", moves)], [(session, b"jobs", each) for session, each in by_session.items()])
    check.begin(0, False)


FREE = Move(1, FREED, b"a", 1, 51)
GIVE = Move(1, ASSIGNED, b"b", 2, 52)


def test_moves_as_they_must_be_pass() -> None:
    check = owners()
    check.read(b"jobs", 2, ((0, b"a", 1, 50, False), (1, b"a", 1, 51, False)))
    check.read(b"jobs", 3, ((0, b"a", 1, 50, False), (1, b"a", 1, 51, True)))
    check.released(1, b"jobs", 1, 51, 0)
    moved(check, FREE, GIVE, told=(GIVE,))
    check.released(1, b"jobs", 1, 51, 31)
    assert check.ended(2)
    check.member(b"g", b"b", 2, None)
    back = Move(1, ASSIGNED, b"a", 1, 53)
    moved(check, Move(1, FREED, b"b", 2, 52), back, told=(back,))
    late = owners()
    late.begin(110, True)
    moved(late, FREE, GIVE)


def deleted_with_owners(check: ShardOwners) -> None:
    check.deleted(b"jobs")
    check.begin(30, False)


def ended_and_owns(check: ShardOwners) -> None:
    check.ended(1)
    check.begin(30, False)


def wake_that_does_nothing(check: ShardOwners) -> None:
    check.begin(110, True)
    check.begin(120, False)


def released_and_kept_free(check: ShardOwners) -> None:
    check.released(1, b"jobs", 1, 51, 0)
    moved(check, FREE, told=())


def too_many_revoked(check: ShardOwners) -> None:
    check.member(b"g", b"c", 3, 2)
    revoked = Move(0, REVOKING, b"a", 1, 50)
    moved(check, revoked)


def released_and_given(check: ShardOwners, give: Move, told: tuple[Move, ...]) -> None:
    check.released(1, b"jobs", 1, 51, 0)
    moved(check, FREE, give, told=told)


SHARD_LIES: dict[str, tuple[str, Callable[[ShardOwners], object]]] = {
    "given while owned": ("one-owner", lambda check: moved(check, GIVE)),
    "freed before its time": ("one-owner", lambda check: moved(check, FREE, GIVE)),
    "an old token": ("one-owner", lambda check: released_and_given(check, GIVE._replace(token=51), (GIVE._replace(token=51),))),
    "given to nobody": ("one-owner", lambda check: released_and_given(check, GIVE._replace(session=3), (GIVE._replace(session=3),))),
    "taken from who has it not": ("one-owner", lambda check: moved(check, FREE._replace(token=50))),
    "an old token releases": ("one-owner", lambda check: check.released(1, b"jobs", 1, 50, 0)),
    "a foreign release": ("one-owner", lambda check: check.released(2, b"jobs", 1, 51, 0)),
    "its owner may not release": ("one-owner", lambda check: check.released(1, b"jobs", 1, 51, 31)),
    "deleted with owners": ("one-owner", deleted_with_owners),
    "owned by the dead": ("one-owner", ended_and_owns),
    "read wrong": ("one-owner", lambda check: check.read(b"jobs", 3, ((0, b"a", 1, 50, False),))),
    "owner not told": ("owner-told", lambda check: released_and_given(check, GIVE, ())),
    "told what it did itself": ("owner-told", lambda check: released_and_given(check, GIVE, (FREE, GIVE))),
    "late and kept": ("shards-balanced", wake_that_does_nothing),
    "free and wanted": ("shards-balanced", released_and_kept_free),
    "revoked twice": ("shards-balanced", lambda check: moved(check, Move(1, REVOKING, b"a", 1, 51))),
    "revoked for nothing": ("shards-balanced", too_many_revoked),
}


@pytest.mark.parametrize(("name", "lie"), SHARD_LIES.values(), ids=SHARD_LIES)
def test_lies_about_shards(name: str, lie: Callable[[ShardOwners], object]) -> None:
    check = owners()
    with pytest.raises(PromiseBroken) as broken:
        lie(check)
    assert broken.value.check_name == name, broken.value.sentence


def test_who_keeps_too_much_is_found() -> None:
    check = ShardOwners(100)
    check.configured(b"jobs", b"g", 2, 100)
    check.member(b"g", b"a", 1, 1)
    grants = [Move(shard, ASSIGNED, b"a", 1, 50 + shard) for shard in range(2)]
    check.told(2, [(b"jobs", grants)], [(1, b"jobs", grants)])
    check.begin(0, False)
    check.member(b"g", b"b", 2, 1)
    with pytest.raises(PromiseBroken, match="keeps 2 shards"):
        check.begin(0, False)


def rounds() -> BarrierRounds:
    """Session 1 is inside step, which waits for two; session 3 is inside open, which is open."""
    check = BarrierRounds()
    check.entered(1, b"step", 2, (70, 2, 1, False))
    check.entered(3, b"open", 1, (71, 1, 1, True))
    check.told(1, [(OPENED, b"open", (71, 1, 1, True))])
    check.begin()
    return check


def test_rounds_as_they_must_be_pass() -> None:
    check = rounds()
    check.refused(2, b"step", 3, 34)
    check.refused(2, b"step", 0, 31)
    check.refused(2, b"open", 1, 35)
    check.left(3, b"open", True, True, (71, 1, 1, True))
    check.entered(2, b"step", 2, (70, 2, 2, True))
    check.told(2, [(OPENED, b"step", (70, 2, 2, True))])
    assert not check.ended(1)
    assert check.ended(2)
    check.told(3, [(OVER, b"step", (70, 2, 0, True))])
    check.entered(1, b"step", 2, (72, 2, 1, False))


ROUND_LIES: dict[str, Callable[[BarrierRounds], object]] = {
    "opened early": lambda check: check.entered(2, b"new", 2, (73, 2, 1, True)),
    "not opened": lambda check: check.entered(2, b"step", 2, (70, 2, 2, False)),
    "entered twice": lambda check: check.entered(1, b"step", 2, (70, 2, 2, True)),
    "entered while open": lambda check: check.entered(2, b"open", 1, (71, 1, 2, True)),
    "an old round": lambda check: check.entered(2, b"new", 2, (70, 2, 1, False)),
    "left from outside": lambda check: check.left(2, b"step", False, False, (70, 2, 0, False)),
    "gave up too late": lambda check: check.left(3, b"open", True, False, (71, 1, 0, True)),
    "did not leave": lambda check: check.left(1, b"step", True, True, (70, 2, 1, False)),
    "refused for nothing": lambda check: check.refused(2, b"step", 2, 34),
    "refused as full": lambda check: check.refused(2, b"step", 2, 35),
    "not told": lambda check: (check.left(3, b"open", False, False, (71, 1, 0, True)), check.begin()),
    "told too much": lambda check: check.told(2, [(OVER, b"step", (70, 2, 0, True))]),
}


@pytest.mark.parametrize("lie", ROUND_LIES.values(), ids=ROUND_LIES)
def test_lies_about_barriers(lie: Callable[[BarrierRounds], object]) -> None:
    with pytest.raises(PromiseBroken) as broken:
        lie(rounds())
    assert broken.value.check_name == "barrier-rounds"
