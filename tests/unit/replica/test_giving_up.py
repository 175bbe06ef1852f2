"""Who gives its state up, to regain it from the others: only where they can go on without it, and never while it leads."""

from coordnode.ids import Index, MemberId
from coordnode.raft.messages import DigestReport, Heal, Message
from coordnode.raft.state import LEADER
from coordnode.replica.events import RecordsFound
from coordnode.services.commands import Put
from tests.unit.replica.trio import MEMBERS, Trio

LONG_TICKS = 120


class Differing(Trio):
    def __init__(self) -> None:
        super().__init__()
        self.healed: list[MemberId] = []
        self.first = self.leader()
        self.second, self.third = (member for member in MEMBERS if member != self.first)
        for number in range(8):
            self.write(Put(b"key", b"%d" % number))
        self.tick(5)

    def _send(self, source: MemberId, messages: list[Message]) -> None:
        self.healed += [message.target for message in messages if isinstance(message, Heal)]
        super()._send(source, messages)

    def finds_rot(self) -> None:
        self.inbox[self.first].records_found.append(RecordsFound(1, b"", "rot in journals/1.blob", True))
        self.turn(self.first)

    def says_otherwise(self, *members: MemberId) -> Index:
        """They report another state than that of the first."""
        raft = self.replicas[self.first].raft
        index, digest = self.replicas[self.first].checkpoint()
        assert digest is not None
        said = [DigestReport(member, self.first, 1, raft.term, index, digest + 1) for member in members]
        self.inbox[self.first].messages += said
        self.turn(self.first)
        return index

    def leads(self, member: MemberId) -> bool:
        return self.replicas[member].raft.role == LEADER


def test_a_leader_with_rot_keeps_its_state_while_another_voter_is_dead_whatever_that_one_once_had() -> None:
    trio = Differing()
    trio.cut = [trio.third]
    trio.tick(LONG_TICKS)  # nothing is written: the dead one has everything
    trio.finds_rot()
    trio.tick(LONG_TICKS)
    assert not trio.failed, "the other one alone could elect nobody"
    assert trio.leads(trio.second), "whoever is there and whole leads instead"


def test_a_leader_with_rot_hands_over_before_it_gives_its_state_up_and_then_says_nothing_more() -> None:
    trio = Differing()
    trio.finds_rot()
    assert not trio.failed
    while not trio.failed:
        trio.settle(1)
        assert trio.now_ms < 10_000
    assert list(trio.failed) == [trio.first]
    assert not trio.leads(trio.first)
    new = next(member for member in (trio.second, trio.third) if trio.leads(member))
    assert trio.replicas[new].raft.progress[trio.first].match == 0, "so the new leader cannot take it for whole"


def test_what_was_to_be_given_up_is_kept_when_nobody_took_over_in_time() -> None:
    trio = Differing()
    trio.lost = (Message,)  # type: ignore[assignment]
    trio.finds_rot()
    trio.lost = ()
    trio.cut = [trio.first]
    trio.tick(LONG_TICKS)
    trio.cut = []
    trio.tick(LONG_TICKS)
    assert not trio.failed, "since then anybody may have died"


def test_a_leader_that_is_in_the_minority_ends_to_lead_at_once_and_keeps_its_state_while_a_voter_is_dead() -> None:
    trio = Differing()
    trio.cut = [trio.third]
    trio.tick(LONG_TICKS)
    trio.says_otherwise(trio.second, trio.third)
    assert not trio.failed
    assert not trio.leads(trio.first)
    trio.tick(LONG_TICKS)
    assert not trio.failed
    assert trio.leads(trio.second)


def test_a_leader_that_is_in_the_minority_gives_up_once_another_one_leads() -> None:
    trio = Differing()
    index = trio.says_otherwise(trio.second, trio.third)
    assert not trio.leads(trio.first)
    assert not trio.failed
    trio.tick(LONG_TICKS)
    assert trio.failed == {trio.first: f"our state at index {index} is not the majority's"}


def test_who_is_in_the_minority_is_told_so_only_while_the_others_can_go_on_without_it() -> None:
    trio = Differing()
    trio.cut = [trio.third]
    trio.tick(LONG_TICKS)
    trio.says_otherwise(trio.second)
    assert not trio.healed
    trio.cut = []
    trio.tick(5)
    trio.says_otherwise(trio.second)
    assert {*trio.healed} == {trio.second}
