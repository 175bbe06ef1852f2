"""What a session owns, from reads and notices in any order, with some heard twice or not at all."""

import random

from coordnode.client.ownership import GAINED, LOST, REVOKED, OwnedChange, Ownership
from coordnode.ids import Revision, SessionId, Token
from coordnode.services.commands import ASSIGNED, FREED, REVOKING, AssignmentChanged, AssignmentView, OwnedShard, ShardChange

MINE, OTHER = SessionId(1), SessionId(2)


def told(ownership: Ownership, kind: int, shard: int, token: int, session: SessionId = MINE, name: bytes = b"jobs") -> None:
    ownership.on_notice(AssignmentChanged(name, [ShardChange(shard, kind, b"m", session, Token(token))]))


def read(*rows: tuple[int, int, SessionId, bool]) -> AssignmentView:
    owned = [OwnedShard(shard, b"m", session, Token(token), 100 if revoked else None) for shard, token, session, revoked in rows]
    return AssignmentView(Revision(9), b"workers", 8, 1000, owned)


def taken(ownership: Ownership) -> list[tuple[str, int, int]]:
    found: list[tuple[str, int, int]] = []
    while (change := ownership.take()) is not None:
        found.append((change.kind, change.shard, int(change.token)))
    return found


def test_a_read_and_what_was_told_after_it() -> None:
    ownership = Ownership(b"jobs", MINE)
    ownership.on_read(read((0, 50, MINE, False), (1, 51, OTHER, False), (2, 52, MINE, True)))
    assert taken(ownership) == [(GAINED, 0, 50), (GAINED, 2, 52), (REVOKED, 2, 52)]
    told(ownership, ASSIGNED, 3, 53)
    told(ownership, ASSIGNED, 4, 54, OTHER)
    told(ownership, ASSIGNED, 4, 54, name=b"other")
    told(ownership, REVOKING, 0, 50)
    told(ownership, FREED, 2, 52)
    assert ownership.has_something()
    assert taken(ownership) == [(GAINED, 3, 53), (REVOKED, 0, 50), (LOST, 2, 52)]
    assert ownership.owned() == {0: 50, 3: 53}
    ownership.released(0, Token(50))
    ownership.released(3, Token(9))
    assert ownership.owned() == {3: 53}
    assert not ownership.has_something()


def test_what_is_heard_again_or_too_late_changes_nothing() -> None:
    ownership = Ownership(b"jobs", MINE)
    told(ownership, ASSIGNED, 0, 40)
    told(ownership, ASSIGNED, 1, 50)
    ownership.on_read(read((1, 50, MINE, True), (2, 60, OTHER, False)))
    assert taken(ownership) == [(GAINED, 1, 50), (REVOKED, 1, 50)]
    told(ownership, REVOKING, 1, 50)
    told(ownership, FREED, 0, 40)
    assert taken(ownership) == []
    ownership.released(1, Token(50))
    told(ownership, ASSIGNED, 1, 70)
    told(ownership, FREED, 1, 50)
    assert taken(ownership) == [(GAINED, 1, 70)]


def test_a_gap_is_made_good_by_a_read() -> None:
    ownership = Ownership(b"jobs", MINE)
    ownership.on_read(read((0, 50, MINE, False), (1, 51, MINE, False)))
    assert len(taken(ownership)) == 2
    ownership.on_read(read((0, 60, MINE, False), (3, 61, MINE, False)))
    assert taken(ownership) == [(LOST, 0, 50), (LOST, 1, 51), (GAINED, 0, 60), (GAINED, 3, 61)]
    ownership.on_read(None)
    assert taken(ownership) == [(LOST, 0, 60), (LOST, 3, 61)]


def test_with_the_session_everything_is_lost() -> None:
    ownership = Ownership(b"jobs", MINE)
    ownership.on_read(read((0, 50, MINE, False)))
    told(ownership, ASSIGNED, 1, 70)
    assert ownership.take() == OwnedChange(GAINED, 0, Token(50))
    ownership.lose_all()
    assert taken(ownership) == [(LOST, 0, 50)]
    assert ownership.owned() == {}


def test_whatever_is_heard_in_order_ends_in_the_truth() -> None:
    for seed in range(200):
        chance = random.Random(seed)
        ownership = Ownership(b"jobs", MINE)
        truth: dict[int, tuple[int, bool]] = {}
        token = 50
        for _ in range(40):
            shard = chance.randrange(4)
            heard = chance.random() < 0.8
            if shard not in truth:
                token += 1
                truth[shard] = token, False
                change = (ASSIGNED, shard, token)
            elif not truth[shard][1]:
                truth[shard] = truth[shard][0], True
                change = (REVOKING, shard, truth[shard][0])
            else:
                change = (FREED, shard, truth.pop(shard)[0])
            if heard:
                told(ownership, *change)
            if not heard or chance.random() < 0.1:  # a gap, and the read that makes it good
                ownership.on_read(read(*[(each, number, MINE, revoked) for each, (number, revoked) in truth.items()]))
            if chance.random() < 0.5:
                taken(ownership)
        told(ownership, REVOKING, 99, 1)
        taken(ownership)
        believed = {each: int(number) for each, number in ownership.owned().items()}
        assert believed == {each: number for each, (number, _) in truth.items()}, seed
