"""Members whose states differ: who is wrong, who is told, and who only hears late of what was mended."""

from coordnode.ids import Index, MemberId
from coordnode.raft.messages import Heal
from coordnode.replica.agreement import AGREE, ALL_AGREE, NOBODY_KNOWS, WE_DIFFER, Agreement
from coordnode.replica.events import Events
from coordnode.services.commands import Put
from tests.unit.replica.trio import MEMBERS, Trio, whole_turn

ONE, TWO, THREE = MEMBERS


def judged(own: int, two: int, three: int) -> tuple[int, list[tuple[MemberId, int]]]:
    agreement = Agreement()
    agreement.checkpoint(Index(4), own)
    agreement.report(TWO, Index(4), two)
    agreement.report(THREE, Index(4), three)
    return agreement.judge(Index(4), ONE, MEMBERS)


def test_the_majority_is_right() -> None:
    assert judged(5, 5, 5) == (ALL_AGREE, [])
    assert judged(5, 5, 6) == (AGREE, [(THREE, 6)])
    assert judged(6, 5, 5) == (WE_DIFFER, [(ONE, 6)])
    assert judged(5, 6, 7) == (NOBODY_KNOWS, [])


def test_a_word_about_a_state_that_was_replaced_meanwhile_ends_nobody() -> None:
    trio = Trio()
    leader = trio.leader()
    for number in range(8):
        trio.write(Put(b"key", b"%d" % number))
    trio.tick(3)
    member = next(member for member in MEMBERS if member != leader)
    replica = trio.replicas[member]
    index, digest = replica.checkpoint()
    assert digest is not None

    def told(said: int) -> str:
        message = Heal(leader, member, trio.replicas[leader].raft.boot, replica.raft.term, index, said)
        return whole_turn(replica, Events(now_ms=trio.now_ms, messages=[message])).failed

    assert told(digest + 1) == ""
    assert "not the majority's" in told(digest)
