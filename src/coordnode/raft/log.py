"""The replicated log in memory: everything after the snapshot it stands on. Storage is written behind it and only read at start."""

from array import array
from bisect import bisect_left, bisect_right

from coordnode.ids import Index, Term
from coordnode.raft.entry import Entry

FORGOTTEN_AT_ONCE = 512  # entries: tens of thousands, none of which is in the processor's caches, would take as long as a slow disk


class Log:
    __slots__ = ("_ends", "_floor", "base_index", "base_term", "entries")

    def __init__(self, base_index: Index, base_term: Term, entries: list[Entry]) -> None:
        self.base_index = base_index  # the last index that is no longer here: compacted, or covered by an installed snapshot
        self.base_term = base_term
        self.entries = entries  # entries[i].index == base_index + 1 + i
        self._floor = base_index  # what is forgotten bit by bit ends there
        # Bytes up to and with each index from base_index on, counted from anywhere: sums over any stretch without a look at its entries.
        self._ends = array("Q", [0])
        for position, entry in enumerate(entries):
            assert entry.index == base_index + 1 + position, f"log has a gap at {entry.index}"
            self._ends.append(self._ends[-1] + len(entry.data))

    def last_index(self) -> Index:
        return Index(self.base_index + len(self.entries))

    def last_term(self) -> Term:
        return self.entries[-1].term if self.entries else self.base_term

    def term_at(self, index: Index) -> Term | None:
        """None: not here, because it is compacted or not written yet."""
        offset = index - self.base_index
        if offset == 0:
            return self.base_term
        if 0 < offset <= len(self.entries):
            return self.entries[offset - 1].term
        return None

    def append(self, entry: Entry) -> None:
        assert entry.index == self.base_index + len(self.entries) + 1
        self.entries.append(entry)
        self._ends.append(self._ends[-1] + len(entry.data))

    def truncate_from(self, index: Index) -> None:
        assert index > self.base_index
        keep = index - self.base_index - 1
        del self.entries[keep:]
        del self._ends[keep + 1 :]

    def slice(self, first: Index, last: Index) -> list[Entry]:
        """Entries first..last, both included."""
        assert first > self.base_index
        assert last <= self.last_index()
        return self.entries[first - self.base_index - 1 : last - self.base_index]

    def slice_bytes(self, first: Index, bytes_max: int) -> list[Entry]:
        """Entries from `first` on, as many as fit; at least one when there is one."""
        offset = first - self.base_index - 1
        entries = self.entries
        if offset == len(entries) - 1:
            return entries[offset:]
        end = bisect_right(self._ends, self._ends[offset] + bytes_max, offset + 1) - 1
        return entries[offset : max(end, offset + 1)]

    def bytes_after(self, index: Index) -> int:
        """All there are, when what follows `index` is not all here."""
        return self._ends[-1] - self._ends[max(index - self.base_index, 0)]

    def first_within(self, bytes_max: int, last: Index) -> Index:
        """From there to `last` are as many entries as hold no more than so many bytes."""
        count = max(last - self.base_index, 0)
        return Index(self.base_index + 1 + bisect_left(self._ends, self._ends[count] - bytes_max, 0, count))

    def last_index_with_term_up_to(self, term: Term, at_most: Index) -> tuple[Index, Term]:
        """The last index <= at_most whose term is <= term, and that term: one step of fast back-off skips whole terms."""
        index: int = min(at_most, self.last_index())
        while index > self.base_index:
            found = self.entries[index - self.base_index - 1].term
            if found <= term:
                return Index(index), found
            index -= 1
        return self.base_index, self.base_term

    def compact(self, index: Index) -> None:
        """Everything up to and including `index` is to be forgotten, as far as it is not yet: some now, the rest by `forget_some`."""
        assert index <= self.last_index(), f"cannot compact to {index}: not in the log"
        self._floor = max(self._floor, index)
        self.forget_some()

    def forget_some(self) -> None:
        """To be called once a turn."""
        drop = min(self._floor - self.base_index, FORGOTTEN_AT_ONCE)
        if drop > 0:
            self.base_term = self.entries[drop - 1].term
            self.base_index = Index(self.base_index + drop)
            del self.entries[:drop]
            del self._ends[:drop]

    def reset(self, base_index: Index, base_term: Term) -> None:
        self.entries = []
        self._ends = array("Q", [0])
        self._floor = base_index
        self.base_index = base_index
        self.base_term = base_term
