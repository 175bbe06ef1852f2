"""Elections: one leader at a time, with a token and a value; candidates in line, unless a leader hands over to one by name. Pure.

An election exists while somebody leads it: a vacancy with candidates does not last, it is filled in the same entry.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import msgspec

from coordnode.errors import BadRequest, CoordError, Full, Missing, NotHeld, StateFull, TooLarge
from coordnode.ids import SessionId, Token
from coordnode.services.commands import (
    ELECTIONS,
    LEADS,
    PROCLAIMED,
    RESIGNED,
    SESSION_OVER,
    VACANT,
    Campaign,
    Candidacies,
    Candidacy,
    Candidate,
    CandidateQueued,
    Depose,
    Done,
    Elected,
    ElectionInfo,
    ElectionPage,
    ElectionView,
    Leader,
    LeaderChange,
    LeadershipGiven,
    LeadershipTaken,
    LedAlready,
    ListElections,
    Proclaim,
    ReadCandidacies,
    ReadElection,
    Resign,
    Resigned,
    Result,
    encode,
)
from coordnode.services.context import Check, Context, Service, failure
from coordnode.services.names import check_name, check_page, check_text, page_of
from coordnode.services.numbered import check_claimed, check_number, check_rows, key_of, name_of, number_of, page_of_rows, rows_of
from coordnode.services.rights import ADMIN, ELECT, MANAGE, PREFIX, READ, SESSION, USE, Rights, needs
from coordnode.services.state import Settings
from coordnode.services.tables import Table

LEADERS_ID = 30
CANDIDATES_ID = 31
BY_LABEL_ID = 32

ELECTION_CHARGE_BYTES = 400
CANDIDATE_CHARGE_BYTES = 500


class Led(msgspec.Struct, frozen=True, array_like=True, gc=False, forbid_unknown_fields=True):
    token: Token
    session: SessionId
    candidate: str
    value: bytes
    since_wall_ms: int  # to be shown; no rule reads it
    since_ms: int
    ticket: Token  # with which it stood; 0: it led at once
    candidates: int  # who wait


class Standing(msgspec.Struct, frozen=True, array_like=True, gc=False, forbid_unknown_fields=True):
    session: SessionId
    candidate: str
    value: bytes
    since_wall_ms: int
    since_ms: int


def _check_campaign(operation: Campaign, settings: Settings) -> CoordError | None:
    return (
        check_name("election", operation.name, settings)
        or _check_value(operation.value, settings)
        or check_text("candidate's name", operation.candidate, settings.name_bytes_max)
    )


def _check_value(value: bytes, settings: Settings) -> CoordError | None:
    if len(value) <= settings.candidate_value_bytes_max:
        return None
    return TooLarge(f"a leader's value has {len(value)} bytes, at most {settings.candidate_value_bytes_max}; put it under a key, name that")


def _check_proclaim(operation: Proclaim, settings: Settings) -> CoordError | None:
    return (
        check_name("election", operation.name, settings)
        or check_number(operation.token, "the leader's token")
        or _check_value(operation.value, settings)
    )


def _check_resign(operation: Resign, settings: Settings) -> CoordError | None:
    return (
        check_name("election", operation.name, settings)
        or check_number(operation.number, "the token or ticket to resign")
        or check_text("candidate's name", operation.to, settings.name_bytes_max)
    )


def _check_depose(operation: Depose, settings: Settings) -> CoordError | None:
    if operation.token and (error := check_number(operation.token, "the token to end")) is not None:
        return error
    return (
        check_name("election", operation.name, settings)
        or check_text("candidate's name", operation.to, settings.name_bytes_max)
        or check_text("reason", operation.reason, settings.note_bytes_max)
        or check_text("name of who deposes", operation.by, settings.note_bytes_max)
    )


def _check_read(operation: ReadElection, settings: Settings) -> CoordError | None:
    return check_name("election", operation.name, settings) or check_rows(operation.limit, operation.after_ticket)


def _check_list(operation: ListElections, settings: Settings) -> CoordError | None:
    return check_page("election", operation.prefix, operation.after, operation.limit, settings)


def _check_candidacies(operation: ReadCandidacies, settings: Settings) -> CoordError | None:
    return check_claimed(operation.session, operation.after_name, operation.after_number, operation.limit, settings)


class Elections(Service):
    LEVELS: ClassVar[Mapping[type, int]] = {
        Campaign: 3,
        Proclaim: 3,
        Resign: 3,
        Depose: 3,
        ReadElection: 3,
        ListElections: 3,
        ReadCandidacies: 3,
    }
    RIGHTS: ClassVar[Mapping[type, Rights]] = {
        Campaign: needs(ELECT, USE),
        Proclaim: needs(ELECT, USE),
        Resign: needs(ELECT, USE),
        Depose: needs(ELECT, MANAGE),
        ReadElection: needs(ELECT, READ),
        ListElections: needs(ELECT, READ, "prefix", PREFIX),
        ReadCandidacies: needs(ADMIN, READ, "session", SESSION),
    }
    CHECKS: ClassVar[Mapping[type, Check]] = {
        Campaign: _check_campaign,
        Proclaim: _check_proclaim,
        Resign: _check_resign,
        Depose: _check_depose,
        ReadElection: _check_read,
        ListElections: _check_list,
        ReadCandidacies: _check_candidacies,
    }
    ADDS_DATA: ClassVar[tuple[type, ...]] = (Campaign, Proclaim)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.led: Table[Led] = Table(LEADERS_ID, Led)  # by name
        self.standing: Table[Standing] = Table(CANDIDATES_ID, Standing)  # name, ticket: in the order of the line
        self._by_label: Table[int] = Table(BY_LABEL_ID, int)  # name, zero byte, candidate's name, zero byte, ticket -> 1
        self.containers = (self.led, self.standing, self._by_label)
        self.routes = {Campaign: self.campaign, Proclaim: self.proclaim, Resign: self.resign, Depose: self.depose}
        self.reads = {ReadElection: self.view, ListElections: self.page, ReadCandidacies: self.candidacies}

    # --- campaign, proclaim --------------------------------------------------------------------------------------------

    def campaign(self, operation: Campaign) -> Result:
        context = self.context
        session, name = context.session, operation.name
        if not session:
            return failure(BadRequest(f"a session stands for election {_show(name)}, and the command names none; open one first"))
        led = self.led.get(name)
        if led is not None and not operation.wait:
            return LedAlready(context.scalars.revision, self._leader(led))
        settings = context.settings
        if led is not None and led.candidates >= settings.candidates_max:
            return failure(Full(f"{led.candidates} stand for election {_show(name)}, the most there may be; try again later"))
        if len(context.holdings.claims(session, ELECTIONS)) >= settings.session_locks_max:
            return failure(
                Full(f"session {session} stands for {settings.session_locks_max} elections, the most there may be; use another session")
            )
        standing = Standing(session, operation.candidate, operation.value, context.wall_ms, context.cluster_ms)
        charge = _charge(name, standing)
        if not context.has_room(charge + ELECTION_CHARGE_BYTES):
            return failure(self._no_room(charge))
        context.scalars.state_bytes += charge
        if led is None:
            context.scalars.state_bytes += ELECTION_CHARGE_BYTES
            token = self._lead(name, standing, Token(0), 0)
            return Elected(context.publish(), token)
        ticket = context.holdings.next_number()
        key = key_of(name, ticket)
        self.standing.set(key, standing)
        self._by_label.set(_label_key(name, standing.candidate, ticket), 1)
        context.holdings.claim(session, ELECTIONS, key)
        self.led.set(name, msgspec.structs.replace(led, candidates=led.candidates + 1))
        return CandidateQueued(context.scalars.revision, ticket, led.candidates, self._leader(led))

    def proclaim(self, operation: Proclaim) -> Result:
        context = self.context
        name = operation.name
        led = self.led.get(name)
        if led is None or led.token != operation.token:
            return failure(self._stale(name, operation.token, led))
        if led.session != context.session:
            return failure(NotHeld(f"election {_show(name)} is led by session {led.session}, not by session {context.session}"))
        grown = len(operation.value) - len(led.value)
        if grown > 0 and not context.has_room(grown):
            return failure(self._no_room(grown))
        context.scalars.state_bytes += grown
        led = msgspec.structs.replace(led, value=operation.value)
        self.led.set(name, led)
        self._tell(PROCLAIMED, name, led)
        return Done(context.publish())

    # --- the end of a leadership ---------------------------------------------------------------------------------------

    def resign(self, operation: Resign) -> Result:
        context = self.context
        name, number, session = operation.name, operation.number, context.session
        key = key_of(name, number)
        standing = self.standing.get(key)
        led = self.led.get(name)
        if standing is not None:
            if standing.session != session:
                return failure(NotHeld(f"session {standing.session} stands for {_show(name)} with ticket {number}, not session {session}"))
            if operation.to:
                return failure(NotHeld(f"only who leads election {_show(name)} can hand it over, and ticket {number} does not"))
            self._withdraw(key, standing)
            return Resigned(context.scalars.revision, Token(0))
        if led is None or number not in (led.token, led.ticket):
            return failure(self._stale(name, number, led))
        if led.session != session:
            return failure(NotHeld(f"election {_show(name)} is led by session {led.session}, not by session {session}"))
        if operation.to and self._find(name, operation.to) is None:
            return failure(Missing(f"nobody called {operation.to} stands for election {_show(name)}; read who does"))
        self._end(name, led, RESIGNED, operation.to)
        return Resigned(context.publish(), led.token)

    def depose(self, operation: Depose) -> Result:
        context = self.context
        name = operation.name
        led = self.led.get(name)
        if led is None:
            return failure(Missing(f"nobody leads election {_show(name)}: there is nobody to depose"))
        if operation.token and led.token != operation.token:
            return failure(self._stale(name, operation.token, led))
        if operation.to and self._find(name, operation.to) is None:
            return failure(Missing(f"nobody called {operation.to} stands for election {_show(name)}; read who does"))
        context.notify(led.session, ELECTIONS, encode(LeadershipTaken(name, led.token, operation.reason, operation.by)))
        self._end(name, led, f"deposed by {operation.by or 'an operator'}: {operation.reason or 'no reason given'}", operation.to)
        return Done(context.publish())

    def on_session_end(self, session: SessionId, is_clean: bool) -> None:
        claimed = self.context.holdings.claims(session, ELECTIONS)
        for key in claimed:  # it leaves every line first, so that it is not elected now
            standing = self.standing.get(key)
            if standing is not None:
                self._withdraw(key, standing)
        for key in claimed:
            led = self.led.get(name_of(key))
            if led is not None and led.token == number_of(key):
                self._end(name_of(key), led, SESSION_OVER)

    def _end(self, name: bytes, led: Led, reason: str, to: str = "") -> None:
        """And the next one leads: whom `to` names, else the first in line."""
        context = self.context
        context.holdings.revoke(led.token)
        context.holdings.unclaim(led.session, ELECTIONS, key_of(name, led.token))
        context.scalars.state_bytes -= _charge(name, led)
        ticket = self._find(name, to) if to else None
        if ticket is None and led.candidates:
            ticket = number_of(next(rows_of(self.standing, name))[0])
        if ticket is None:
            self.led.delete(name)
            context.scalars.state_bytes -= ELECTION_CHARGE_BYTES
            self._tell(VACANT, name, led, reason)
            return
        key = key_of(name, ticket)
        standing = self.standing.get(key)
        assert standing is not None
        self._strike(key, standing)
        token = self._lead(name, standing, ticket, led.candidates - 1, reason)
        context.notify(standing.session, ELECTIONS, encode(LeadershipGiven(name, ticket, token)))

    def _lead(self, name: bytes, standing: Standing, ticket: Token, candidates: int, reason: str = "") -> Token:
        """`reason`: why the one before left."""
        context = self.context
        token = context.holdings.grant(ELECTIONS, name, standing.session)
        context.holdings.claim(standing.session, ELECTIONS, key_of(name, token))
        led = Led(token, standing.session, standing.candidate, standing.value, context.wall_ms, context.cluster_ms, ticket, candidates)
        self.led.set(name, led)
        self._tell(LEADS, name, led, reason)
        return token

    def _withdraw(self, key: bytes, standing: Standing) -> None:
        name = name_of(key)
        self._strike(key, standing)
        self.context.scalars.state_bytes -= _charge(name, standing)
        led = self.led.get(name)
        assert led is not None
        self.led.set(name, msgspec.structs.replace(led, candidates=led.candidates - 1))

    def _strike(self, key: bytes, standing: Standing) -> None:
        """Off the list of those who stand."""
        self.standing.delete(key)
        self._by_label.delete(_label_key(name_of(key), standing.candidate, number_of(key)))
        self.context.holdings.unclaim(standing.session, ELECTIONS, key)

    def _find(self, name: bytes, candidate: str) -> Token | None:
        """The ticket of the first of that name."""
        first = next(rows_of(self._by_label, name + b"\0" + candidate.encode()), None)
        return number_of(first[0]) if first is not None else None

    def _tell(self, kind: int, name: bytes, led: Led, reason: str = "") -> None:
        context = self.context
        if kind == VACANT:
            change = LeaderChange(reason=reason)
        else:
            change = LeaderChange(led.token, led.session, context.owner_of(led.session), led.candidate, led.value, reason)
        context.emit((kind, name, encode(change), 0, led.session, ELECTIONS))

    def _stale(self, name: bytes, number: Token, led: Led | None) -> NotHeld:
        now = f"token {led.token} of session {led.session} leads it now" if led is not None else "nobody leads it now"
        return NotHeld(f"{number} does not lead or stand for election {_show(name)} (any more): {now}")

    def _no_room(self, grown: int) -> StateFull:
        scalars, settings = self.context.scalars, self.context.settings
        return StateFull(
            f"{grown} bytes more would make {scalars.state_bytes + grown}, at most {settings.state_bytes_max} in all; "
            "delete something first"
        )

    # --- reads ---------------------------------------------------------------------------------------------------------

    def view(self, operation: ReadElection, items_max: int, bytes_max: int) -> Result:
        name = operation.name
        led = self.led.get(name)
        count = min(operation.limit or items_max, items_max)
        rows, more = page_of_rows(self.standing, name, operation.after_ticket, count)
        kept = _within(bytes_max, [row for _, row in rows])
        info = ElectionInfo(name, self._leader(led), led.candidates) if led is not None else None
        candidates = [self._candidate(key, row) for key, row in rows[:kept]]
        return ElectionView(self.context.scalars.revision, info, candidates, more or kept < len(rows))

    def page(self, operation: ListElections, items_max: int, bytes_max: int) -> Result:
        rows, more = page_of(self.led, operation.prefix, operation.after, operation.limit, items_max)
        kept = _within(bytes_max, [led for _, led in rows])
        found = [ElectionInfo(name, self._leader(led), led.candidates) for name, led in rows[:kept]]
        return ElectionPage(self.context.scalars.revision, found, more or kept < len(rows))

    def candidacies(self, operation: ReadCandidacies, items_max: int, bytes_max: int) -> Result:
        count = min(operation.limit or items_max, items_max)
        after = key_of(operation.after_name, operation.after_number) if operation.after_name else b""
        claimed = [key for key in self.context.holdings.claims(operation.session, ELECTIONS) if key > after]
        found: list[Candidacy] = []
        for key in claimed[:count]:
            name, number = name_of(key), number_of(key)
            led = self.led.get(name)
            if led is not None and led.token == number:
                found.append(Candidacy(name, number, led.ticket))
            else:
                found.append(Candidacy(name, Token(0), number))
        return Candidacies(self.context.scalars.revision, found, len(claimed) > count)

    def _leader(self, led: Led) -> Leader:
        context = self.context
        led_ms = max(0, context.shown_ms - led.since_ms)
        return Leader(led.token, led.session, context.owner_of(led.session), led.candidate, led.value, led.since_wall_ms, led_ms)

    def _candidate(self, key: bytes, standing: Standing) -> Candidate:
        context = self.context
        waited_ms = max(0, context.shown_ms - standing.since_ms)
        owner = context.owner_of(standing.session)
        since_wall_ms = standing.since_wall_ms
        return Candidate(number_of(key), standing.session, owner, standing.candidate, standing.value, since_wall_ms, waited_ms)


def _within(bytes_max: int, rows: Sequence[Led | Standing]) -> int:
    """How many of them a page holds: it ends with the one whose value reaches the bound."""
    size = 0
    for count, row in enumerate(rows, 1):
        size += len(row.value)
        if size >= bytes_max:
            return count
    return len(rows)


def _label_key(name: bytes, candidate: str, ticket: Token) -> bytes:
    return key_of(name + b"\0" + candidate.encode(), ticket)


def _charge(name: bytes, what: Led | Standing) -> int:
    return 3 * len(name) + 2 * len(what.candidate) + len(what.value) + CANDIDATE_CHARGE_BYTES


def _show(name: bytes) -> str:
    return name.decode(errors="replace")
