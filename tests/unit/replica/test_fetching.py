"""Reads whose bytes lie in files: what is answered, what is not, and what a leader does about rot."""

from coordnode.errors import NotLeader, NotReady, Overloaded, Rotten
from coordnode.ids import MemberId, Sequence, SessionId
from coordnode.limits import BLOBS_UNWRITTEN_BYTES_MAX, FETCHES_MAX
from coordnode.raft.messages import TakeOver
from coordnode.replica.effects import Effects, RecordsWanted
from coordnode.replica.events import BlobsWritten, RecordsFound
from coordnode.services.commands import AppendRecords, Command, ReadRecords, RecordsAppended, RecordsRead, decode_result, encode
from coordnode.services.dialogue import ErrorReply, ReadAsk, Reply, WriteAsk
from tests.unit.replica.trio import MEMBERS, Trio


class Reading(Trio):
    def __init__(self) -> None:
        super().__init__(level=3)
        self.wanted: list[RecordsWanted] = []
        self.stored: dict[MemberId, int] = dict.fromkeys(MEMBERS, 0)
        self.taken_over: list[TakeOver] = []

    def turn(self, member: MemberId, **what: object) -> Effects:
        effects = super().turn(member, **what)  # type: ignore[arg-type]
        self.wanted += effects.read_records
        self.stored[member] += len(effects.store_blobs)
        self.taken_over += [message for message in effects.send_now if isinstance(message, TakeOver)]
        return effects

    def appended(self) -> MemberId:
        assert self.result(AppendRecords(b"audit", 2, b"abcd")) == RecordsAppended(1, 0, 2)
        return self.leader()

    def read(self, leader: MemberId, offset: int = 1) -> int:
        request = self.ask(leader, ReadAsk, encode(ReadRecords(b"audit", offset)))
        self.settle()
        return request

    def found(self, leader: MemberId, frames: bytes = b"", problem: str = "", *, is_rotten: bool = False) -> None:
        self.inbox[leader].records_found.append(RecordsFound(self.wanted[-1].number, frames, problem, is_rotten))
        self.settle(1)

    def error(self, request: int) -> int:
        answer = self.answer(request)
        assert isinstance(answer, ErrorReply), answer
        return answer.code


def test_a_read_is_answered_once_the_files_gave_the_bytes_and_every_member_was_told_to_write_them() -> None:
    trio = Reading()
    leader = trio.appended()
    trio.tick(3)
    assert list(trio.stored.values()) == [1, 1, 1]
    request = trio.read(leader)
    assert (1, request) not in trio.answers
    (wanted,) = trio.wanted
    assert (wanted.offset, wanted.blob.size) == (1, 32)
    trio.found(leader, b"frames")
    answer = trio.answer(request)
    assert isinstance(answer, Reply)
    assert decode_result(answer.result) == RecordsRead(1, 0, 2, b"frames")
    at_the_end = trio.read(leader, 2)
    assert isinstance(trio.answer(at_the_end), Reply)
    assert len(trio.wanted) == 1, "nothing is read where nothing is"


def test_no_more_reads_wait_for_the_disk_than_the_bound() -> None:
    trio = Reading()
    leader = trio.appended()
    requests = [trio.ask(leader, ReadAsk, encode(ReadRecords(b"audit", 0))) for _ in range(FETCHES_MAX + 1)]
    trio.settle()
    assert len(trio.wanted) == FETCHES_MAX
    assert trio.error(requests[-1]) == Overloaded.code


def test_who_is_deposed_answers_nothing_that_comes_later() -> None:
    trio = Reading()
    leader = trio.appended()
    request = trio.read(leader)
    trio.cut = [leader]
    trio.leader()
    trio.cut = []
    trio.tick(4)
    assert trio.error(request) == NotLeader.code
    trio.found(leader, b"frames")
    assert len(trio.answers[1, request]) == 1


def test_what_could_not_be_written_yet_is_asked_for_again() -> None:
    trio = Reading()
    leader = trio.appended()
    request = trio.read(leader)
    trio.found(leader, problem="no space left")
    assert trio.error(request) == NotReady.code
    assert not trio.failed


def test_nothing_more_is_applied_while_the_disk_is_too_far_behind() -> None:
    trio = Reading()
    leader = trio.leader()
    replica = trio.replicas[leader]
    data = bytes(1_000_000)
    for _ in range(BLOBS_UNWRITTEN_BYTES_MAX // len(data) + 1):
        body = encode(Command(SessionId(0), Sequence(0), Sequence(0), "", AppendRecords(b"audit", 1, data)))
        trio.ask(leader, WriteAsk, body)
        trio.settle()
    behind = trio.ask(leader, WriteAsk, encode(Command(SessionId(0), Sequence(0), Sequence(0), "", AppendRecords(b"audit", 1, b"x"))))
    trio.settle()
    assert (1, behind) not in trio.answers
    assert replica.raft.committed > replica.applied
    trio.inbox[leader].blobs_written = BlobsWritten(len(data))
    trio.settle()
    assert isinstance(trio.answer(behind), Reply)
    assert replica.raft.committed == replica.applied


def test_a_leader_gives_up_its_state_only_while_all_others_have_everything() -> None:
    trio = Reading()
    leader = trio.appended()
    trio.tick(3)
    behind = next(member for member in MEMBERS if member != leader)
    trio.cut = [behind]
    trio.result(AppendRecords(b"audit", 1, b"e"))
    request = trio.read(leader)
    trio.found(leader, problem="rot in journals/1.blob", is_rotten=True)
    assert trio.error(request) == NotReady.code
    assert not trio.failed, "one of the others may have to regain its state just now"
    assert trio.taken_over, "whoever has everything shall lead instead"
    assert {message.target for message in trio.taken_over}.isdisjoint({behind, leader})
    trio.cut = []
    trio.tick(30)
    leader = trio.leader()
    trio.tick(3)
    trio.read(leader)
    trio.found(leader, problem="rot in journals/1.blob", is_rotten=True)
    assert not trio.failed, "another one leads first"
    trio.settle()
    assert trio.failed == {leader: "rot in journals/1.blob; all other voters have everything"}
    assert Rotten.code not in [getattr(answer, "code", 0) for answers in trio.answers.values() for answer in answers]
