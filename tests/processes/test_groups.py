"""Groups through the client, against a real member."""

import asyncio

import pytest

from coordnode.client import aio
from coordnode.client.sync import connect
from coordnode.errors import BadRequest, Conflict, NotHeld
from tests.processes.members import Cluster


def test_blocking(one_member: Cluster) -> None:
    (address,) = one_member.contacts.values()
    with connect(address, identity="ops@web1, pid 7") as cluster, cluster.session(ttl=60) as one:
        watch = cluster.group("web").watch()
        empty = watch.take(60)
        assert empty is not None
        assert len(empty) == 0
        with one.group("web").join(data="10.0.0.7:80", labels={"zone": "eu"}) as member:
            assert member.name == b"ops@web1, pid 7"
            joined = watch.take(60)
            assert joined is not None
            assert (joined.number, [each.data for each in joined]) == (member.view, [b"10.0.0.7:80"])
            assert cluster.group("web").view(min_view=member.view) == joined
            with pytest.raises(Conflict, match="is there already: this session"):
                one.group("web").join("ops@web1, pid 7")
            member.update(labels={"zone": "us"}, weight=3)
            updated = watch.take(60)
            assert updated is not None
            assert [(each.labels, each.weight, each.data) for each in updated] == [((("zone", "us"),), 3, b"10.0.0.7:80")]
            assert updated.number > joined.number
            assert [found.group for found in cluster.groups.find("w", "zone=us")] == [b"web"]
            assert list(cluster.groups.find("w", "zone=eu")) == []
            assert [group.name for group in cluster.groups.list()] == [b"web"]
        left = watch.take(60)
        assert left is not None
        assert len(left) == 0
        assert left.number == member.view
        assert watch.take(0.05) is None
        with pytest.raises(BadRequest, match="without a session"):
            cluster.group("web").join("w")
        member = one.group("web").join("w")
        with pytest.raises(NotHeld), cluster.session(ttl=60) as two:
            two.group("web").join("x").update(data="mine")
            member._session = two._number
            member.update(data="theirs")
        watch.close()


def test_a_session_that_ends_takes_its_members_along(one_member: Cluster) -> None:
    (address,) = one_member.contacts.values()
    with connect(address) as cluster, cluster.group("web").watch() as watch:
        session = cluster.session(ttl=60)
        session.group("web").join("a")
        session.group("web").join("b")
        views = iter(watch)
        while len(view := next(views)) < 2:
            pass
        session.close()
        after = next(views)
        assert (len(after), after.number) == (0, view.number + 1)


def test_to_await(one_member: Cluster) -> None:
    (address,) = one_member.contacts.values()

    async def use() -> None:
        async with await aio.connect(address) as cluster, await cluster.session(ttl=60) as session:
            async with await session.group("web").join("a", labels={"zone": "eu"}) as member:
                assert [each.name for each in await cluster.group("web").view()] == [b"a"]
                assert [found.group async for found in cluster.groups.find("", "zone")] == [b"web"]
                assert [group.members async for group in cluster.groups.list()] == [1]
                seen = []
                async with cluster.group("web").watch() as watch:
                    async for view in watch:
                        seen.append([each.data for each in view])
                        if len(seen) == 2:
                            break
                        await member.update(data="here")
                assert seen == [[b""], [b"here"]]
            assert len(await cluster.group("web").view()) == 0

    asyncio.run(use())
