"""A seeded life of a machine: sessions, puts, transactions, retries and ends, mixed."""

import random
from collections.abc import Callable, Iterator
from collections.abc import Sequence as SequenceOf

from coordnode.ids import Sequence, SessionId, Term, Token
from coordnode.services.commands import (
    EQUAL,
    EXCLUSIVE,
    SEMAPHORE,
    SHARED,
    VERSION,
    AckTask,
    Acquire,
    AddCounter,
    AddToken,
    AppendRecords,
    BreakLock,
    Campaign,
    Checkpoint,
    CloseSession,
    Command,
    Compare,
    ConfigureAssignment,
    ConfigureJournal,
    ConfigureQueue,
    CreateAssignment,
    Delete,
    DeleteAssignment,
    DeleteCounter,
    DeleteJournal,
    DeleteQueue,
    DeleteRange,
    Depose,
    EnterBarrier,
    Expire,
    ExtendTask,
    Get,
    Grant,
    JoinGroup,
    LeaveBarrier,
    LeaveGroup,
    NackTask,
    OpenSession,
    Operation,
    Proclaim,
    PurgeTasks,
    Put,
    PutTask,
    QueueSettings,
    RedriveTasks,
    Release,
    ReleaseShard,
    RemoveRole,
    RemoveToken,
    RemoveUser,
    Resign,
    SetRole,
    SetUser,
    StopTaking,
    TakeTasks,
    Transaction,
    TrimJournal,
    UpdateMember,
    Wake,
    Withdraw,
)
from coordnode.services.commands.records import pack_sizes
from coordnode.services.machine import TOKEN_SECONDS_SHIFT

from .driven import CREATED_UNIX_S, alone


class Life:
    def __init__(self, seed: int, keys: int = 40, others: "SequenceOf[Callable[[Life], Operation]] | None" = None) -> None:
        self.chance = random.Random(seed)
        self.keys = keys
        self.others = OTHERS if others is None else others
        self.sequences: dict[int, int] = {}  # session -> the last sequence used
        self.sent: list[Command] = []
        self.opened = 0

    def key(self) -> bytes:
        return b"key-%d" % self.chance.randrange(self.keys)

    def request_id(self) -> str:
        return self.chance.choice(["", f"request {self.chance.randrange(60)}"])

    def put(self) -> Put:
        return Put(self.key(), self.chance.randbytes(self.chance.randrange(30)), self.chance.random() < 0.2)

    def step(self) -> Put | Delete | Get:
        return self.chance.choice([self.put(), self.put(), Delete(self.key()), Get(self.key())])

    def operation(self) -> Operation:
        chance = self.chance
        dice = chance.random()
        if dice < 0.5:
            return self.put()
        if dice < 0.65:
            return Delete(self.key())
        if dice < 0.7:
            return DeleteRange(self.key(), self.key(), chance.randrange(1, 5))
        if dice < 0.75:
            return Get(self.key())
        if dice < 0.85 and self.others:
            return chance.choice(self.others)(self)
        compares = [Compare(self.key(), VERSION, EQUAL, chance.randrange(2)) for _ in range(chance.randrange(2))]
        steps = [[self.step() for _ in range(chance.randrange(4))] for _ in range(2)]
        return Transaction(compares, *steps)

    def leaders(self) -> Operation:
        """What only a leader says."""
        sessions = [SessionId(self.chance.randrange(1, self.opened + 2)) for _ in range(self.chance.randrange(3))]
        checkpoint = Checkpoint([(session, self.chance.randrange(9000)) for session in sessions])
        return self.chance.choice([Wake(), Withdraw(sessions), checkpoint, Expire(Term(1), sessions[:1])])

    def command(self) -> Command:
        chance = self.chance
        dice = chance.random()
        if dice < 0.12:
            self.opened += 1
            first = chance.choice(
                [None, self.put(), Delete(self.key()), *([Acquire(b"lock-1"), Campaign(b"election-1")] if self.others else [])]
            )
            parent = SessionId(chance.choice([0, 0, chance.randrange(self.opened)]) if self.others else 0)
            self.sequences[self.opened] = 1
            user = chance.choice(["", "ann"]) if self.others else ""
            opening = OpenSession(b"nonce-%d" % self.opened, chance.randrange(1000, 9000), f"owner {self.opened}", first, parent, user)
            return alone(opening, self.request_id())
        if dice < 0.2 and self.sent:
            again = chance.choice(self.sent[-40:])  # a retry, be it old
            return alone(again.operation, self.request_id()) if isinstance(again.operation, OpenSession) else again
        if dice < 0.25:
            return alone(self.leaders())
        if dice < 0.28 and self.opened:
            return alone(CloseSession(SessionId(chance.randrange(1, self.opened + 1))))
        if dice < 0.35 or not self.sequences:
            return alone(self.operation(), self.request_id())
        session = chance.choice(list(self.sequences)[-6:])
        self.sequences[session] += chance.choice([1, 1, 1, 2])
        sequence = self.sequences[session]
        lowest_open = max(0, sequence - chance.randrange(8))
        return Command(SessionId(session), Sequence(sequence), Sequence(lowest_open), "", self.operation())

    def batches(self, count: int) -> Iterator[list[Command]]:
        for _ in range(count):
            batch = []
            for _ in range(self.chance.randrange(12)):
                batch.append(self.command())
                self.sent.append(batch[-1])
            yield batch


def counter(life: Life) -> Operation:
    return life.chance.choice([AddCounter(life.key(), life.chance.randrange(-9, 9)), DeleteCounter(life.key())])


def group(life: Life) -> Operation:
    name, member = b"group-%d" % life.chance.randrange(2), b"m%d" % life.chance.randrange(4)
    data, labels = life.chance.randbytes(life.chance.randrange(9)), (("k", str(life.chance.randrange(3))),)
    join = JoinGroup(name, life.chance.choice([member, b""]), data, labels, life.chance.randrange(4))
    update = UpdateMember(name, member, data, life.chance.choice([labels, None]), life.chance.randrange(4))
    return life.chance.choice([join, join, update, LeaveGroup(name, member)])


def lock(life: Life) -> Operation:
    chance = life.chance
    name = b"lock-%d" % chance.randrange(4)
    number = Token((CREATED_UNIX_S << TOKEN_SECONDS_SHIFT) + chance.randrange(60))
    kind = chance.choice([EXCLUSIVE, SHARED])
    reentrant, wait, delay_ms = chance.random() < 0.3, chance.random() < 0.7, chance.choice([0, 50])
    acquire = Acquire(name, kind, 1, 0, wait, reentrant, delay_ms, "note")
    permits = Acquire(b"permits", SEMAPHORE, chance.randrange(1, 4), 3, wait, reentrant, delay_ms)
    broken = BreakLock(name, chance.choice([Token(0), number]), "why", "me")
    return chance.choice([acquire, acquire, permits, Release(name, number), Release(b"permits", number), broken])


def election(life: Life) -> Operation:
    chance = life.chance
    name = b"election-%d" % chance.randrange(3)
    number = Token((CREATED_UNIX_S << TOKEN_SECONDS_SHIFT) + chance.randrange(60))
    label = chance.choice(["", "a", "b"])
    campaign = Campaign(name, chance.randbytes(5), label, chance.random() < 0.8)
    return chance.choice([campaign, campaign, Proclaim(name, number, b"new"), Resign(name, number, label), Depose(name, Token(0), label)])


def assignment(life: Life) -> Operation:
    """Over the groups of `group`; tokens are guessed, and mostly not those that are out."""
    name, group_name = b"jobs-%d" % life.chance.randrange(3), b"group-%d" % life.chance.randrange(2)
    create = CreateAssignment(name, group_name, life.chance.randrange(1, 6), life.chance.randrange(20_000, 60_000))
    configure = ConfigureAssignment(name, life.chance.randrange(1, 6), life.chance.choice([None, 30_000]))
    release = ReleaseShard(name, life.chance.randrange(5), Token((CREATED_UNIX_S << 20) + life.chance.randrange(60)))
    return life.chance.choice([create, create, configure, release, release, DeleteAssignment(name)])


def queue(life: Life) -> Operation:
    """Tokens are drawn near those that were granted last."""
    chance = life.chance
    name = b"queue-%d" % chance.randrange(2)
    token = Token((CREATED_UNIX_S << TOKEN_SECONDS_SHIFT) + chance.randrange(1 + len(life.sent) // 2))
    settings = QueueSettings(
        1_000, chance.randrange(3), chance.randrange(900), 1_000, 3, chance.randrange(2, 9), 200, chance.randrange(2_000)
    )
    key = chance.choice([b"", b"once-%d" % chance.randrange(5)])
    put = PutTask(name, chance.randbytes(chance.randrange(40)), chance.randrange(-2, 3), chance.choice([0, 0, 700]), key)
    take = TakeTasks(name, chance.randrange(1, 4), chance.random() < 0.7, chance.random() < 0.3)
    held = [AckTask(name, token), NackTask(name, token, -1, "no", chance.random() < 0.8), ExtendTask(name, token), StopTaking(name, token)]
    rare = [ConfigureQueue(name, settings), RedriveTasks(name, 0, 2), PurgeTasks(name, chance.random() < 0.5, 1), DeleteQueue(name)]
    return chance.choice([put, put, put, take, take, *held, chance.choice(rare)])


def barrier(life: Life) -> Operation:
    name = b"barrier-%d" % life.chance.randrange(3)
    enter, leave = EnterBarrier(name, life.chance.randrange(1, 4)), LeaveBarrier(name, life.chance.random() < 0.5)
    return life.chance.choice([enter, enter, leave])


def journal(life: Life) -> Operation:
    chance = life.chance
    name = b"journal-%d" % chance.randrange(2)
    records = [chance.randbytes(chance.choice([9, 9, 40])) for _ in range(chance.randrange(1, 20))]
    append = AppendRecords(name, len(records), b"".join(records), pack_sizes(records))
    others = [TrimJournal(name, chance.randrange(200)), ConfigureJournal(name, chance.choice([4_096, 9_000])), DeleteJournal(name)]
    return chance.choice([append, append, append, append, *others])


def auth(life: Life) -> Operation:
    chance = life.chance
    by = chance.choice(["cert:operator", "token:ann", "unproven:me"])
    signed = ("why", by, "10.0.0.7:40000")
    role, user = f"role-{chance.randrange(3)}", f"user-{chance.randrange(3)}"
    digest = bytes([chance.randrange(5)]) * 32
    grants = (Grant(chance.randrange(10), chance.randrange(3)), Grant(0, 1, chance.randbytes(3)))
    roles = (role,) if chance.random() < 0.6 else ("admin", role)
    changes = [SetRole(role, grants, *signed), SetUser(user, roles, *signed), AddToken(user, digest, "note", *signed)]
    removals = [RemoveRole(role, chance.random() < 0.5, *signed), RemoveUser(user, *signed), RemoveToken(digest, *signed)]
    return chance.choice([*changes, *changes, *removals])


OTHERS: SequenceOf[Callable[[Life], Operation]] = (counter, group, lock, election, assignment, queue, barrier, journal, auth)
"""One for each service but kv and sessions: some operation of it, whatever its state."""


SMALL = {"dedupe_entries_max": 6, "dedupe_bytes_max": 400, "request_ids_max": 20, "history_count_max": 60, "session_keys_max": 4}
"""Bounds that a short life reaches."""
SMALL |= {"history_group_count_max": 5, "state_bytes_max": 40_000, "history_bytes_max": 4000}
