"""What a generator of load does, one operation after the other, and what its answers must be. Pure.

An operation is a generator: it yields requests and is sent their answers. It raises PromiseBroken for an answer that must never be.
Each has a place that is its own for as long as it lasts, so nobody else touches the names below it.
"""

from collections.abc import Callable, Generator
from itertools import cycle
from typing import Any, Final

from coordnode.client import journals, queue_words, requests
from coordnode.client.claims import Claim
from coordnode.client.locks import acquire_operation, at_once
from coordnode.client.requests import Request
from coordnode.errors import PromiseBroken

Operation = Generator[Request[Any], Any, None]

PUT, GET, LOCK, CAS, QUEUE, JOURNAL, MIXED = "put", "get", "lock", "cas", "queue", "journal", "mixed"
KEYS = 10  # of each place, for puts and gets, in turn
JOURNAL_BYTES_MAX = 4 << 20  # of each: older records go by themselves

MIX: Final = (GET, PUT, GET, CAS, GET, PUT, GET, LOCK, GET, PUT, GET, QUEUE, GET, PUT, GET, CAS, GET, PUT, GET, JOURNAL)

ABOUT: Final = {
    PUT: "a key is put",
    GET: "a key is read, linearizably",
    LOCK: "a lock is acquired and released",
    CAS: "a key is set if nobody changed it since",
    QUEUE: "a task is put, taken and acknowledged",
    JOURNAL: "a record is appended",
    MIXED: "of 20: 10 gets, 5 puts, 2 cas, and a lock, a task and a record",
}


class Place:
    """Names of its own, and what is known of what lies there."""

    def __init__(self, prefix: str, value: bytes) -> None:
        self._prefix = prefix
        self._value = value
        self._fresh = 0
        self._keys = cycle(range(KEYS))
        self.start_anew()

    def start_anew(self) -> None:
        """Under other names: what an operation that failed did to the former ones is not known."""
        self._stem = f"{self._prefix}/{self._fresh}"
        self._fresh += 1
        self._put_at = [0] * KEYS  # revision of the newest put of each key that was acknowledged
        self._set_at = 0
        self._token = 0
        self._is_journal_made = False
        self._next_offset = 0

    def begin(self, operation: str) -> Operation:
        return OPERATIONS[operation](self)

    def put(self) -> Operation:
        number = next(self._keys)
        revision = yield requests.put(f"{self._stem}/{number}", self._value, True, "")
        if revision <= self._put_at[number]:
            raise PromiseBroken("revisions-rise", f"a put was acknowledged at revision {revision} after one at {self._put_at[number]}")
        self._put_at[number] = revision

    def get(self) -> Operation:
        """A key that was never put is put first."""
        number = next(self._keys)
        if not self._put_at[number]:
            yield from self._put_first(number)
        item = yield requests.get(f"{self._stem}/{number}", False, 0)
        at = self._put_at[number]
        if item is None or item.mod_revision != at or item.value != self._value:
            found = "nothing" if item is None else f"revision {item.mod_revision}"
            raise PromiseBroken("reads-are-fresh", f"{self._stem}/{number} was put at revision {at}, and a later read found {found}")

    def _put_first(self, number: int) -> Operation:
        self._put_at[number] = yield requests.put(f"{self._stem}/{number}", self._value, True, "")

    def compare_and_set(self) -> Operation:
        key, at = f"{self._stem}/cas", self._set_at
        compare = requests.at_revision(key, at) if at else requests.absent(key)
        revision = yield requests.compare_and_set(compare, self._value, True, "")
        if revision is None:
            raise PromiseBroken("only-who-writes-changes", f"{key} is not as it was left at revision {at}, and nobody else writes it")
        self._set_at = revision

    def lock(self) -> Operation:
        claim = Claim(at_once(acquire_operation(f"{self._stem}/lock", False, 1, 0, False, None, "bench")))
        claim.on_answer((yield Request(claim.operation, lambda result: result)))
        if claim.token <= self._token:
            raise PromiseBroken("tokens-rise", f"token {claim.token} was granted after {self._token}")
        self._token = claim.token
        yield claim.giving_up()

    def cycle_of_queue(self) -> Operation:
        queue = f"{self._stem}/queue".encode()
        put = yield queue_words.put_request(queue, self._value, 0, 0, b"", 0, "")
        taken = yield queue_words.take_request(queue, 1, False, False, 0, "")
        if [task.task for task in taken.tasks] != [put.task]:
            raise PromiseBroken("what-is-put-is-taken", f"task {put.task} was put, and {[task.task for task in taken.tasks]} taken")
        yield queue_words.ack_request(queue, taken.tasks[0].token)

    def append(self) -> Operation:
        journal = f"{self._stem}/journal".encode()
        if not self._is_journal_made:
            yield journals.configure_request(journal, JOURNAL_BYTES_MAX, "")
            self._is_journal_made = True
        appended = yield journals.append_request(journal, [self._value], "")
        if appended.first != self._next_offset:
            raise PromiseBroken("offsets-follow", f"a record got offset {appended.first} where {self._next_offset} was next")
        self._next_offset = appended.next


OPERATIONS: Final[dict[str, Callable[[Place], Operation]]] = {
    PUT: Place.put,
    GET: Place.get,
    LOCK: Place.lock,
    CAS: Place.compare_and_set,
    QUEUE: Place.cycle_of_queue,
    JOURNAL: Place.append,
}


def operations(workload: str) -> tuple[str, ...]:
    """In turn, over and over."""
    return MIX if workload == MIXED else (workload,)
