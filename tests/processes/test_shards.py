"""Assignments through the client, against a real member."""

import asyncio

import pytest

from coordnode.client import aio
from coordnode.client.ownership import OwnedChange
from coordnode.client.shards import OwnedShards
from coordnode.client.sync import connect
from coordnode.errors import BadRequest, Conflict, SessionExpired
from tests.processes.members import Cluster


def until(owned: OwnedShards, shards: int) -> list[OwnedChange]:
    """Changes until it owns so many."""
    seen: list[OwnedChange] = []
    while len(owned.shards()) != shards:
        change = owned.take(60)
        assert change is not None, seen
        seen.append(change)
    return seen


def test_shards_go_from_owner_to_owner(one_member: Cluster) -> None:
    (address,) = one_member.contacts.values()
    with connect(address) as cluster, cluster.session(ttl=60) as one, cluster.session(ttl=60) as two:
        jobs = cluster.assignment("jobs")
        assert jobs.create("workers", 4, revoke=30)
        assert not jobs.create("workers", 4, revoke=30)
        with pytest.raises(Conflict, match="4 shards over group workers"):
            jobs.create("workers", 5)
        with pytest.raises(BadRequest, match=r"use session\.assignment"):
            jobs.owned()
        one.group("workers").join("a")
        with one.assignment("jobs").owned() as first, two.assignment("jobs").owned() as second:
            assert [change.kind for change in until(first, 4)] == ["gained"] * 4
            before = first.shards()
            assert second.take(0.05) is None
            with two.group("workers").join("b"):
                revoked = [first.take(60), first.take(60)]
                assert [(change.kind, change.shard) for change in revoked if change] == [("revoked", 2), ("revoked", 3)]
                assert second.take(0.05) is None
                for change in revoked:
                    assert change is not None
                    assert first.release(change)
                    assert not first.release(change)
                gained = until(second, 2)
                assert [(change.kind, change.shard) for change in gained] == [("gained", 2), ("gained", 3)]
                assert all(change.token > max(before.values()) for change in gained)
                assert [(info.owned, info.revoking) for info in cluster.assignments.list("j")] == [(4, 0)]
                assert jobs.configure(revoke=0.2)
            lost = [second.take(60) for _ in range(4)]
            assert [change.kind for change in lost if change] == ["revoked", "revoked", "lost", "lost"], (
                "it left the group, and let go of nothing"
            )
            assert len(until(first, 4)) == 2
            assert jobs.delete()
            assert {change.kind for change in until(first, 0)} == {"lost"}


def test_a_session_that_ends_frees_its_shards_and_says_so(one_member: Cluster) -> None:
    (address,) = one_member.contacts.values()
    with connect(address) as cluster, cluster.session(ttl=60) as one:
        cluster.assignment("jobs").create("workers", 2)
        other = cluster.session(ttl=60)
        other.group("workers").join("b")
        theirs = other.assignment("jobs").owned()
        until(theirs, 2)
        one.group("workers").join("a", weight=3)
        other.close()
        assert {(change.kind, change.shard) for change in until(theirs, 0)} >= {("lost", 0), ("lost", 1)}
        with pytest.raises(SessionExpired, match="and its shards with it"):
            theirs.take(60)
        with one.assignment("jobs").owned() as owned:
            assert sorted(change.shard for change in until(owned, 2)) == [0, 1]
        assert cluster.assignment("jobs").delete()


def test_to_await(one_member: Cluster) -> None:
    (address,) = one_member.contacts.values()

    async def use() -> None:
        async with await aio.connect(address) as cluster, await cluster.session(ttl=60) as session:
            jobs = session.assignment("jobs")
            assert await jobs.create("workers", 2)
            async with await session.group("workers").join("a"), jobs.owned() as owned:
                seen = []
                async for change in owned:
                    seen.append((change.kind, change.shard))
                    if len(seen) == 2:
                        await jobs.configure(shards=1)
                    if change.kind == "revoked":
                        assert await owned.release(change)
                        break
                assert seen == [("gained", 0), ("gained", 1), ("revoked", 1)]
                assert list(owned.shards()) == [0]
                assert [row.shard for row in (await jobs.view()).owned] == [0]
                assert [info.shards async for info in cluster.assignments.list()] == [1]
            assert await jobs.delete()

    asyncio.run(use())
