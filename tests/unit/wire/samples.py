"""One of everything that travels, for the tests of the wire and for the fuzzer's seeds."""

from coordnode.ids import ClusterId, Index, MemberId, Revision, Sequence, SessionId, Term, Token
from coordnode.raft import messages as raft
from coordnode.raft.entry import BATCH, CONFIG, Config, Entry, SnapshotMeta, encode_config
from coordnode.services import commands as c
from coordnode.services import dialogue as d
from coordnode.wire.hello import Hello

A, B = MemberId(2**52 + 1), MemberId(7)
CONFIG_OF_THREE = Config((B, MemberId(8), A), (), (MemberId(9),), ((B, "10.0.0.1:4000"), (A, "[::1]:4000")))
META = SnapshotMeta(Index(70), Term(3), B, 2**63 + 5, CONFIG_OF_THREE, Index(4))
COMPARE = c.Compare(b"k", c.VALUE, c.EQUAL, 0, b"old")
TRANSACTION = c.Transaction([COMPARE], [c.Put(b"k", b"new", True), c.Get(b"k")], [c.Delete(b"k")])
ITEM = c.Item(b"k", b"v", Revision(3), Revision(5), 2, SessionId(99))

OPERATIONS: list[c.ClientOperation] = [
    c.Put(b"key", b"value"),
    c.Delete(b"key"),
    c.DeleteRange(b"a", b"b", 7),
    TRANSACTION,
    c.OpenSession(b"0123456789abcdef", 10_000, "me", c.Put(b"k", b"v", True)),
    c.CloseSession(SessionId(99)),
    c.Get(b"key"),
    c.Range(b"a", b"", 10, True),
    c.AddCounter(b"visits", -3),
    c.DeleteCounter(b"visits"),
    c.JoinGroup(b"web", b"web1", b"10.0.0.1:80", (("rack", "b"), ("zone", "eu")), 3),
    c.UpdateMember(b"web", b"web1", None, (("zone", "us"),), 0),
    c.LeaveGroup(b"web", b"web1"),
    c.Acquire(b"nightly", c.SEMAPHORE, 2, 5, False, True, 1_500, "the night's run"),
    c.OpenSession(b"0123456789abcdeg", 10_000, "me", c.Acquire(b"nightly"), SessionId(98)),
    c.OpenSession(b"0123456789abcdeh", 10_000, "me", c.Campaign(b"primary")),
    c.Release(b"nightly", Token(2**50)),
    c.BreakLock(b"nightly", Token(0), "host retired", "ann"),
    c.Campaign(b"primary", b"10.0.0.1:80", "web1", False),
    c.Proclaim(b"primary", Token(2**50), b"10.0.0.1:81"),
    c.Resign(b"primary", Token(2**50), "web2"),
    c.Depose(b"primary", Token(0), "web2", "upgrade", "ann"),
    c.CreateAssignment(b"jobs", b"web", 16, 5_000),
    c.ConfigureAssignment(b"jobs", None, 6_000),
    c.DeleteAssignment(b"jobs"),
    c.ReleaseShard(b"jobs", 3, Token(2**51)),
    c.ConfigureQueue(b"mail", c.QueueSettings(5_000, 3)),
    c.PutTask(b"mail", b"to: you", -1, 2_000, b"letter 7", Token(2**52)),
    c.TakeTasks(b"mail", 8, True, True, 9_000),
    c.StopTaking(b"mail", 2**52),
    c.ExtendTask(b"mail", Token(2**52), 9_000),
    c.AckTask(b"mail", Token(2**52)),
    c.NackTask(b"mail", Token(2**52), 500, "no such street", False),
    c.RedriveTasks(b"mail", 2**51, 7),
    c.PurgeTasks(b"mail", True, 7),
    c.DeleteQueue(b"mail"),
    c.EnterBarrier(b"step", 3),
    c.LeaveBarrier(b"step", True),
    c.AppendRecords(b"audit", 2, b"onethree", b"\3\0\0\0\5\0\0\0"),
    c.TrimJournal(b"audit", 2**52),
    c.ConfigureJournal(b"audit", 1_000_000),
    c.DeleteJournal(b"audit"),
    c.SetRole("app", (c.Grant(0, 1, b"app/"), c.Grant(1, 2)), "new team", "token:ann", "10.0.0.7:40000"),
    c.RemoveRole("app", True, "over"),
    c.SetUser("ann", ("app", "admin"), "joined"),
    c.RemoveUser("ann", "left"),
    c.AddToken("ann", bytes(range(32)), "laptop", "joined"),
    c.RemoveToken(bytes(range(32)), "lost"),
]
COMMANDS = [c.encode(c.ClientCommand(SessionId(99), Sequence(5), Sequence(3), "", operation)) for operation in OPERATIONS]
READS: list[bytes] = [c.encode(c.Get(b"key")), c.encode(c.Range(b"a", b"z")), c.encode(c.ReadSessions(SessionId(9), 5)), c.encode(None)]
READS += [c.encode(c.GetCounter(b"visits")), c.encode(c.ListCounters(b"v", b"vi", 5))]
READS += [c.encode(c.GetGroup(b"web")), c.encode(c.ListGroups(b"w", b"we", 5))]
READS += [c.encode(c.FindMembers(b"w", [c.Require("zone", c.IS, "eu"), c.Require("old", c.HAS_NOT)], b"web", b"web1", 5))]
READS += [c.encode(c.GetBarrier(b"step", SessionId(9), 5)), c.encode(c.ListBarriers(b"s", b"st", 5))]
BARRIER = c.BarrierInfo(b"step", Token(2**51), 3, 2, Revision(0))
READS += [c.encode(c.GetAssignment(b"jobs")), c.encode(c.ListAssignments(b"j", b"jo", 5))]
MEMBER = c.Member(b"web1", SessionId(99), b"10.0.0.1:80", (("zone", "eu"),), 3, Revision(7))
READS += [c.encode(c.ReadLock(b"nightly", Token(1), Token(2), 3)), c.encode(c.ListLocks(b"n", b"ni", 5))]
READS += [c.encode(c.ReadHeldLocks(SessionId(99), b"a", Token(7), 5)), c.encode(c.ReadElection(b"primary", Token(4), 5))]
READS += [c.encode(c.ListElections(b"p", b"pr", 5)), c.encode(c.ReadCandidacies(SessionId(99), b"a", Token(7), 5))]

HOLDER = c.LockHolder(Token(7), SessionId(99), "me@web1", c.SEMAPHORE, 2, 1, "note", 1_790_000_000_000, 1_500, 0)
LOCK = c.LockInfo(b"nightly", c.SEMAPHORE, 5, 2, 1, 1, HOLDER)
LOCK_WAITER = c.LockWaiter(Token(8), SessionId(100), "you@web2", c.SEMAPHORE, 4, "", 1_790_000_000_000, 900)
LEADER = c.Leader(Token(7), SessionId(99), "me@web1", "web1", b"10.0.0.1:80", 1_790_000_000_000, 1_500)
CANDIDATE = c.Candidate(Token(8), SessionId(100), "you@web2", "web2", b"10.0.0.2:80", 1_790_000_000_000, 900)
ELECTION = c.ElectionInfo(b"primary", LEADER, 1)
READS += [c.encode(c.GetQueue(b"mail")), c.encode(c.ListQueues(b"m", b"ma", 5))]
READS += [c.encode(c.ListTasks(b"mail", c.DEAD, b"\4\0", 5)), c.encode(c.GetTask(b"mail", 2**51))]
READS += [c.encode(c.ReadRecords(b"audit", 2**52, 5, 1_000)), c.encode(c.GetJournal(b"audit"))]
READS += [c.encode(c.ListJournals(b"a", b"au", 5))]
READS += [c.encode(c.ListRoles("a", 5)), c.encode(c.ListUsers("a", 5)), c.encode(c.ListTokens(b"a", 5)), c.encode(c.ReadAudit(7, 5))]
AUDIT = c.AuditRecord(8, 2**40, 1_790_000_000_000, "token:ann", "10.0.0.7:4", "role app", "", "kv:use", "new", b"p" * 32, b"c" * 32)
JOURNAL = c.JournalInfo(b"audit", 1_000_000, 7, 2**52, 900_000)
QUEUE = c.QueueInfo(b"mail", c.QueueSettings(), 1, 2, 3, 4, 5, 6_000)
TAKEN = c.TakenTask(2**51, Token(2**52), b"to: you", 2, -1)
TASK = c.TaskInfo(2**51, c.TAKEN, -1, 2, 7, 1_500, 800, Token(2**52), SessionId(99), c.NACKED, "no such street", b"letter 7")
RESULTS: list[c.Result] = [
    c.Done(Revision(9)),
    c.Got(Revision(9), ITEM),
    c.Got(Revision(9), None),
    c.Page(Revision(9), [ITEM, ITEM], True),
    c.TransactionDone(Revision(9), True, [c.Done(Revision(9)), c.Got(Revision(9), ITEM)]),
    c.SessionOpened(SessionId(99), 10_000, Revision(9), c.Done(Revision(9))),
    c.Failure(20, "the session is over"),
    c.SessionPage(Revision(9), [c.SessionInfo(SessionId(99), 10_000, "me", 1_500, 2)], True),
    c.CounterValue(Revision(9), -3),
    c.CounterPage(Revision(9), [c.CounterInfo(b"visits", -3)], False),
    c.GroupChanged(Revision(9), Revision(8), b"web1"),
    c.GroupView(Revision(9), Revision(8), [MEMBER]),
    c.GroupPage(Revision(9), [c.GroupInfo(b"web", Revision(8), 1)], False),
    c.MemberPage(Revision(9), [c.FoundMember(b"web", MEMBER)], True, b"web", b"web1"),
    c.AssignmentView(Revision(9), b"web", 16, 5_000, [c.OwnedShard(3, b"web1", SessionId(99), Token(2**51), 400)]),
    c.AssignmentPage(Revision(9), [c.AssignmentInfo(b"jobs", b"web", 16, 12, 3)], False),
    c.BarrierChanged(Revision(9), BARRIER, True),
    c.BarrierView(Revision(9), BARRIER, [(SessionId(99), "me")], True),
    c.BarrierView(Revision(9), None, [], False),
    c.BarrierPage(Revision(9), [BARRIER], False),
    c.LockGranted(Revision(9), Token(7), 2),
    c.LockQueued(Revision(9), Token(8), 3, LOCK),
    c.LockBusy(Revision(9), LOCK),
    c.LockReleased(Revision(9), c.STILL_HELD, Token(7), 1),
    c.LockView(Revision(9), LOCK, [HOLDER], False, [LOCK_WAITER], True),
    c.LockView(Revision(9), None, [], False, [], False),
    c.LockPage(Revision(9), [LOCK, c.LockInfo(b"idle", c.SHARED, 0, 0, 0, 1, None)], True),
    c.HeldLocks(Revision(9), [c.HeldLock(b"nightly", Token(7), Token(6), 2)], False),
    c.SessionOpened(SessionId(99), 10_000, Revision(9), c.LockQueued(Revision(9), Token(8), 3, LOCK)),
    c.Elected(Revision(9), Token(7)),
    c.CandidateQueued(Revision(9), Token(8), 0, LEADER),
    c.LedAlready(Revision(9), LEADER),
    c.Resigned(Revision(9), Token(7)),
    c.ElectionView(Revision(9), ELECTION, [CANDIDATE], False),
    c.ElectionPage(Revision(9), [ELECTION], False),
    c.Candidacies(Revision(9), [c.Candidacy(b"primary", Token(0), Token(8))], True),
    c.TaskPut(Revision(9), 2**51, False),
    c.TasksTaken(Revision(9), [TAKEN, c.TakenTask(2**51 + 1, Token(2**52 + 1), None, 1, 0)], 5_000, 2**52 + 2),
    c.TaskExtended(Revision(9), 5_000),
    c.TaskReturned(Revision(9), c.DELAYED, 1_000),
    c.QueueView(Revision(9), QUEUE, 1_500),
    c.QueuePage(Revision(9), [QUEUE], True),
    c.TaskPage(Revision(9), [TASK], True, b"\3\0"),
    c.TaskView(Revision(9), TASK, b"to: you"),
    c.RecordsAppended(Revision(9), 7, 9),
    c.JournalView(Revision(9), JOURNAL),
    c.JournalPage(Revision(9), [JOURNAL], True),
    c.RecordsRead(Revision(9), 7, 9, b"frames"),
    c.RolePage(Revision(9), [c.RoleInfo("app", (c.Grant(0, 1, b"app/"),))], True),
    c.UserPage(Revision(9), [c.UserInfo("ann", ("app",), 2)], False),
    c.TokenPage(Revision(9), [c.TokenInfo(bytes(range(32)), "ann", "laptop", 1_790_000_000_000)], False),
    c.AuditPage(Revision(9), [AUDIT], True),
]
NOTICES: list[c.Notice] = [
    c.LockGiven(b"nightly", Token(6), Token(7)),
    c.LockTaken(b"nightly", Token(7), "host retired", "ann"),
    c.LeadershipGiven(b"primary", Token(6), Token(7)),
    c.LeadershipTaken(b"primary", Token(7), "upgrade", "ann"),
    c.AssignmentChanged(b"jobs", [c.ShardChange(3, c.ASSIGNED, b"web1", SessionId(99), Token(2**51))]),
    c.TasksGiven(b"mail", 2**52 + 2, [TAKEN], 5_000),
    c.TaskLost(b"mail", 2**51, Token(2**52)),
]
BATCH_BYTES = c.splice_batch(1_000_000, 1_790_000_000_000, COMMANDS)
CHANGE = c.Change(Revision(5), [c.Event(c.PUT_EVENT, b"k", b"v", 2), c.Event(c.DELETE_EVENT, b"l", b"", 3, SessionId(99))])

ENTRIES = [Entry(Term(2), Index(8), BATCH, BATCH_BYTES), Entry(Term(3), Index(9), CONFIG, encode_config(CONFIG_OF_THREE))]
MESSAGES: list[raft.Message] = [
    raft.VoteAsk(A, B, 1, Term(4), Index(9), Term(3), True, False),
    raft.VoteReply(B, A, 1, Term(4), True, False, True),
    raft.Append(A, B, 1, Term(4), Index(7), Term(2), Index(6), 12, ENTRIES),
    raft.AppendReply(B, A, 1, Term(4), False, Index(7), Index(-1), Term(2), 12, True, 1),
    raft.Heartbeat(A, B, 1, Term(4), Index(6), 13, True),
    raft.HeartbeatReply(B, A, 1, Term(4), 13, True, 1),
    raft.Chunk(A, B, 1, Term(4), META, 3, False, b"slice" * 100),
    raft.ChunkReply(B, A, 1, Term(4), Index(70), 4, False, Index(0)),
    raft.TakeOver(A, B, 1, Term(4)),
    raft.ConfirmAsk(B, A, 2, Term(4)),
    raft.ConfirmReply(A, B, 1, Term(4), Index(9), 2),
    raft.DigestReport(B, A, 1, Term(4), Index(64), 2**64 - 1),
    raft.Heal(A, B, 1, Term(4), Index(64), 2**64 - 1),
]
ASKS: list[d.Ask] = [
    *[d.WriteAsk(number, body) for number, body in enumerate(COMMANDS, 1)],
    *[d.ReadAsk(number, body, number % 2 == 0, Revision(4)) for number, body in enumerate(READS, 20)],
    d.KeepAliveAsk(30, [SessionId(99), SessionId(100)]),
    d.WatchAsk(31, b"a", b"b", Revision(5)),
    d.UnwatchAsk(31),
    d.TransferAsk(32, B),
    d.ConfigAsk(33, CONFIG_OF_THREE),
    d.LevelAsk(34, 2),
]
ANSWERS: list[d.Answer] = [
    *[d.Reply(number, 8, number, c.encode(result)) for number, result in enumerate(RESULTS, 1)],
    d.Reply(20, 8, 0, b"", 15),
    d.ErrorReply(21, 10, "n2 is not the leader", True, 0, A),
    d.KeepAliveReply(30, [(SessionId(99), 10_000)], [SessionId(100)]),
    d.WatchPush(31, [CHANGE], Revision(6)),
    d.WatchGap(31, Revision(4)),
    d.WatchProgress(0, Revision(1_000)),
]
HELLO = Hello(ClusterId(77), A, B, 3, "jobs@web1", "0.1.0")
