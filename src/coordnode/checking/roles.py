"""Who may do what, as the log says, beside what a guest was told; and whether the record of changes is whole. Pure.

A leader judges by what it has applied: not more than what is committed now, and, of whom it lets in, not less than what was answered before
the guest asked. A denial needs no round, so one that was deposed and does not know it yet may deny by what it knew.
"""

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from coordnode.errors import PromiseBroken

Place = tuple[int, int]  # in the log


class Grant(NamedTuple):
    area: int
    prefix: bytes


class Record(NamedTuple):
    number: int
    previous: bytes
    chain: bytes
    digest: bytes  # what `chain` must be, worked out anew


class Roles:
    """Of one guest, who has one token and asks for one name of one area."""

    def __init__(self, token: bytes, area: int, name: bytes) -> None:
        self._token = token
        self._area = area
        self._name = name
        self._roles: dict[str, tuple[Grant, ...]] = {}
        self._users: dict[str, tuple[str, ...]] = {}
        self._tokens: dict[bytes, str] = {}
        self._may = [False]  # at first, and after each change
        self._places: list[Place] = []  # of the changes
        self.known = 0  # so many changes were answered

    # --- in the order of the log -----------------------------------------------------------------------------------

    def set_role(self, name: str, grants: Sequence[Grant]) -> None:
        self._roles[name] = tuple(grants)

    def remove_role(self, name: str) -> None:
        del self._roles[name]

    def set_user(self, name: str, roles: tuple[str, ...]) -> None:
        self._users[name] = roles

    def remove_user(self, name: str) -> None:
        del self._users[name]
        self._tokens = {token: user for token, user in self._tokens.items() if user != name}

    def add_token(self, user: str, token: bytes) -> None:
        self._tokens[token] = user

    def remove_token(self, token: bytes) -> None:
        del self._tokens[token]

    def changed(self, place: Place) -> None:
        """What was said since the last time, all of it there; also of what changes no role and stands on record."""
        self._places.append(place)
        self._may.append(self._may_now())

    def _may_now(self) -> bool:
        user = self._tokens.get(self._token)
        if user is None:
            return False  # a token that nobody has is nobody's, also while there are no roles
        grants = [grant for role in self._users[user] for grant in self._roles[role]]
        return not self._roles or any([grant.area == self._area and self._name.startswith(grant.prefix) for grant in grants])

    def missing(self) -> str:
        """What the guest lacks first on its way in: a role of anybody's, a user with one, a token of its; "": it depends on the grants."""
        if not self._roles:
            return "role"
        if not any(self._users.values()):
            return "user"
        return "" if self._token in self._tokens else "token"

    # --- what was told -----------------------------------------------------------------------------------------------

    def answered(self, place: Place) -> None:
        """Somebody was told of a change there."""
        self.known = max(self.known, bisect_right(self._places, place))

    def must_fit(self, known: int, *, was_let_in: bool, words: str) -> None:
        """The guest asked when so many changes were known, or could be by who denied it, and was told now."""
        if was_let_in not in self._may[known:]:
            sentence = f"the guest was told {words!r}, and since change {known} of {len(self._places)} the roles say otherwise"
            raise PromiseBroken("roles-in-force", sentence, (known, len(self._places), was_let_in))

    def must_be_whole(self, records: Sequence[Record]) -> None:
        """All there are."""
        previous = b""
        for number, record in enumerate(records, start=1):
            if (record.number, record.previous, record.chain) != (number, previous, record.digest):
                raise PromiseBroken("audit-chain", f"record {number} of who changed what does not follow the one before", record)
            previous = record.chain
        if len(records) != len(self._places):
            sentence = f"{len(self._places)} changes were made, and {len(records)} are on record"
            raise PromiseBroken("audit-chain", sentence, (len(self._places), len(records)))
