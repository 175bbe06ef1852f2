"""What one or many generators of load have counted. Pure; adds up, and travels between processes."""

import msgspec

from coordctl.load.latencies import Latencies

WRONG_MAX = 10  # sentences kept


class Steps(msgspec.Struct):
    """Single requests, from being sent to being answered: an operation may be several."""

    count: int = 0
    sum_ns: int = 0

    def add(self, ns: int) -> None:
        self.count += 1
        self.sum_ns += ns

    def merge(self, other: "Steps") -> None:
        self.count += other.count
        self.sum_ns += other.sum_ns

    def mean_ms(self) -> float | None:
        return self.sum_ns / self.count / 1_000_000 if self.count else None


class Tally(msgspec.Struct):
    done: dict[str, Latencies] = {}  # operation -> from when each that succeeded was meant to be sent until it was answered
    failed: dict[str, int] = {}  # why -> how many
    late: Latencies = msgspec.field(default_factory=Latencies)  # we came to send, or, in a closed loop, to look
    writes: Steps = msgspec.field(default_factory=Steps)
    reads: Steps = msgspec.field(default_factory=Steps)
    wrong: list[str] = []  # answers that break a promise

    @property
    def count(self) -> int:
        return sum(map(len, self.done.values()))

    @property
    def failures(self) -> int:
        return sum(self.failed.values())

    def add(self, operation: str, ns: int) -> None:
        found = self.done.get(operation)
        if found is None:
            found = self.done[operation] = Latencies()
        found.add(ns)

    def fail(self, why: str, count: int = 1) -> None:
        self.failed[why] = self.failed.get(why, 0) + count

    def on_wrong(self, sentence: str) -> None:
        if len(self.wrong) < WRONG_MAX:
            self.wrong.append(sentence)

    def merge(self, other: "Tally") -> None:
        for operation, latencies in other.done.items():
            self.done.setdefault(operation, Latencies()).merge(latencies)
        for why, count in other.failed.items():
            self.fail(why, count)
        self.late.merge(other.late)
        self.writes.merge(other.writes)
        self.reads.merge(other.reads)
        for sentence in other.wrong:
            self.on_wrong(sentence)

    def all(self) -> Latencies:
        found = Latencies()
        for latencies in self.done.values():
            found.merge(latencies)
        return found
