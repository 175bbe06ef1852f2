"""One client that wants all there is, in each way that we know of, and another that asks for one thing at a time beside it.

No clock decides here: what counts is how much of the greedy one's a member does for each thing that the other asks.
`benchmarks/hostile.py` measures how long a hundred such others wait. COORD_LONG=1 tries all kinds (hostile/greed.py).
"""

from collections.abc import Callable, Iterator
from statistics import median

import pytest

from coordnode.client.lease import SessionState
from coordnode.client.sync import Cluster as Client
from coordnode.client.sync import connect
from coordnode.net.limits import OUTSTANDING_MAX
from tests.door import IS_LONG
from tests.processes.hostile.greed import KINDS, Greed
from tests.processes.members import Cluster, Process, own_hosts, resident_bytes, wait_until

MIB = 1024 * 1024
ROUNDS, CALLS = 5, 3
SESSION_SECONDS = 60.0
IN_THE_DOOR = ("puts on 100 connections", "puts of 1 MiB", "16,000 watches of everything", "sessions", "HTTP puts", "half a hello")


@pytest.fixture(scope="module")
def member(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """One for all kinds, one after the other: what one of them leaves behind is the next one's trouble."""
    cluster = Cluster(tmp_path_factory.mktemp("hostile"), count=1)
    try:
        cluster.start()
        cluster.wait_ready()
        one = cluster.members[1]
        with connect(f"{one.address[0]}:{one.address[1]}", timeout=60) as client:
            fill(client)
        yield one
    finally:
        cluster.end()


def calls_beside(member: Process, kind: str, counter: str) -> float:
    """By how much the counter grows for each call of the one who behaves, whose session lives through all of it.

    Of several rounds the one in the middle: while that one itself stands still, the others go on, as they may."""
    address = f"{member.address[0]}:{member.address[1]}"
    with connect(address, timeout=SESSION_SECONDS) as cluster, cluster.session(ttl=SESSION_SECONDS) as session:
        with Greed(kind, address, own_hosts(1)[0], nice=19) as greed:
            session.kv.put("behaves", b"", bound=True)
            grown = []
            for number in range(ROUNDS):
                before = member.metric(counter)
                for call in range(CALLS):
                    value = b"%d/%d" % (number, call)
                    session.kv.put("behaves", value, bound=True)
                    found = cluster.kv.get("behaves")
                    assert found is not None
                    assert found.value == value
                grown.append(member.metric(counter) - before)
            assert greed.is_running()
        assert session.state is SessionState.HELD
    assert member.running is not None
    assert member.running.poll() is None
    assert not member.events("bug")
    return median(grown) / (2 * CALLS)


def fill(cluster: Client) -> None:
    """What a range finds: two pages."""
    for number in range(200):
        cluster.kv.put(f"filled/{number}", bytes(10_000))


@pytest.mark.parametrize("kind", KINDS if IS_LONG else IN_THE_DOOR)
def test_who_behaves_is_answered_and_keeps_its_session_beside(kind: str, member: Process) -> None:
    calls_beside(member, kind, "coordnode_up_seconds")
    assert resident_bytes(member) < 400 * MIB


@pytest.mark.parametrize("kind", ["puts", "gets"])
def test_for_each_call_of_another_a_looping_client_gets_only_its_turns(kind: str, member: Process, figure: Callable[[str], None]) -> None:
    answers = calls_beside(member, kind, "coordnode_client_answers_total")
    figure(f"{kind} beside one who behaves: {answers:.0f} answers for each of its calls")
    assert answers <= OUTSTANDING_MAX / 2, "its turns between two calls included; in the order of asking it were all that it has under way"


def test_when_it_is_gone_nothing_of_it_stays(member: Process) -> None:
    calls_beside(member, "puts on 100 connections", "coordnode_up_seconds")
    wait_until(lambda: member.metric("coordnode_client_connections") == 0, "its connections are ended")
    assert member.metric("coordnode_client_eager_asks") == 0
    assert member.metric("coordnode_client_pending_bytes") == 0
    assert (member.status() or {})["busiest"][0]["asks"] == 0
