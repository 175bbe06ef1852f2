"""Words of elections. Tokens and tickets are shown, and given, as their distance from the first number of the cluster.

campaign NAME VALUE [as=CANDIDATE] [try] | proclaim NAME NUMBER VALUE | resign NAME NUMBER [to=CANDIDATE] | depose NAME [to=CANDIDATE]
election NAME | elections
"""

from coordnode.ids import Token
from coordnode.services.commands import (
    ELECTIONS,
    LEADS,
    NOTICES,
    VACANT,
    Campaign,
    CandidateQueued,
    Depose,
    Elected,
    ElectionPage,
    ElectionView,
    Event,
    Leader,
    LeadershipGiven,
    LeadershipTaken,
    LedAlready,
    ListElections,
    Proclaim,
    ReadElection,
    Resign,
    Resigned,
    Result,
    decode_leader_change,
    decode_notice,
)
from tests.transcripts.words.locks import number, shown


def parse(verb: str, words: list[str]) -> object | None:
    said = dict(word.split("=", 1) for word in words if "=" in word)
    plain = [word for word in words if "=" not in word]
    name = plain[0].encode() if plain else b""
    match verb:
        case "campaign":
            return Campaign(name, plain[1].encode(), said.get("as", ""), "try" not in plain)
        case "proclaim":
            return Proclaim(name, number(plain[1]), plain[2].encode())
        case "resign":
            return Resign(name, number(plain[1]), said.get("to", ""))
        case "depose":
            return Depose(name, Token(0), said.get("to", ""), "upgrade", "ann")
        case "election":
            return ReadElection(name)
        case "elections":
            return ListElections()
    return None


def show_leader(leader: Leader) -> str:
    called = f" as {leader.candidate}" if leader.candidate else ""
    return f"session {leader.session}{called} leads with {shown(leader.token)} and says {leader.value.decode()!r}"


def show(result: Result) -> list[str] | None:
    match result:
        case Elected():
            return [f"leads with {shown(result.token)}"]
        case CandidateQueued():
            return [f"stands with {shown(result.ticket)} behind {result.ahead}; {show_leader(result.leader)}"]
        case LedAlready():
            return [f"not now: {show_leader(result.leader)}"]
        case Resigned():
            return [f"leads no more: {shown(result.token)}" if result.token else "stands no more"]
        case ElectionView():
            if result.election is None:
                return ["nobody leads, nobody stands"]
            standing = [
                f"  stands: {shown(one.ticket)} session {one.session}{f' as {one.candidate}' if one.candidate else ''}"
                for one in result.candidates
            ]
            return [show_leader(result.election.leader), *standing]
        case ElectionPage():
            return [f"{election.name.decode()}: {show_leader(election.leader)}" for election in result.elections] or ["no election"]
    return None


def show_event(event: Event) -> str | None:
    if event.space == NOTICES and event.kind == ELECTIONS:
        notice = decode_notice(event.value)
        if isinstance(notice, LeadershipGiven):
            return f"session {event.session} is told: it leads {notice.name.decode()}, {shown(notice.ticket)} → {shown(notice.token)}"
        assert isinstance(notice, LeadershipTaken)
        return f"session {event.session} is told: {notice.name.decode()} {shown(notice.token)} ended by {notice.by}: {notice.reason}"
    if event.space != ELECTIONS:
        return None
    change = decode_leader_change(event.value)
    if event.kind == VACANT:
        return f"nobody leads {event.key.decode()}: {change.reason}"
    what = "leads" if event.kind == LEADS else "still leads"
    before = f"; the one before: {change.reason}" if change.reason else ""
    return f"session {change.session} {what} {event.key.decode()} with {shown(change.token)}: {change.value.decode()!r}{before}"
