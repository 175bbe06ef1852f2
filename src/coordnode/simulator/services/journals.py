"""Journals: batches of all sizes into two of them with bounds that they soon reach, readers that follow and readers that jump."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from coordnode.checking.journal_ledger import GONE, MISSING, JournalLedger, Shown
from coordnode.client.actions import Finished
from coordnode.errors import HistoryGone, Missing, PromiseBroken, RecordError
from coordnode.services.commands import (
    JOURNAL_DELETED,
    JOURNALS,
    AppendRecords,
    Command,
    ConfigureJournal,
    DeleteJournal,
    Done,
    GetJournal,
    JournalInfo,
    JournalView,
    ListJournals,
    ReadRecords,
    RecordsAppended,
    RecordsRead,
    Result,
    TrimJournal,
    decode_journal,
)
from coordnode.services.commands.records import encode_head, pack_sizes, records_in
from coordnode.simulator import marks
from coordnode.simulator.client import SimClient
from coordnode.simulator.reference import EventRow
from coordnode.simulator.services.service import SimService, Stage, Step
from coordnode.simulator.vocabulary import Words, other, other_read

NAMES = (b"audit", b"trail")
BOUNDS = (8_192, 8_192, 30_000, 200_000)
BATCH_MAX = 12
RECORD_BYTES_MAX = 330  # a whole batch must fit into half of the smallest
LIMITS = (0, 0, 0, 0, 1, 5)  # mostly all that one answer holds: rot is found by who reads there
BYTES_MAX = (0, 0, 0, 0, 300, 4_000)


def shown_of(info: JournalInfo) -> Shown:
    return Shown(info.bytes_max, info.first, info.next, info.size)


def append_of(name: bytes, records: Sequence[bytes]) -> AppendRecords:
    return AppendRecords(name, len(records), b"".join(records), pack_sizes(records))


class SimJournals(SimService):
    WORDS: ClassVar[Mapping[type, Words]] = {
        ConfigureJournal: other("configure-journal"),
        AppendRecords: other("append"),
        TrimJournal: other("trim"),
        DeleteJournal: other("delete-journal"),
        GetJournal: other_read("journal"),
        ListJournals: other_read("journals"),
        ReadRecords: other_read("records"),
    }

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self._chance = stage.chance
        self._ledger = JournalLedger()
        self._grown = -1  # bytes that the command of the last effect appended
        self._follows: dict[tuple[int, bytes], int] = {}  # by client and name: how far it has read
        self._reads: dict[tuple[int, int], tuple[ReadRecords, bool]] = {}  # by client and call; whether it follows

    def steps(self) -> Mapping[Step, int]:
        return {self._append: 6, self._follow: 3, self._jump: 3, self._configure: 1, self._tidy: 1}

    # --- what clients ask --------------------------------------------------------------------------------------------

    def _pick(self, count: int) -> int:
        return int(self._chance.random() * count)

    def _name(self) -> bytes:
        return NAMES[self._pick(len(NAMES))]

    def _append(self, client: SimClient) -> None:
        if self._chance.random() < 0.5:
            records = [self.stage.new_value(client)[:RECORD_BYTES_MAX] for _ in range(1 + self._pick(BATCH_MAX))]
        else:
            value = self.stage.new_value(client)[:8]
            records = [b"%s/%03d" % (value, number) for number in range(1 + self._pick(BATCH_MAX))]
        self.stage.write(client, append_of(self._name(), records))

    def _follow(self, client: SimClient) -> None:
        name = self._name()
        self._read(client, name, self._follows.get((client.number, name), 0), follows=True)

    def _jump(self, client: SimClient) -> None:
        name = self._name()
        shown = self._ledger.now(name) or Shown(0, 0, 0, 0)
        self._read(client, name, max(0, shown.first - 2) + self._pick(shown.next - shown.first + 4), follows=False)

    def _read(self, client: SimClient, name: bytes, offset: int, *, follows: bool) -> None:
        operation = ReadRecords(name, offset, LIMITS[self._pick(len(LIMITS))], BYTES_MAX[self._pick(len(BYTES_MAX))])
        call = self.stage.call(client, operation)
        self._reads[client.number, call] = (operation, follows)

    def _configure(self, client: SimClient) -> None:
        self.stage.write(client, ConfigureJournal(self._name(), BOUNDS[self._pick(len(BOUNDS))]))

    def _tidy(self, client: SimClient) -> None:
        name = self._name()
        draw = self._chance.random()
        if draw < 0.6:
            shown = self._ledger.now(name) or Shown(0, 0, 0, 0)
            self.stage.write(client, TrimJournal(name, shown.first + self._pick(shown.next - shown.first + 3)))
        elif draw < 0.7:
            self.stage.write(client, DeleteJournal(name))
        else:
            self.stage.call(client, GetJournal(name) if draw < 0.9 else ListJournals(), stale=draw < 0.8)

    def on_finished(self, client: SimClient, finished: Finished) -> None:
        asked = self._reads.pop((client.number, finished.call), None)
        if asked is None:
            return
        operation, follows = asked
        name, offset, result, error = operation.journal, operation.offset, finished.result, finished.error
        place = (client.number, name)
        if isinstance(result, RecordsRead):
            try:
                records = records_in(result.frames, offset, operation.limit)
            except RecordError as broken:
                raise PromiseBroken("journal-read", f"a read of {name!r} answers with damaged bytes: {broken.sentence}", offset) from broken
            self._ledger.read(name, finished.index, offset, result.first, result.next, records)
            if follows:
                self._follows[place] = offset + len(records)
        elif error is not None and finished.index:
            self._ledger.refused(name, finished.index, offset, error.code)
            if follows and isinstance(error, HistoryGone | Missing):
                shown = self._ledger.now(name)
                self._follows[place] = shown.first if shown is not None else 0
                self.stage.marks.reach(marks.JOURNAL_READER_TOO_SLOW if error.code == GONE else marks.JOURNAL_DELETED)
        if follows and error is not None and error.code not in (GONE, MISSING):
            self._follows.pop(place, None)

    # --- what must have happened -------------------------------------------------------------------------------------

    def on_effect(self, place: tuple[int, int], cluster_ms: int, command: Command, result: Result) -> None:
        ledger = self._ledger
        ledger.begin(place[0])
        operation = command.operation
        self._grown = -1
        match operation, result:
            case AppendRecords(), RecordsAppended():
                frame = encode_head(0, operation.count, operation.sizes, operation.data) + operation.sizes + operation.data
                self._grown = len(operation.sizes) + len(operation.data)
                ledger.appended(operation.journal, records_in(frame, 0), result.first, result.next)
            case TrimJournal(), JournalView():
                ledger.trimmed(operation.journal, operation.before, shown_of(result.journal))
            case DeleteJournal(), Done():
                if result.changed:
                    ledger.deleted(operation.journal)

    def on_changes(self, changes: Sequence[tuple[int, Sequence[EventRow]]]) -> None:
        for _, rows in changes:
            for kind, name, value, _, _, space in rows:
                if space == JOURNALS and kind != JOURNAL_DELETED:
                    before = self._ledger.now(name)
                    shown = shown_of(decode_journal(value))
                    self._ledger.changed(name, shown, self._grown)
                    if self._grown >= 0 and before is not None and shown.first > before.first:
                        self.stage.marks.reach(marks.JOURNAL_RETAINED)
