"""What a life of 200 operations asks for, in its order, what must be answered, and what must be there then."""

import random
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from coordnode.ids import NO_SESSION, SessionId, Token
from coordnode.ids import Sequence as Number
from coordnode.ranges import prefix_end
from coordnode.services.commands import (
    Acquire,
    AddCounter,
    AppendRecords,
    ClientCommand,
    CounterValue,
    Delete,
    Done,
    GetCounter,
    ListTasks,
    LockGranted,
    LockReleased,
    LockView,
    OpenSession,
    Page,
    Put,
    PutTask,
    Range,
    ReadLock,
    ReadRecords,
    RecordsAppended,
    RecordsRead,
    Release,
    SessionOpened,
    TaskPage,
    TaskPut,
    decode_result,
)
from coordnode.services.commands.records import pack_sizes, records_in
from tests.processes.members import Connection, result_of

OPERATIONS = 200
ASKED_AGAIN = 12  # of the last that were acknowledged
CODA = ("put", "add", "append", "lock", "lock", "put")  # what is done after a cut before it is judged
TTL_MS = 600_000
KEY = b"k/%02d"
VALUE_BYTES_MAX = 60_000


class Broken(AssertionError):
    """A promise was."""


def hold(true: object, sentence: str) -> None:
    if not true:
        raise Broken(sentence)


class Story:
    """Operations of each kind that stores something. What was acknowledged is there, once and only once."""

    def __init__(self) -> None:
        self.acknowledged = 0
        self.revision = 0
        self.answered: deque[tuple[ClientCommand, bytes]] = deque(maxlen=ASKED_AGAIN)
        self._rng = random.Random(7)  # the same in all lives
        kinds = ["put"] * 9 + ["delete"] * 2 + ["add"] * 3 + ["append"] * 4 + ["lock"] * 4 + ["task"] * 2
        self.kinds = iter(["open"] + [self._rng.choice(kinds) for _ in range(OPERATIONS - 1)])
        self._keys: dict[bytes, bytes] = {}
        self._count = 0
        self._records: list[bytes] = []
        self._tasks = 0
        self._session = SessionId(0)
        self._sequence = 0
        self._token = Token(0)  # the newest
        self._holds = False

    def do(self, kind: str, ask: Callable[[ClientCommand], bytes]) -> None:
        """`ask` returns once it is acknowledged."""
        command, settle = self._drawn(kind)
        result = ask(command)
        settle(decode_result(result))
        self.acknowledged += 1
        if command.request_id:
            self.answered.append((command, result))

    # --- what is asked, and what must be answered -----------------------------------------------------------------------

    def _drawn(self, kind: str) -> tuple[ClientCommand, Callable[[Any], None]]:
        rng = self._rng
        if kind == "put":
            key, value = KEY % rng.randrange(24), rng.randbytes(rng.choice((40, 400, VALUE_BYTES_MAX)))
            return self._sessionless(Put(key, value)), lambda done: self._put(key, value, done)
        if kind == "delete":
            key = KEY % rng.randrange(24)
            return self._sessionless(Delete(key)), lambda done: self._deleted(key, done)
        if kind == "add":
            return self._sessionless(AddCounter(b"count", 3)), self._added
        if kind == "append":
            records = [rng.randbytes(rng.choice((10, 3_000))) for _ in range(3)]
            operation = AppendRecords(b"journal", len(records), b"".join(records), pack_sizes(records))
            return self._sessionless(operation), lambda done: self._appended(records, done)
        if kind == "task":
            return self._sessionless(PutTask(b"queue", b"%d" % self.acknowledged)), self._task_put
        if kind == "lock":
            self._sequence += 1
            wanted = Release(b"lock", self._token) if self._holds else Acquire(b"lock", wait=False)
            command = ClientCommand(self._session, Number(self._sequence), Number(max(1, self._sequence - 1)), "", wanted)
            return command, self._released if self._holds else self._granted
        assert kind == "open"
        return ClientCommand(NO_SESSION, Number(0), Number(0), "", OpenSession(b"a life", TTL_MS)), self._opened

    def _sessionless(self, operation: Any) -> ClientCommand:
        return ClientCommand(NO_SESSION, Number(0), Number(0), f"operation {self.acknowledged}", operation)

    def _opened(self, done: Any) -> None:
        assert isinstance(done, SessionOpened), done
        self._session = done.session

    def _put(self, key: bytes, value: bytes, done: Any) -> None:
        assert isinstance(done, Done), done
        self._grew(done.revision)
        self._keys[key] = value

    def _deleted(self, key: bytes, done: Any) -> None:
        assert isinstance(done, Done), done
        hold(done.changed == (key in self._keys), f"deleting {key!r} changed {done.changed}")
        self._keys.pop(key, None)

    def _added(self, done: Any) -> None:
        assert isinstance(done, CounterValue), done
        self._count += 3
        hold(done.value == self._count, f"the counter is {done.value}, not {self._count}")
        self._grew(done.revision)

    def _appended(self, records: Sequence[bytes], done: Any) -> None:
        assert isinstance(done, RecordsAppended), done
        hold(done.first == len(self._records), f"records are appended at {done.first}, not at {len(self._records)}")
        self._records += records

    def _task_put(self, done: Any) -> None:
        assert isinstance(done, TaskPut), done
        self._tasks += 1

    def _granted(self, done: Any) -> None:
        assert isinstance(done, LockGranted), done
        hold(done.token > self._token, f"token {done.token} comes after {self._token}")
        self._token, self._holds = done.token, True

    def _released(self, done: Any) -> None:
        assert isinstance(done, LockReleased), done
        hold(done.token == self._token, f"token {done.token} is released, not {self._token}")
        self._holds = False

    def _grew(self, revision: int) -> None:
        hold(revision > self.revision, f"revision {revision} comes after {self.revision}")
        self.revision = revision

    # --- what must be there -------------------------------------------------------------------------------------------

    def check(self, connection: Connection) -> None:
        page = result_of(connection.read(Range(b"k/", prefix_end(b"k/"), 1_000)))
        assert isinstance(page, Page)
        hold({item.key: item.value for item in page.items} == self._keys, "keys are not what was acknowledged")
        counter = result_of(connection.read(GetCounter(b"count")))
        assert isinstance(counter, CounterValue)
        hold(counter.value == self._count, f"the counter is {counter.value}, not {self._count}")
        hold(self._read_journal(connection) == self._records, "the journal does not hold the records that were acknowledged")
        if self._tasks:
            tasks = result_of(connection.read(ListTasks(b"queue")))
            assert isinstance(tasks, TaskPage)
            hold(len(tasks.tasks) == self._tasks, f"there are {len(tasks.tasks)} tasks, not {self._tasks}")
        lock = result_of(connection.read(ReadLock(b"lock")))
        assert isinstance(lock, LockView)
        tokens = [holder.token for holder in lock.holders]
        hold(tokens == ([self._token] if self._holds else []), f"the lock is held by {tokens}, the newest token is {self._token}")

    def _read_journal(self, connection: Connection) -> list[bytes]:
        found: list[bytes] = []
        while len(found) < len(self._records):
            part = result_of(connection.read(ReadRecords(b"journal", len(found))))
            assert isinstance(part, RecordsRead)
            hold(part.next == len(self._records), f"the journal goes on at {part.next}, not at {len(self._records)}")
            more = records_in(part.frames, len(found))
            hold(more, f"the journal ends at {len(found)}")
            found += more
        return found
