"""What every journal must have done, kept in the order of the log beside the code that does it: every record there ever was. Pure."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from coordnode.errors import PromiseBroken

GONE, MISSING = 27, 33
_HEAD_BYTES = 28  # of each append


class Shown(NamedTuple):
    """What a journal says of itself."""

    bytes_max: int
    first: int
    next: int
    size: int


class _Told(NamedTuple):
    after: int  # index of the entry after which it was so
    records: list[bytes]  # by offset, those that are gone, too; one made anew has a new list
    shown: Shown | None  # None: there is no such journal


class JournalLedger:
    def __init__(self) -> None:
        self._told: dict[bytes, list[_Told]] = {}
        self._widest: dict[bytes, int] = {}  # the largest bound it had since it was made: its parts are an eighth of that, and one append
        self._largest: dict[bytes, int] = {}  # append to it
        self._index = 0

    def begin(self, index: int) -> None:
        """Another command, at this index of the log."""
        self._index = index

    def now(self, name: bytes) -> Shown | None:
        return self._newest(name).shown

    def _newest(self, name: bytes) -> _Told:
        told = self._told.get(name)
        return told[-1] if told else _Told(0, [], None)

    # --- what commands did -----------------------------------------------------------------------------------------------

    def appended(self, name: bytes, records: Sequence[bytes], first: int, next: int) -> None:
        known = self._newest(name)
        if (first, next) != (len(known.records), len(known.records) + len(records)):
            sentence = f"{name!r} gives {len(records)} records the offsets from {first} to {next}; it had {len(known.records)}"
            raise PromiseBroken("journal-offsets", sentence, (name, first, next))
        known.records.extend(records)
        if known.shown is None:
            self._told.setdefault(name, []).append(_Told(self._index, known.records, Shown(0, 0, 0, 0)))

    def trimmed(self, name: bytes, before: int, shown: Shown) -> None:
        known = self._newest(name).shown
        if known is None or shown.first != max(known.first, min(before, known.next)) or shown.next != known.next:
            raise PromiseBroken("journal-retains", f"{name!r} was trimmed up to {before}, and shows {shown}", (known, shown))

    def changed(self, name: bytes, shown: Shown, grown: int) -> None:
        """What watches are told. `grown`: bytes that this command appended, checksums not counted; -1: it did something else."""
        known = self._newest(name)
        before = known.shown or Shown(shown.bytes_max, 0, 0, 0)
        if shown.next != len(known.records):
            raise PromiseBroken("journal-offsets", f"{name!r} has had {len(known.records)} records and shows {shown}", (before, shown))
        if not before.first <= shown.first <= shown.next:
            raise PromiseBroken("journal-retains", f"{name!r} goes from {before} to {shown}", (before, shown))
        if shown.size > shown.bytes_max:
            raise PromiseBroken("journal-bound", f"{name!r} holds more than it may: {shown}", (before, shown))
        widest = self._widest[name] = max(self._widest.get(name, 0), shown.bytes_max)
        largest = self._largest[name] = max(self._largest.get(name, 0), grown + _HEAD_BYTES)
        if grown >= 0 and shown.first > before.first:
            if before.size + grown + _HEAD_BYTES <= shown.bytes_max:
                raise PromiseBroken("journal-retains", f"{name!r} drops records although there is room: {before}, {shown}", (before, shown))
            if shown.size < shown.bytes_max - widest // 8 - 2 * largest:
                raise PromiseBroken("journal-retains", f"{name!r} drops more than it must: {before}, {shown}", (before, shown))
        self._told.setdefault(name, []).append(_Told(self._index, known.records, shown))

    def deleted(self, name: bytes) -> None:
        self._told.setdefault(name, []).append(_Told(self._index, [], None))
        self._widest.pop(name, None)

    # --- what is read ----------------------------------------------------------------------------------------------------

    def _at(self, name: bytes, index: int) -> _Told:
        """As it was once all of the entry at `index` was applied."""
        told = self._told.get(name, [])
        at = bisect_right(told, index, key=lambda state: state.after) - 1
        return told[at] if at >= 0 else _Told(0, [], None)

    def read(self, name: bytes, index: int, offset: int, first: int, next: int, records: Sequence[bytes]) -> None:
        state = self._at(name, index)
        if state.shown is None or (state.shown.first, state.shown.next) != (first, next):
            raise PromiseBroken("journal-read", f"a read of {name!r} at {index} says {first}..{next}; it was {state.shown}", state.shown)
        expected = state.records[offset : offset + len(records)]
        if not first <= offset <= next or offset + len(records) > next or list(records) != expected:
            sentence = f"{name!r} has other records from {offset} on than were appended"
            raise PromiseBroken("journal-read", sentence, (offset, next, list(records)[:3], expected[:3]))
        if offset < next and not records:
            raise PromiseBroken("journal-read", f"{name!r} ends at {next}, and a read from {offset} on gives nothing", (offset, next))

    def refused(self, name: bytes, index: int, offset: int, code: int) -> None:
        shown = self._at(name, index).shown
        allowed = {
            MISSING: shown is None or offset > shown.next,
            GONE: shown is not None and offset < shown.first,
        }
        if not allowed.get(code, True):
            raise PromiseBroken(
                "journal-read", f"a read of {name!r} from {offset} on is refused with {code}; it was {shown}", (offset, shown)
            )
