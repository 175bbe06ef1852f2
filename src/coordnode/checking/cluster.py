"""What a whole cluster promises about its log and its state, checked as it runs. Pure, and a dictionary look-up per fact.

The simulator tells these checks what each member did; the first contradiction raises PromiseBroken, named after the
check. Whatever they are told of again (a member that restarts and applies anew) must be what they were told before.
"""

from collections.abc import Callable, Hashable
from typing import ClassVar

from coordnode.errors import PromiseBroken


class OneLeaderPerTerm:
    name: ClassVar[str] = "one-leader-per-term"

    def __init__(self) -> None:
        self._leaders: dict[int, int] = {}

    def observe(self, term: int, member: int) -> None:
        known = self._leaders.setdefault(term, member)
        if known != member:
            raise PromiseBroken(self.name, f"members {known} and {member} both lead term {term}", (term, known, member))


class CommittedEntries:
    """Log matching, durability of what is committed, and leader completeness.

    `content` is whatever tells one entry from another: its chain hash (best: it speaks for all before it) or its bytes.
    """

    name: ClassVar[str] = "committed-entries"

    def __init__(self) -> None:
        self._entries: dict[int, tuple[int, Hashable, int]] = {}  # index → (term, content, who said so first)
        self._committed_by_term: dict[int, int] = {}  # term of whoever knew → highest index known to be committed
        self.committed_max = 0

    def observe(self, member: int, member_term: int, index: int, term: int, content: Hashable) -> None:
        """`member`, being in `member_term`, holds entry `index` to be committed."""
        known = self._entries.get(index)
        if known is None:
            self._entries[index] = (term, content, member)
            if index > self.committed_max:
                self.committed_max = index
        elif known[0] != term or known[1] != content:
            sentence = f"entry {index} is committed as term {known[0]} at member {known[2]} and as term {term} at member {member}"
            if known[0] == term:
                sentence += ", with another content"
            raise PromiseBroken(self.name, sentence, (index, known, (term, content, member)))
        if index > self._committed_by_term.get(member_term, 0):
            self._committed_by_term[member_term] = index

    def observe_leader(
        self, member: int, term: int, first_index: int, last_index: int, entry_at: Callable[[int], tuple[int, Hashable]]
    ) -> None:
        """`member` begins to lead `term`. Its log holds [first_index, last_index]; below that is its snapshot.

        Only what was committed in an earlier term must be there: a leader elected late by votes long under way may be
        overtaken already. What somebody in a term below ours holds to be committed was committed below ours.
        """
        needed = max([index for known_in, index in self._committed_by_term.items() if known_in < term], default=0)
        if last_index < needed:
            sentence = f"member {member} leads term {term} with a log that ends at {last_index}; {needed} was committed before"
            raise PromiseBroken("leader-completeness", sentence, (term, member, last_index, needed))
        for index in range(needed, first_index - 1, -1):
            known = self._entries.get(index)
            if known is None:
                continue
            held = entry_at(index)
            if held != known[:2]:
                sentence = f"member {member} leads term {term} with another entry {index} than the committed one"
                raise PromiseBroken("leader-completeness", sentence, (index, known, held))

    def entry(self, index: int) -> tuple[int, Hashable] | None:
        """(term, content) of a committed entry."""
        known = self._entries.get(index)
        return None if known is None else known[:2]


class LogMatching:
    """Entries of one index and term are the same everywhere, committed or not. Told of each entry that a member appends."""

    name: ClassVar[str] = "log-matching"

    def __init__(self) -> None:
        self._entries: dict[tuple[int, int], tuple[Hashable, int]] = {}

    def observe(self, member: int, index: int, term: int, content: Hashable) -> None:
        known = self._entries.setdefault((index, term), (content, member))
        if known[0] != content:
            sentence = f"entry {index} of term {term} differs between members {known[1]} and {member}"
            raise PromiseBroken(self.name, sentence, (index, term, known, (content, member)))

    def forget_below(self, index: int) -> None:
        """Bounds the memory of a long run."""
        self._entries = {key: known for key, known in self._entries.items() if key[0] >= index}


class StateAgreement:
    name: ClassVar[str] = "state-agreement"

    def __init__(self) -> None:
        self._states: dict[int, tuple[Hashable, int]] = {}
        self._dumps: dict[int, tuple[Hashable, int]] = {}

    def observe(self, member: int, applied: int, digest: Hashable, dump: Hashable = None) -> None:
        """`dump`: a hash over all of the state by another way than the digest's own, when one was made; None: not now."""
        known = self._states.setdefault(applied, (digest, member))
        if known[0] != digest:
            self._raise("digests", applied, known, (digest, member))
        if dump is not None:
            known = self._dumps.setdefault(applied, (dump, member))
            if known[0] != dump:
                self._raise("states behind equal digests", applied, known, (dump, member))

    def _raise(self, what: str, applied: int, known: tuple[Hashable, int], now: tuple[Hashable, int]) -> None:
        raise PromiseBroken(self.name, f"the {what} of members {known[1]} and {now[1]} differ at index {applied}", (applied, known, now))

    def forget_below(self, applied: int) -> None:
        """Bounds the memory of a long run."""
        self._states = {index: known for index, known in self._states.items() if index >= applied}
        self._dumps = {index: known for index, known in self._dumps.items() if index >= applied}


class TokensIncrease:
    """One counter for all grants: in the order of the log each token is above the one before, and below the bound."""

    name: ClassVar[str] = "tokens-increase"

    def __init__(self, token_max: int = 2**53 - 1) -> None:
        self._granted: dict[tuple[int, int], int] = {}  # place in the log → token
        self._newest: tuple[int, int] = (0, 0)
        self._token_max = token_max

    def observe(self, index: int, position: int, token: int) -> None:
        """The command at that place was granted `token`; each member that applies it may say so."""
        place = (index, position)
        known = self._granted.get(place)
        if known is not None:
            if known != token:
                raise PromiseBroken(self.name, f"the grant at {place} has token {known} here and {token} there", (place, known, token))
            return
        newest = self._granted.get(self._newest, 0)
        if place > self._newest:
            if token <= newest:
                raise PromiseBroken(self.name, f"token {token} at {place} is not above {newest} at {self._newest}", (place, token, newest))
            self._newest = place
        elif token >= newest:
            raise PromiseBroken(self.name, f"token {token} at {place} is not below {newest} at {self._newest}", (place, token, newest))
        if token > self._token_max:
            raise PromiseBroken(self.name, f"token {token} at {place} is beyond {self._token_max}", (place, token))
        self._granted[place] = token
