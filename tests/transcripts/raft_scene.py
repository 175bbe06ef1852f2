"""The commands of raft transcripts: a few cores, a network that waits to be told, disks that are fast until told otherwise.

cluster n1 n2 n3           voters from birth            join n4            a member without any state
campaign n1                tick until it stands         tick n1 5          pass time on one member (10: it hears no leader)
deliver n1->n2 [1]         what is under way (the first only)              drop n1->n2 [1]
exchange n1 n2             deliver n1->n2, then n2->n1
deliver                    everything under way, once   settle             until nothing is under way
rounds 5                   five times: a heartbeat's time on every member, then settle
cut n2 / heal              whatever n2 sends or is sent is lost / no more
hang-up n1->n2             n2 is left without any connection with n1
disk n1 slow|done [1]|fast writes wait / the first are done / all are done and no more waiting
propose n1 x y             read n1 7                    transfer n1 n2
change n1 voters n1,n2 learners n3
snapshot n1 keep 2         crash n1                     rot n1             start n1
state [n1]                 one line for each member; the leader's view of its peers
quietly COMMAND            only roles, commits, reads and refusals are told
"""

import random
from collections.abc import Callable

from coordnode.errors import Refused
from coordnode.ids import NOBODY, Index, MemberId
from coordnode.raft.entry import Config
from coordnode.raft.messages import Message
from coordnode.raft.ready import Ready
from coordnode.raft.state import FOLLOWER, LEADER, ROLE_NAMES, Timing
from tests.transcripts.raft_words import config_words, message_words, name, progress_words, span, write_words
from tests.unit.raft.fake_disk import FakeDisk, first_snapshot
from tests.unit.raft.fake_member import FakeMember

SETTLE_ROUNDS_MAX = 100
TIMING = Timing()


class Patience(random.Random):
    """Everybody waits as long as they may before they stand, so that a story decides who does."""

    def randint(self, a: int, b: int) -> int:
        return b


class RaftScene:
    def __init__(self) -> None:
        self.members: dict[MemberId, FakeMember] = {}
        self.network: list[Message] = []
        self.cut_off: list[MemberId] = []
        self.slow: list[MemberId] = []
        self.told: dict[MemberId, str] = {}  # the last words about each member's role
        self.said: list[str] = []
        self.quiet = False

    def perform(self, command: str) -> list[str]:
        self.said = []
        word, *arguments = command.split()
        self.quiet = word == "quietly"
        if self.quiet:
            word, *arguments = arguments
        COMMANDS[word](self, *arguments)
        return self.said

    # --- telling ---------------------------------------------------------------------------------------------------

    def say(self, line: str, *, detail: bool = False) -> None:
        if not (detail and self.quiet):
            self.said.append(line)

    def tell(self, member: FakeMember, ready: Ready) -> None:
        raft = member.raft
        who = name(member.member)
        if ready.role_changed:
            if raft.role == FOLLOWER:
                words = f"{who} follows {name(raft.leader) if raft.leader else 'nobody'} in term {raft.term}"
            else:
                words = f"{who} is {ROLE_NAMES[raft.role]} in term {raft.term}"
            if self.told.get(member.member) != words:
                self.told[member.member] = words
                self.say(words)
        if ready.config is not None:
            self.say(f"{who} config: {config_words(ready.config)}")
        if ready.write is not None:
            self.say(f"{who} write {ready.write.write_id}: {write_words(ready.write)}", detail=True)
        if ready.restore is not None:
            self.say(f"{who} installs snapshot {ready.restore.index}")
        if ready.committed:
            self.say(f"{who} commits {span(ready.committed)}")
        for read, index in ready.reads:
            self.say(f"{who} read {read} may be served at {index}")
        for read in ready.reads_lost:
            self.say(f"{who} read {read} is lost with the lead")

    def send(self, member: FakeMember) -> None:
        for message in member.sent:
            lost = message.source in self.cut_off or message.target in self.cut_off or message.target not in self.members
            self.say(message_words(message) + ("  (lost)" if lost else ""), detail=True)
            if not lost:
                self.network.append(message)
        member.sent.clear()

    # --- turns -----------------------------------------------------------------------------------------------------

    def turn(self, member: FakeMember, *, messages: list[Message] | None = None, ticks: int = 0, finish_writes: int = 0) -> None:
        ready = member.turn(messages=messages or [], ticks=ticks, finish_writes=finish_writes)
        while True:
            self.tell(member, ready)
            self.send(member)
            if member.disk.writes and member.member not in self.slow:
                ready = member.turn(finish_writes=len(member.disk.writes))
            elif member.chunks_to_read or member.chunks_to_store:
                ready = member.turn(chunks=True)
            else:
                return

    def on(self, who: str) -> FakeMember:
        member = self.members[MemberId(int(who.removeprefix("n")))]
        assert member.running, f"{who} is not running"
        return member

    def ask(self, who: str, action: Callable[[FakeMember], object]) -> None:
        member = self.on(who)
        try:
            action(member)
        except Refused as error:
            self.say(f"{who} refuses: {error.sentence}")
        self.turn(member)

    # --- commands --------------------------------------------------------------------------------------------------

    def cluster(self, *who: str) -> None:
        voters = parse_members(",".join(who))
        for member in voters:
            self.members[member] = FakeMember(member, FakeDisk(first_snapshot(voters)), TIMING, Patience())
            self.members[member].carry_out()
        self.say(config_words(Config(voters=voters)))

    def join(self, who: str) -> None:
        member = MemberId(int(who.removeprefix("n")))
        self.members[member] = FakeMember(member, FakeDisk(None), TIMING, Patience())
        self.members[member].carry_out()

    def campaign(self, who: str) -> None:
        member = self.on(who)
        for _ in range(TIMING.election_ticks_max):
            self.turn(member, ticks=1)
            if member.raft.elapsed == 0:
                return

    def tick(self, who: str, count: str = "1") -> None:
        for _ in range(int(count)):
            self.turn(self.on(who), ticks=1)

    def take(self, link: str, count: str) -> list[Message]:
        """Removes from the network what is under way on a link, at most `count`."""
        source, target = (MemberId(int(end.removeprefix("n"))) for end in link.split("->"))
        found = [message for message in self.network if (message.source, message.target) == (source, target)][: int(count)]
        if not found:
            self.say(f"nothing is under way from {link.replace('->', ' to ')}")
        for message in found:
            self.network.remove(message)
        return found

    def deliver(self, link: str = "", count: str = "1000") -> None:
        if link:
            messages = self.take(link, count)
        else:
            messages, self.network = self.network, []
        for member in list(self.members.values()):
            mine = [message for message in messages if message.target == member.member]
            if mine and member.running:
                self.turn(member, messages=mine)

    def exchange(self, who: str, other: str) -> None:
        self.deliver(f"{who}->{other}")
        self.deliver(f"{other}->{who}")

    def drop(self, link: str, count: str = "1000") -> None:
        for message in self.take(link, count):
            self.say(f"lost: {message_words(message)}")

    def settle(self) -> None:
        for _ in range(SETTLE_ROUNDS_MAX):
            if not self.network:
                return
            self.deliver()
        raise AssertionError("the members do not stop talking")

    def rounds(self, count: str) -> None:
        for _ in range(int(count)):
            for member in self.members.values():
                if member.running:
                    self.turn(member, ticks=TIMING.heartbeat_ticks)
            self.settle()

    def cut(self, *who: str) -> None:
        self.cut_off = list(parse_members(",".join(who)))
        self.network = [message for message in self.network if not {message.source, message.target} & {*self.cut_off}]

    def heal(self) -> None:
        self.cut_off = []

    def hang_up(self, link: str) -> None:
        source, target = link.split("->")
        self.ask(target, lambda member: member.raft.on_peer_gone(parse_members(source)[0]))

    def disk(self, who: str, what: str, count: str = "1000") -> None:
        member = self.on(who)
        if what == "slow":
            self.slow.append(member.member)
            return
        if what == "fast":
            self.slow.remove(member.member)
        self.turn(member, finish_writes=int(count))

    def propose(self, who: str, *data: str) -> None:
        self.ask(who, lambda member: [member.raft.propose(each.encode()) for each in data])

    def read(self, who: str, *numbers: str) -> None:
        def read_all(member: FakeMember) -> None:
            for number in numbers:
                member.raft.read(int(number))

        self.ask(who, read_all)

    def transfer(self, who: str, target: str) -> None:
        self.ask(who, lambda member: member.raft.transfer(parse_members(target)[0]))

    def change(self, who: str, *words: str) -> None:
        named = dict(zip(words[::2], words[1::2], strict=True))
        config = Config(voters=parse_members(named["voters"]), learners=parse_members(named.get("learners", "")))
        self.ask(who, lambda member: member.raft.propose_config(config))

    def snapshot(self, who: str, _keep: str, entries: str) -> None:
        meta = self.on(who).snapshot(int(entries))
        assert meta is not None
        self.say(f"{who} snapshot {meta.index}; log begins after {self.on(who).raft.log.base_index}")

    def crash(self, who: str) -> None:
        lost = len(self.on(who).disk.writes)
        self.on(who).disk.writes.clear()
        self.on(who).crash(random.Random(1))
        self.say(f"{who} is gone{f', and {lost} writes with it' if lost else ''}")

    def rot(self, who: str) -> None:
        """The newest durable entries become unreadable while the member is down."""
        member = self.members[parse_members(who)[0]]
        assert not member.running
        lost = member.disk.records
        while not lost[-1].entries:
            lost.pop()
        self.say(f"{who} lost {span(lost[-1].entries)}")
        lost.pop()
        member.disk.mark_lost()

    def start(self, who: str) -> None:
        member = self.members[parse_members(who)[0]]
        member.start()
        self.slow = [slow for slow in self.slow if slow != member.member]
        self.told.pop(member.member, None)
        self.describe(member)
        self.turn(member)

    def state(self, who: str = "") -> None:
        for member in self.members.values():
            if member.running and who in ("", name(member.member)):
                self.describe(member)

    def describe(self, member: FakeMember) -> None:
        raft = member.raft
        lead = "" if raft.role != FOLLOWER or raft.leader == NOBODY else f" of {name(raft.leader)}"
        lost = " entries lost" if raft.lost_entries else ""
        log = raft.log
        durable = Index(max(raft.persisted, log.base_index))
        self.say(
            f"{name(member.member)} {ROLE_NAMES[raft.role]}{lead} boot {raft.boot} term {raft.term} "
            f"log {log.base_index + 1}..{log.last_index()}:t{log.last_term()} durable {durable} commit {raft.committed}{lost}"
        )
        if raft.role == LEADER:
            for peer, progress in raft.progress.items():
                self.say(f"   {progress_words(peer, progress)}")


def parse_members(text: str) -> tuple[MemberId, ...]:
    return tuple(MemberId(int(who.removeprefix("n"))) for who in text.split(",") if who)


WORDS = (
    *("cluster", "join", "campaign", "tick", "deliver", "exchange", "drop", "settle", "rounds", "cut", "heal", "disk"),
    *("propose", "read", "transfer", "change", "snapshot", "crash", "rot", "start", "state"),
)
COMMANDS: dict[str, Callable[..., None]] = {word: getattr(RaftScene, word) for word in WORDS} | {"hang-up": RaftScene.hang_up}
