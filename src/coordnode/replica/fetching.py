"""Reads of bytes that lie in files: what was asked of storage, and for whom. Pure."""

from typing import cast

import msgspec

from coordnode.errors import NotReady, Overloaded, Rotten
from coordnode.limits import FETCHES_MAX, READ_BYTES_LEAST
from coordnode.replica.answers import Answers, Asker
from coordnode.replica.effects import RecordsWanted
from coordnode.replica.events import RecordsFound
from coordnode.replica.pending import Fetch, Read
from coordnode.services.commands import ReadRecords, encode
from coordnode.services.dialogue import Reply
from coordnode.services.machine import Machine


class Fetching:
    def __init__(self, answers: Answers, tick_ms: int) -> None:
        self._answers = answers
        self._tick_ms = tick_ms
        self.wanted: list[RecordsWanted] = []  # in this turn
        self._under_way: dict[int, Fetch] = {}  # by number
        self._last = 0

    def fetch(self, machine: Machine, read: Read) -> int:
        """What it says was true at this moment, however long the files take. What it counts towards the turn's room."""
        asker, answers = read.asker, self._answers
        located = machine.locate(read.operation)
        if isinstance(located, bytes):
            answers.give(asker[0], Reply(asker[1], machine.applied, 0, located))
            return READ_BYTES_LEAST
        if len(self._under_way) >= FETCHES_MAX:
            answers.refuse(asker, Overloaded("too many reads wait for the disk; try again", retry_after_ms=self._tick_ms))
            return READ_BYTES_LEAST
        operation = cast(ReadRecords, read.operation)
        self._last += 1
        self._under_way[self._last] = Fetch(asker, machine.applied, located.answer)
        self.wanted.append(RecordsWanted(self._last, located.blob, operation.offset, operation.limit, operation.bytes_max))
        return READ_BYTES_LEAST

    def on_found(self, found: RecordsFound, *, can_heal: bool) -> None:
        """`can_heal`: other members could give back what is rotten here."""
        fetch = self._under_way.pop(found.number, None)
        if fetch is None:
            return  # deposed meanwhile: the asker was told to go elsewhere
        answers = self._answers
        if not found.problem:
            result = encode(msgspec.structs.replace(fetch.answer, frames=found.frames))
            answers.give(fetch.asker[0], Reply(fetch.asker[1], fetch.applied, 0, result))
        elif found.is_rotten and not can_heal:
            answers.refuse(fetch.asker, Rotten(f"{found.problem}; no other voters could give it back: restore from a backup"))
        else:
            answers.refuse(fetch.asker, NotReady(f"{found.problem}; try again", retry_after_ms=self._tick_ms))

    def drop_all(self) -> list[Asker]:
        """Who was waiting."""
        dropped = [fetch.asker for fetch in self._under_way.values()]
        self._under_way.clear()
        return dropped
