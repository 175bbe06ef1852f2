"""Elections: two of them, candidates of few names, hand-over and operators; the rules are followed in the order of the log."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from coordnode.checking import shown
from coordnode.checking.elections import VACANT, ElectionTruth, Told
from coordnode.client.actions import Finished
from coordnode.ids import SessionId, Token
from coordnode.services.commands import (
    ELECTIONS,
    NOTICES,
    Campaign,
    Candidacies,
    Candidate,
    CandidateQueued,
    Command,
    Depose,
    Elected,
    ElectionInfo,
    ElectionPage,
    ElectionView,
    Failure,
    Leader,
    LeadershipGiven,
    LeadershipTaken,
    LedAlready,
    ListElections,
    OpenSession,
    Proclaim,
    ReadCandidacies,
    ReadElection,
    ReadOperation,
    Resign,
    Resigned,
    Result,
    SessionOpened,
    decode_leader_change,
    decode_notice,
)
from coordnode.simulator import marks
from coordnode.simulator.client import SimClient
from coordnode.simulator.reference import EventRow
from coordnode.simulator.services.service import SimService, Stage, Step
from coordnode.simulator.vocabulary import Words, other, other_read

NAMES = (b"election/a", b"election/b")
CANDIDATES = ("", "a", "b", "c")


class SimElections(SimService):
    WORDS: ClassVar[Mapping[type, Words]] = {
        Campaign: other("campaign"),
        Proclaim: other("proclaim"),
        Resign: other("resign"),
        Depose: other("depose"),
        ReadElection: other_read("election"),
        ListElections: other_read("elections"),
        ReadCandidacies: other_read("candidacies"),
    }

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self._truth = ElectionTruth()
        self._reads: dict[tuple[int, int], ReadOperation] = {}  # by client and call

    def steps(self) -> Mapping[Step, int]:
        return {self._campaign: 7, self._proclaim: 4, self._resign: 6, self._depose: 1, self._read: 2}

    def first_command(self, client: SimClient) -> Campaign:
        return self._draw(client)

    # --- the steps -----------------------------------------------------------------------------------------------------

    def _draw(self, client: SimClient) -> Campaign:
        chance = self.stage.chance.random
        candidate = CANDIDATES[int(chance() * len(CANDIDATES))]
        return Campaign(self._name(), self.stage.new_value(client)[:100], candidate, chance() < 0.8)

    def _name(self) -> bytes:
        return NAMES[int(self.stage.chance.random() * len(NAMES))]

    def _claim(self, client: SimClient, session: int) -> tuple[bytes, int] | None:
        """Most often something of its own."""
        claims = self._truth.claims(int(client.sessions[session]))
        if self.stage.chance.random() < 0.15:
            claims = [(name, leader.number) for name, leader in self._truth.leaders.items() if leader.number]
        return claims[int(self.stage.chance.random() * len(claims))] if claims else None

    def _campaign(self, client: SimClient) -> None:
        session = self.stage.usable_session(client)
        if session:
            self.stage.call(client, self._draw(client), session=session)

    def _proclaim(self, client: SimClient) -> None:
        session = self.stage.usable_session(client)
        claim = self._claim(client, session) if session else None
        if claim is not None:
            self.stage.call(client, Proclaim(claim[0], Token(claim[1]), self.stage.new_value(client)[:100]), session=session)

    def _resign(self, client: SimClient) -> None:
        session = self.stage.usable_session(client)
        claim = self._claim(client, session) if session else None
        if claim is not None:
            self.stage.call(client, Resign(claim[0], Token(claim[1]), self._to(claim[0])), session=session)

    def _to(self, name: bytes) -> str:
        chance = self.stage.chance.random
        named = [candidate for candidate in self._truth.candidates(name) if candidate] or ["nobody"]
        return named[int(chance() * len(named))] if chance() < 0.4 else ""

    def _depose(self, client: SimClient) -> None:
        name = self._name()
        leader = self._truth.leaders.get(name)
        token = leader.number if leader is not None and self.stage.chance.random() < 0.5 else 0
        self.stage.write(client, Depose(name, Token(token), self._to(name), "why", client.name))

    def _read(self, client: SimClient) -> None:
        chance = self.stage.chance.random
        session = self.stage.usable_session(client)
        operation: ReadOperation
        if session and chance() < 0.3:
            operation = ReadCandidacies(SessionId(client.sessions[session]))
        elif chance() < 0.5:
            operation = ReadElection(self._name(), limit=int(chance() * 3))
        else:
            operation = ListElections(limit=int(chance() * 2))
        self._reads[client.number, self.stage.call(client, operation, stale=chance() < 0.3)] = operation

    def on_finished(self, client: SimClient, finished: Finished) -> None:
        operation, result, truth = self._reads.pop((client.number, finished.call), None), finished.result, self._truth
        if operation is None or not self.stage.recording.is_newest(finished.index):
            return
        if isinstance(operation, ReadElection) and isinstance(result, ElectionView):
            line = tuple([(int(one.ticket), int(one.session), one.candidate, one.value) for one in result.candidates])
            seen = (_info(result.election), (line, result.more))
            shown.must_be(f"election {operation.name!r}", seen, shown.election(truth, operation.name, operation.limit))
            self._check_people(operation.name, result)
        elif isinstance(operation, ListElections) and isinstance(result, ElectionPage):
            listed = (tuple([_info(info) for info in result.elections]), result.more)
            shown.must_be("the list of elections", listed, shown.elections(truth, operation.limit))
        elif isinstance(operation, ReadCandidacies) and isinstance(result, Candidacies):
            claims = (tuple([(each.name, int(each.token), int(each.ticket)) for each in result.candidacies]), result.more)
            shown.must_be(f"what session {operation.session} stands for", claims, shown.candidacies(truth, int(operation.session)))

    def _check_people(self, name: bytes, view: ElectionView) -> None:
        """Whose leadership and candidacies they are, and since when."""
        truth, presence = self._truth, self.stage.presence
        leader = view.election.leader if view.election is not None else None
        people: list[Leader | Candidate] = [*([leader] if leader is not None else []), *view.candidates]
        owners = [presence.owner_of(int(one.session)) for one in people]
        shown.must_be(f"who leads and stands in election {name!r}", [one.owner for one in people], owners)
        line = zip(truth.lines.get(name, []), view.candidates, strict=False)
        times = [(one.since_ms, candidate.waited_ms) for one, candidate in line]
        if leader is not None:
            times.append((truth.leaders[name].since_ms, leader.led_ms))
        shown.times_must_agree(f"how long election {name!r} is led", times, *self.stage.recording.read_between_ms())

    def tokens(self) -> list[tuple[bytes, int]]:
        return self._truth.tokens()

    # --- the truth -----------------------------------------------------------------------------------------------------

    def on_effect(self, place: tuple[int, int], cluster_ms: int, command: Command, result: Result) -> None:
        operation, session = command.operation, int(command.session)
        truth = self._truth
        truth.now_ms = cluster_ms
        if isinstance(operation, OpenSession):
            if isinstance(result, SessionOpened) and isinstance(operation.first, Campaign):
                self._campaigned(int(result.session), operation.first, result.first)
        elif isinstance(operation, Campaign):
            self._campaigned(session, operation, result)
        elif isinstance(result, Failure) and result.code not in range(31, 36):
            return  # refused by the rules of sessions, sizes or levels
        elif isinstance(operation, Proclaim):
            truth.proclaimed(session, operation.name, int(operation.token), operation.value, not isinstance(result, Failure))
        elif isinstance(operation, Resign):
            answer: tuple[object, ...] = ("resigned", int(result.token)) if isinstance(result, Resigned) else ("refused",)
            truth.resigned(session, operation.name, int(operation.number), operation.to, answer)
        elif isinstance(operation, Depose):
            truth.deposed(operation.name, int(operation.token), operation.to, not isinstance(result, Failure))

    def _campaigned(self, session: int, operation: Campaign, result: object) -> None:
        answer: tuple[object, ...]
        if isinstance(result, Elected):
            answer = ("elected", int(result.token))
        elif isinstance(result, CandidateQueued):
            answer = ("queued", int(result.ticket), result.ahead)
        elif isinstance(result, LedAlready):
            answer = ("led", int(result.leader.session))
        else:
            return
        self._truth.campaigned(session, operation.name, operation.value, operation.candidate, operation.wait, answer)

    def on_session_end(self, session: int, cluster_ms: int) -> bool:
        return self._truth.session_ended(session)

    def on_changes(self, changes: Sequence[tuple[int, Sequence[EventRow]]]) -> None:
        told: list[Told] = []
        given: list[tuple[int, bytes, int, int]] = []
        taken: list[tuple[int, bytes, int]] = []
        for _, events in changes:
            for kind, key, value, _, session, space in events:
                if space == ELECTIONS:
                    change = decode_leader_change(value)
                    led = session if kind != VACANT else 0
                    told.append((kind, key, int(change.token), led, change.candidate, change.value))
                elif space == NOTICES and kind == ELECTIONS:
                    notice = decode_notice(value)
                    if isinstance(notice, LeadershipGiven):
                        given.append((session, notice.name, int(notice.ticket), int(notice.token)))
                    elif isinstance(notice, LeadershipTaken):
                        taken.append((session, notice.name, int(notice.token)))
        truth = self._truth
        truth.told(told, given, taken)
        if truth.followed:
            self.stage.marks.reach(marks.LEADER_FOLLOWED)
        if truth.handed_over:
            self.stage.marks.reach(marks.LEADERSHIP_HANDED_OVER)
        truth.followed = truth.handed_over = 0


def _info(info: ElectionInfo | None) -> object:
    if info is None:
        return None
    leader = info.leader
    return info.name, int(leader.token), int(leader.session), leader.candidate, leader.value, info.candidates
