"""What elections promise, followed in the order of the log: who leads and who stands by the rules, beside what was answered and told. Pure.

Each contradiction is named: election-answer, election-order, election-tokens, election-observed, election-told.
"""

from collections.abc import Sequence
from typing import Any, Final

from coordnode.errors import PromiseBroken

LEADS: Final = 0
PROCLAIMED: Final = 1
VACANT: Final = 2

REFUSED: Final = "refused"

Told = tuple[int, bytes, int, int, str, bytes]  # kind, election, token, session, candidate, value


class Candidate:
    __slots__ = ("candidate", "number", "session", "since_ms", "ticket", "value")

    def __init__(self, number: int, session: int, candidate: str, value: bytes, since_ms: int) -> None:
        self.number = number  # the token of who leads (0: not told yet), the ticket of who stands
        self.ticket = number
        self.session = session
        self.candidate = candidate
        self.value = value
        self.since_ms = since_ms  # it leads, or stands


class ElectionTruth:
    def __init__(self) -> None:
        self.leaders: dict[bytes, Candidate] = {}
        self.lines: dict[bytes, list[Candidate]] = {}
        self.now_ms = 0  # of the last command, as the cluster counts
        self.followed = self.handed_over = 0  # how often: the next in line, one that was named
        self._token = self._ticket = 0  # the newest
        self._expected: list[tuple[int, bytes, Candidate | None]] = []  # what observers must be told of the last command
        self._values: list[bytes] = []  # beside each of these
        self._taken: list[tuple[int, bytes, int]] = []  # by it: session, election and token of who was deposed
        self._elected: list[tuple[bytes, Candidate]] = []  # by it, after having stood

    def claims(self, session: int) -> list[tuple[bytes, int]]:
        """Elections and numbers of what a session leads and stands for."""
        led = [(name, number) for name, one in self.leaders.items() if one.session == session for number in (one.number, one.ticket)]
        return led + [(name, one.ticket) for name, line in self.lines.items() for one in line if one.session == session]

    def candidates(self, name: bytes) -> list[str]:
        return [one.candidate for one in self.lines.get(name, [])]

    def tokens(self) -> list[tuple[bytes, int]]:
        return [(name, one.number) for name, one in self.leaders.items()]

    # --- what the log says ---------------------------------------------------------------------------------------------

    def campaigned(self, session: int, name: bytes, value: bytes, candidate: str, wait: bool, answer: tuple[Any, ...]) -> None:
        """answer: ("elected", token), ("queued", ticket, ahead), ("led", session)"""
        leader = self.leaders.get(name)
        line = self.lines.setdefault(name, [])
        if leader is None:
            self._expect(
                answer[0] == "elected", f"session {session} stands for {name!r}, which nobody leads, and is answered {answer}", name
            )
            self._lead(name, Candidate(answer[1], session, candidate, value, self.now_ms))
        elif wait:
            right = answer[0] == "queued" and answer[2] == len(line)
            self._expect(right, f"session {session} stands for {name!r} behind {len(line)} and is answered {answer}", name)
            if answer[1] <= max(self._token, self._ticket):
                raise PromiseBroken("election-tokens", f"ticket {answer[1]} was given out after {max(self._token, self._ticket)}", None)
            self._ticket = answer[1]
            line.append(Candidate(answer[1], session, candidate, value, self.now_ms))
        else:
            right = answer == ("led", leader.session)
            self._expect(right, f"session {session} will not wait to lead {name!r} and is answered {answer}", name)

    def proclaimed(self, session: int, name: bytes, token: int, value: bytes, is_done: bool) -> None:
        leader = self.leaders.get(name)
        is_right = leader is not None and leader.number == token and leader.session == session
        self._expect(is_done == is_right, f"session {session} proclaims with token {token} in {name!r}: {is_done}", name)
        if is_right and leader is not None:
            leader.value = value
            self._note(PROCLAIMED, name, leader)

    def resigned(self, session: int, name: bytes, number: int, to: str, answer: tuple[Any, ...]) -> None:
        """answer: ("resigned", token), token 0: it only stood; ("refused",)"""
        leader = self.leaders.get(name)
        expected: tuple[Any, ...] = (REFUSED,)
        standing = [one for one in self.lines.get(name, []) if one.ticket == number]
        if standing:
            if standing[0].session == session and not to:
                expected = ("resigned", 0)
                self.lines[name].remove(standing[0])
        elif (
            leader is not None
            and number in (leader.number, leader.ticket)
            and leader.session == session
            and (not to or to in self.candidates(name))
        ):
            expected = ("resigned", leader.number)
            self._follow(name, to)
        self._expect(answer == expected, f"session {session} resigns {number} of {name!r} to {to!r}: {answer}, not {expected}", name)

    def deposed(self, name: bytes, token: int, to: str, is_done: bool) -> None:
        leader = self.leaders.get(name)
        is_right = leader is not None and token in (0, leader.number) and (not to or to in self.candidates(name))
        self._expect(is_done == is_right, f"deposing token {token} of {name!r} in favour of {to!r}: {is_done}", name)
        if is_right and leader is not None:
            self._taken.append((leader.session, name, leader.number))
            self._follow(name, to)

    def session_ended(self, session: int) -> bool:
        """Whether observers must be told."""
        for name, line in self.lines.items():
            self.lines[name] = [one for one in line if one.session != session]
        led = [name for name, leader in self.leaders.items() if leader.session == session]
        for name in sorted(led):
            self._follow(name, "")
        return bool(led)

    # --- what is told --------------------------------------------------------------------------------------------------

    def told(self, events: Sequence[Told], given: Sequence[tuple[int, bytes, int, int]], taken: list[tuple[int, bytes, int]]) -> None:
        """Of the last command: what observers see, and the notices (session, election, ticket, token), (session, election, token)."""
        expected, self._expected = self._expected, []
        values, self._values = self._values, []
        elected, self._elected = self._elected, []
        for kind, name, token, session, _, _ in events:
            if kind == LEADS:
                if token <= self._token:
                    raise PromiseBroken("election-tokens", f"session {session} leads {name!r} by token {token}, after {self._token}", None)
                self._token = token
        for name in dict.fromkeys([event[1] for event in events] + [each[1] for each in expected]):
            seen = [event for event in events if event[1] == name]
            wanted = [(kind, one, value) for (kind, of, one), value in zip(expected, values, strict=True) if of == name]
            if len(seen) != len(wanted):
                raise PromiseBroken("election-observed", f"observers of {name!r} are told {seen}; {len(wanted)} things happened", seen)
            for (kind, _, token, session, candidate, value), (what, one, now) in zip(seen, wanted, strict=True):
                self._hold(name, (kind, session, candidate, value), (what, one, now), token)
        left = list(given)
        for name, one in elected:
            notice = (one.session, name, one.ticket, one.number)
            if notice not in left:
                raise PromiseBroken(
                    "election-told", f"session {one.session} is not told that its ticket {one.ticket} leads {name!r}", given
                )
            left.remove(notice)
        deposed, self._taken = self._taken, []
        if deposed != taken:
            raise PromiseBroken("election-told", f"of ended leaderships {taken} are told; {deposed} were ended by operators", given)
        if left:
            raise PromiseBroken("election-told", f"sessions are told that they lead, and do not: {left}", given)

    def _hold(self, name: bytes, seen: tuple[int, int, str, bytes], wanted: tuple[int, Candidate | None, bytes], token: int) -> None:
        kind, one, value = wanted
        is_told = (one.session, one.candidate, value) if one is not None else None
        if seen[0] == LEADS and kind == LEADS and one is not None and seen[1] != one.session:
            sentence = f"session {seen[1]} leads {name!r}; the next was session {one.session} ({one.candidate!r})"
            raise PromiseBroken("election-order", sentence, (seen, is_told))
        if seen[0] != kind or (is_told is not None and seen[1:] != is_told):
            raise PromiseBroken("election-observed", f"observers of {name!r} are told {seen}, not {(kind, is_told)}", (seen, is_told))
        if one is None:
            return
        if kind == LEADS and not one.number:
            one.number = token
        elif one.number != token:
            raise PromiseBroken("election-observed", f"observers of {name!r} are told of token {token}, not {one.number}", (seen, is_told))

    # --- the rules -----------------------------------------------------------------------------------------------------

    def _follow(self, name: bytes, to: str) -> None:
        del self.leaders[name]
        line = self.lines.get(name, [])
        if not line:
            self._note(VACANT, name, None)
            return
        following = next((one for one in line if one.candidate == to), line[0]) if to else line[0]
        line.remove(following)
        following.number = 0
        following.since_ms = self.now_ms
        self.handed_over += bool(to)
        self.followed += not to
        self._elected.append((name, following))
        self._lead(name, following)

    def _lead(self, name: bytes, one: Candidate) -> None:
        self.leaders[name] = one
        self._note(LEADS, name, one)

    def _note(self, kind: int, name: bytes, one: Candidate | None) -> None:
        self._expected.append((kind, name, one))
        self._values.append(one.value if one is not None else b"")

    def _expect(self, is_right: bool, sentence: str, name: bytes) -> None:
        if not is_right:
            leader = self.leaders.get(name)
            led = (leader.number, leader.ticket, leader.session) if leader is not None else None
            line = [(one.ticket, one.session, one.candidate) for one in self.lines.get(name, [])]
            raise PromiseBroken("election-answer", sentence, {"leader": led, "line": line})
