"""Replicated logs of several members: where they first differ, found by halving over their chain hashes, and what that means. Pure.

The chain of an entry is a hash over it and everything before it, so two logs with the same chain at an index are equal up to there.
"""

from array import array
from dataclasses import dataclass, field
from typing import NamedTuple

EQUAL = "equal"
BEHIND = "behind"  # equal as far as it goes
UNCOMMITTED = "uncommitted tail"  # legal: entries of a leader that was not followed; they go when it hears of the newer one
CORRUPT = "corruption"  # same term and index, other bytes
DIVERGED = "diverged"  # another entry is covered by its own snapshot: two histories were applied
CUT = "cut by a snapshot"  # nothing that is left in it is left in the others
UNREADABLE = "unreadable"

GRAVE = frozenset({CORRUPT, DIVERGED})


@dataclass(slots=True)
class Log:
    """One member's, as its files have it now: truncations carried out."""

    label: str
    base: int = 0  # the last index before its first entry
    base_chain: int = 0
    terms: "array[int]" = field(default_factory=lambda: array("Q"))
    chains: "array[int]" = field(default_factory=lambda: array("I"))
    gaps: list[tuple[int, int]] = field(default_factory=list)  # first and last index that should be there and are not
    damages: list[str] = field(default_factory=list)
    torn: bool = False
    snapshot_index: int = 0  # applied, hence committed, up to there
    trouble: str = ""  # why it cannot be read at all

    @property
    def last(self) -> int:
        return self.base + len(self.terms)

    def append(self, index: int, term: int, chain: int) -> None:
        self.stand_at(index - 1, chain_before=None)
        self.terms.append(term)
        self.chains.append(chain)

    def truncate(self, first_undone: int) -> None:
        del self.terms[max(0, first_undone - 1 - self.base) :]
        del self.chains[max(0, first_undone - 1 - self.base) :]

    def reset(self, index: int, chain: int) -> None:
        """A snapshot was installed: what was before is not in the log any more."""
        self.base, self.base_chain = index, chain
        self.terms, self.chains = array("Q"), array("I")

    def stand_at(self, last: int, chain_before: int | None) -> None:
        """The files say that the log ends there, at this point of reading: less was superseded, more is missing."""
        if last < self.last:
            if last >= self.base:
                self.truncate(last + 1)
            else:
                self.reset(last, chain_before or 0)
        elif last > self.last:
            if self.terms or self.base:
                self.gaps.append((self.last + 1, last))
            self.reset(last, chain_before or 0)

    def chain_at(self, index: int) -> int:
        return self.base_chain if index == self.base else self.chains[index - self.base - 1]

    def term_at(self, index: int) -> int:
        return self.terms[index - self.base - 1]

    def has(self, index: int) -> bool:
        return self.base < index <= self.last


class Difference(NamedTuple):
    at: int  # the first index at which they differ; 0: none was found
    probes: int
    below: bool  # they differ already where what both still have begins: the first difference lies in what a snapshot covers


def first_difference(one: Log, other: Log) -> Difference | None:
    """None: nothing can be compared."""
    low, high = max(one.base, other.base), min(one.last, other.last)
    if low > high or (low == high == 0):
        return None
    probes = 1
    if one.chain_at(low) != other.chain_at(low):
        # Both chains are known there only where one of them has no entry before it: the entry at `low` itself may be what differs.
        return Difference(low, probes, True)
    if one.chain_at(high) == other.chain_at(high):
        return Difference(0, probes + 1, False)
    while high - low > 1:  # equal at low, different at high
        middle = (low + high) // 2
        probes += 1
        if one.chain_at(middle) == other.chain_at(middle):
            low = middle
        else:
            high = middle
    return Difference(high, probes, False)


class Verdict(NamedTuple):
    label: str
    what: str
    term: int  # of its entry at the first difference; 0: it has none
    chain: int
    is_right: bool
    sentence: str


class Compared(NamedTuple):
    first: int  # index at which any two differ; 0: none do
    probes: int
    majority: bool  # of the logs that were given, more than half agree on what is right
    verdicts: list[Verdict]


def compare(logs: list[Log]) -> Compared:
    readable = [log for log in logs if not log.trouble]
    probes = 0
    first = 0
    comparable = dict.fromkeys((log.label for log in readable), 0)
    for number, one in enumerate(readable):
        for other in readable[number + 1 :]:
            found = first_difference(one, other)
            if found is None:
                continue
            probes += found.probes
            comparable[one.label] += 1
            comparable[other.label] += 1
            if found.at and (not first or found.at < first):
                first = found.at
    groups: dict[int, list[Log]] = {}
    if first:
        for log in readable:
            if log.has(first) or log.base == first:
                groups.setdefault(log.chain_at(first), []).append(log)
    largest = max(groups.values(), key=len, default=[])
    majority = 2 * len(largest) > len(logs)
    right = largest if majority else []
    there = [log for group in groups.values() for log in group]
    longest = max((log.last for log in readable), default=0)
    verdicts = [_judge(log, first, right, there, longest, comparable.get(log.label, 0), len(readable)) for log in logs]
    return Compared(first, probes, majority or not first, verdicts)


def _judge(log: Log, first: int, right: list[Log], there: list[Log], longest: int, comparable: int, readable: int) -> Verdict:
    if log.trouble:
        return Verdict(log.label, UNREADABLE, 0, 0, False, log.trouble)
    if readable > 1 and not comparable:
        return Verdict(log.label, CUT, 0, 0, False, f"it has entries {log.base + 1} to {log.last}, and no other log has any of these")
    if not first or not (log.has(first) or log.base == first):
        behind = longest - log.last
        what = BEHIND if behind else EQUAL
        before = f", before index {first}" if first and log.last < first else ""
        return Verdict(log.label, what, 0, 0, True, f"up to index {log.last}{before}" + (f", {behind} behind" if behind else ""))
    chain = log.chain_at(first)
    term = log.term_at(first) if log.has(first) else 0
    if log in right:
        return Verdict(log.label, EQUAL, term, chain, True, f"one of the {len(right)} that agree")
    if not term:
        return Verdict(
            log.label, DIVERGED, 0, chain, False, f"it differs at index {first} or before; what it had there is covered by its snapshot"
        )
    unsure = "" if right else "; no majority of the logs given agrees: give those of all members"
    their_terms = sorted({other.term_at(first) for other in right or there if other.has(first) and other.chain_at(first) != chain})
    if term in their_terms:
        same = f"index {first} is of term {term} like the others', with other bytes{unsure}"
        return Verdict(log.label, CORRUPT, term, chain, False, same)
    if log.snapshot_index >= first:
        theirs = ", ".join(map(str, their_terms)) or "none that is left"
        applied = f"it applied term {term} at index {first}, the others have term {theirs}{unsure}"
        return Verdict(log.label, DIVERGED, term, chain, False, applied)
    tail = log.last - first + 1
    legal = f"{tail} entries of term {term} that no majority has: legal, those that nobody follows are undone by the leader of a later term"
    return Verdict(log.label, UNCOMMITTED, term, chain, False, f"{legal}{unsure}")
