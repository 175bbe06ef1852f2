"""The replicated log in memory: everything after the snapshot it stands on. Storage is written behind it and only read at start."""

from coordnode.ids import Index, Term
from coordnode.raft.entry import Entry


class Log:
    __slots__ = ("base_index", "base_term", "bytes", "entries")

    def __init__(self, base_index: Index, base_term: Term, entries: list[Entry]) -> None:
        self.base_index = base_index  # the last index that is no longer here: compacted, or covered by an installed snapshot
        self.base_term = base_term
        self.entries = entries  # entries[i].index == base_index + 1 + i
        self.bytes = sum(len(entry.data) for entry in entries)
        for position, entry in enumerate(entries):
            assert entry.index == base_index + 1 + position, f"log has a gap at {entry.index}"

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
        self.bytes += len(entry.data)

    def truncate_from(self, index: Index) -> None:
        assert index > self.base_index
        keep = index - self.base_index - 1
        self.bytes -= sum(len(entry.data) for entry in self.entries[keep:])
        del self.entries[keep:]

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
        total = 0
        end = offset
        while end < len(entries):
            total += len(entries[end].data)
            if total > bytes_max and end > offset:
                break
            end += 1
        return entries[offset:end]

    def bytes_after(self, index: Index) -> int:
        return sum([len(entry.data) for entry in self.entries[index - self.base_index :]])

    def first_within(self, bytes_max: int, last: Index) -> Index:
        """From there to `last` are as many entries as hold no more than so many bytes."""
        index: int = last
        total = 0
        while index > self.base_index:
            total += len(self.entries[index - self.base_index - 1].data)
            if total > bytes_max:
                break
            index -= 1
        return Index(index + 1)

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
        """Forgets everything up to and including `index`."""
        term = self.term_at(index)
        assert term is not None, f"cannot compact to {index}: not in the log"
        drop = index - self.base_index
        self.bytes -= sum(len(entry.data) for entry in self.entries[:drop])
        del self.entries[:drop]
        self.base_index = index
        self.base_term = term

    def reset(self, base_index: Index, base_term: Term) -> None:
        self.entries = []
        self.bytes = 0
        self.base_index = base_index
        self.base_term = base_term
