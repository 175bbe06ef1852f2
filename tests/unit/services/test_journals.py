"""Journals: offsets, segments, retention by bytes, and what of their bytes a state names."""

from collections.abc import Sequence
from zlib import crc32

import pytest

from coordnode.errors import BadRequest, Conflict, HistoryGone, Missing, RecordError, StateFull, TooLarge, UnknownFormat
from coordnode.raft.blobs import Blob, begun_at, encode_lists
from coordnode.services.commands import (
    JOURNAL_CHANGED,
    JOURNAL_DELETED,
    JOURNALS,
    AppendRecords,
    ConfigureJournal,
    DeleteJournal,
    Done,
    Failure,
    GetJournal,
    JournalInfo,
    JournalPage,
    JournalView,
    ListJournals,
    ReadOperation,
    ReadRecords,
    RecordsAppended,
    RecordsRead,
    Result,
    TrimJournal,
    decode_journal,
    decode_result,
)
from coordnode.services.commands.records import encode_head, pack_sizes, records_in
from coordnode.services.context import Located
from coordnode.services.machine import Restorer

from .driven import Driven, alone, in_session, opening

AUDIT = b"audit"


class Kept(Driven):
    """A machine with the files that its blobs would be."""

    def __init__(self, **settings: int) -> None:
        super().__init__(**settings)
        self.files: dict[int, bytearray] = {}

    def ask(self, operation: object, session: int = 0, sequence: int = 0) -> Result:
        command = in_session(session, sequence, operation) if session else alone(operation)  # type: ignore[arg-type]
        result = self.one(command)
        for write in self.machine.take_blobs():
            file = self.files.setdefault(write.blob, bytearray())
            assert write.position == len(file)
            file += b"".join(write.parts)
        return result

    def append(self, *records: bytes, name: bytes = AUDIT) -> Result:
        return self.ask(AppendRecords(name, len(records), b"".join(records), pack_sizes(records)))

    def read(self, operation: ReadOperation) -> Result:
        return decode_result(self.machine.read(operation))

    def info(self, name: bytes = AUDIT) -> JournalInfo:
        view = self.read(GetJournal(name))
        assert isinstance(view, JournalView)
        return view.journal

    def records(self, offset: int, name: bytes = AUDIT) -> list[bytes]:
        """All from there on, blob after blob."""
        found: list[bytes] = []
        while isinstance(located := self.machine.locate(ReadRecords(name, offset)), Located):
            file = bytes(self.files[located.blob.id][: located.blob.size])
            found += records_in(file, offset)
            offset = located.next
        assert isinstance(decode_result(located), RecordsRead)
        return found

    def refused(self, operation: ReadOperation) -> int:
        located = self.machine.locate(operation)
        assert isinstance(located, bytes)
        failed = decode_result(located)
        assert isinstance(failed, Failure)
        return failed.code


def code(result: Result) -> int:
    assert isinstance(result, Failure), result
    return result.code


def numbered(start: int, count: int, size: int = 40) -> list[bytes]:
    return [b"%0*d" % (size, number) for number in range(start, start + count)]


def test_offsets_are_consecutive_and_an_append_happens_once() -> None:
    kept = Kept()
    kept.apply(opening(1))
    assert kept.append(b"a", b"bb") == RecordsAppended(1, 0, 2)
    once = AppendRecords(AUDIT, 1, b"ccc")
    assert kept.ask(once, 1, 1) == kept.ask(once, 1, 1) == RecordsAppended(2, 2, 3)
    assert kept.append(b"", b"", b"") == RecordsAppended(3, 3, 6)
    assert kept.records(0) == [b"a", b"bb", b"ccc", b"", b"", b""]
    assert kept.records(4) == [b"", b""]
    assert kept.info() == JournalInfo(AUDIT, 268_435_456, 0, 6, 3 * 28 + 8 + 6)
    told = [event for change in kept.machine.changes(0, 3) for event in change.events]  # type: ignore[arg-type]
    assert [(event.kind, event.key, event.space) for event in told] == [(JOURNAL_CHANGED, AUDIT, JOURNALS)] * 3
    assert decode_journal(told[-1].value) == kept.info()


def test_a_batch_that_does_not_add_up_changes_nothing() -> None:
    kept = Kept()
    before = kept.machine.dump()
    wrong = [
        AppendRecords(AUDIT, 0, b""),
        AppendRecords(AUDIT, 3, b"four"),
        AppendRecords(AUDIT, 2, b"four", b"\1\0\0\0\2\0\0\0"),
        AppendRecords(AUDIT, 2, b"four", b"\4\0\0\0"),
        AppendRecords(AUDIT, 65_537, bytes(65_537)),
        AppendRecords(b"", 1, b"x"),
        TrimJournal(AUDIT, -1),
        ConfigureJournal(AUDIT, 4_095),
    ]
    assert [code(kept.ask(operation)) for operation in wrong] == [BadRequest.code] * len(wrong)
    large = [AppendRecords(AUDIT, 1, bytes(1_048_577)), ConfigureJournal(AUDIT, 2**41)]
    assert [code(kept.ask(operation)) for operation in large] == [TooLarge.code] * 2
    kept.machine.scalars.applied -= len(wrong) + len(large)
    assert kept.machine.dump() == before


def test_a_journal_never_holds_more_than_its_bound_and_drops_no_more_than_it_must() -> None:
    kept = Kept()
    kept.ask(ConfigureJournal(AUDIT, 8_192))
    given = 0
    for step in range(120):
        batch = numbered(given, 1 + step * 7 % 23)
        assert kept.append(*batch) == RecordsAppended(step + 2, given, given + len(batch))
        given += len(batch)
        info = kept.info()
        assert info.size <= info.bytes_max
        assert info.next == given
        assert kept.records(info.first) == numbered(info.first, given - info.first)
        if info.first:
            assert info.size > info.bytes_max // 2
            assert kept.refused(ReadRecords(AUDIT, info.first - 1)) == HistoryGone.code
    assert kept.info().first > 0
    named = {blob.id for blob in kept.machine.blobs()}
    assert 5 < len(named) < len(kept.files)
    assert code(kept.append(bytes(4_200))) == TooLarge.code


def test_what_a_state_names_is_exactly_what_was_written() -> None:
    kept = Kept()
    kept.ask(ConfigureJournal(AUDIT, 8_192))
    for step in range(40):
        kept.append(*numbered(step * 9, 9))
        kept.append(b"x" * step, name=b"trail")
        for blob in kept.machine.blobs():
            file = bytes(kept.files[blob.id])
            assert blob == Blob(blob.id, blob.size, crc32(file[: blob.size]))
            assert begun_at(blob.id) <= kept.machine.applied
        for blob in kept.machine.blobs()[-1:]:
            assert blob.size == len(kept.files[blob.id])
    restored = kept.restored()
    assert restored.blobs() == kept.machine.blobs()


def test_a_snapshot_that_lists_other_blobs_than_its_rows_name_is_refused() -> None:
    kept = Kept()
    kept.append(b"one")
    *rows, listed = kept.machine.snapshot()
    assert listed[:1] == b"\xc1"
    (blob,) = kept.machine.blobs()
    (longer,) = encode_lists([Blob(blob.id, blob.size + 1, blob.checksum)])
    for slices in (rows, [*rows, listed, listed], [*rows, longer]):
        restorer = Restorer()
        with pytest.raises(RecordError):
            feed(restorer, slices)


def feed(restorer: Restorer, slices: Sequence[bytes]) -> None:
    for data in slices:
        restorer.feed(data)
    restorer.finish()


def test_trim_is_exact_and_gives_back_whole_segments() -> None:
    kept = Kept()
    assert code(kept.ask(TrimJournal(AUDIT, 1))) == Missing.code
    kept.ask(ConfigureJournal(AUDIT, 8_192))
    for step in range(15):
        kept.append(*numbered(step * 10, 10))
    full = kept.info()
    assert (full.first, full.next) == (0, 150)
    view = kept.ask(TrimJournal(AUDIT, 33))
    assert isinstance(view, JournalView)
    assert (view.journal.first, view.journal.next) == (33, 150)
    assert view.journal.size < full.size
    assert kept.records(33) == numbered(33, 117)
    assert kept.refused(ReadRecords(AUDIT, 32)) == HistoryGone.code
    revision = view.revision
    again = kept.ask(TrimJournal(AUDIT, 20))
    assert again == JournalView(revision, view.journal), "trimmed further already"
    whole = kept.ask(TrimJournal(AUDIT, 9_999))
    assert isinstance(whole, JournalView)
    assert whole.journal == JournalInfo(AUDIT, 8_192, 150, 150, 0)
    assert kept.machine.blobs() == []
    assert kept.append(b"next") == RecordsAppended(revision + 2, 150, 151), "no offset is given twice"
    assert kept.records(150) == [b"next"]


def test_a_smaller_bound_drops_the_oldest_but_never_the_newest_part() -> None:
    kept = Kept()
    kept.ask(ConfigureJournal(AUDIT, 40_000))
    for step in range(60):
        kept.append(*numbered(step * 10, 10))
    view = kept.ask(ConfigureJournal(AUDIT, 10_000))
    assert isinstance(view, JournalView)
    assert view.journal.size <= 10_000
    assert kept.records(view.journal.first) == numbered(view.journal.first, 600 - view.journal.first)
    kept.append(bytes(20_000), name=b"trail")
    assert code(kept.ask(ConfigureJournal(b"trail", 5_000))) == Conflict.code
    assert kept.ask(ConfigureJournal(b"trail", 268_435_456)) == JournalView(kept.machine.revision, kept.info(b"trail"))


def test_one_that_is_made_anew_is_another() -> None:
    kept = Kept()
    kept.append(b"old", b"old")
    assert kept.ask(DeleteJournal(AUDIT)) == Done(2)
    assert kept.ask(DeleteJournal(AUDIT)) == Done(2, 0)
    assert kept.refused(ReadRecords(AUDIT, 0)) == Missing.code
    (event,) = kept.machine.changes(1, 2)[0].events  # type: ignore[arg-type]
    assert (event.kind, event.key, event.space) == (JOURNAL_DELETED, AUDIT, JOURNALS)
    kept.append(b"new")
    assert kept.records(0) == [b"new"]
    assert kept.refused(ReadRecords(AUDIT, 2)) == Missing.code, "who followed the old one is told"
    kept.ask(DeleteJournal(AUDIT))
    scalars = kept.machine.scalars
    assert (scalars.journals_bytes, scalars.state_bytes) == (0, 0)


def test_all_journals_together_have_a_bound() -> None:
    kept = Kept(journals_bytes_max=300_000_000)
    kept.append(b"x")
    assert code(kept.append(b"x", name=b"trail")) == StateFull.code
    assert isinstance(kept.ask(ConfigureJournal(b"trail", 30_000_000)), JournalView)
    assert code(kept.ask(ConfigureJournal(b"trail", 40_000_000))) == StateFull.code
    assert isinstance(kept.ask(ConfigureJournal(AUDIT, 30_000_000)), JournalView)
    assert isinstance(kept.ask(ConfigureJournal(b"trail", 270_000_000)), JournalView)


def test_names_and_segments_are_charged_to_the_state() -> None:
    kept = Kept(state_bytes_max=1_000)
    kept.ask(ConfigureJournal(AUDIT, 8_192))
    results = [kept.append(*numbered(step * 20, 20)) for step in range(8)]
    assert code(results[-1]) == StateFull.code
    assert code(kept.append(b"x", name=b"n" * 200)) == StateFull.code
    assert isinstance(kept.ask(TrimJournal(AUDIT, 40)), JournalView)
    assert isinstance(kept.append(b"x"), RecordsAppended)


def test_lists_and_stale_reads_say_what_they_know_without_bytes() -> None:
    kept = Kept()
    for name in (b"a1", b"a2", b"b1"):
        kept.append(b"x", name=name)
    page = kept.read(ListJournals(b"a", b"", 1))
    assert isinstance(page, JournalPage)
    assert ([journal.name for journal in page.journals], page.more) == ([b"a1"], True)
    rest = kept.read(ListJournals(b"a", b"a1"))
    assert isinstance(rest, JournalPage)
    assert ([journal.name for journal in rest.journals], rest.more) == ([b"a2"], False)
    assert kept.read(ReadRecords(b"a1", 1)) == RecordsRead(3, 0, 1, b"")
    assert code(kept.read(ReadRecords(b"a1", 0))) == BadRequest.code


def test_members_that_were_told_other_bytes_differ_in_their_digests() -> None:
    one, two = Kept(), Kept()
    one.append(b"same", b"size")
    two.append(b"same", b"SIZE")
    assert one.info() == two.info()
    assert one.machine.digest != two.machine.digest


# --- frames --------------------------------------------------------------------------------------------------------


def frame(offset: int, records: Sequence[bytes]) -> bytes:
    sizes, data = pack_sizes(records), b"".join(records)
    return encode_head(offset, len(records), sizes, data) + sizes + data


@pytest.mark.parametrize("records", [[b"a"], [b"", b""], [b"", b"x", b"yy"], [b"ab", b"cd", b"ef"], numbered(0, 1_000, 64)])
def test_records_come_back_from_any_offset_on(records: list[bytes]) -> None:
    data = frame(10, records) + frame(10 + len(records), [b"last"])
    for skipped in {0, 1, len(records) - 1, len(records)}:
        expected = [*records, b"last"][skipped:]
        assert records_in(data, 10 + skipped) == expected
        assert records_in(data, 10 + skipped, 2) == expected[:2]
    if len(set(map(len, records))) == 1:
        assert len(frame(0, records)) == 28 + len(b"".join(records)), "records of one size cost nothing but the head"


def test_every_byte_of_a_frame_is_checked() -> None:
    data = frame(7, [b"one", b"three"])
    for place in range(len(data)):
        damaged = bytearray(data)
        damaged[place] ^= 0x10
        with pytest.raises((RecordError, UnknownFormat)):
            records_in(bytes(damaged), 7)
        with pytest.raises(RecordError):
            records_in(data[:place] if place else b"\0" * 40, 7)
