"""What the replicated state machine answers, as stories: each file under services/ says first what it proves.

    settings NAME=NUMBER …                comes first, if at all: other bounds than the usual
    open NONCE [ttl=MS] [owner=NAME] [parent=SESSION] [first: put …]
    put KEY VALUE [bound] | delete KEY | delete-range START END LIMIT | close SESSION
    transaction KEY FIELD RELATION VALUE, … then STEP, … else STEP, …
    expire SESSION … [term=TERM] | checkpoint SESSION:MS … | withdraw SESSION … | wake | raise-level LEVEL
    get KEY | range START END LIMIT | changes AFTER UP_TO | sessions | state | restore | term TERM | time MS

Every command may say session=S sequence=N lowest=N or request=ID. "" is an empty word. What other services are asked: words/.
"""

import shlex
from pathlib import Path

import pytest

from coordnode.ids import Sequence, SessionId
from coordnode.services.commands import (
    CREATE_REVISION,
    EQUAL,
    GREATER,
    LESS,
    MOD_REVISION,
    NOT_EQUAL,
    VALUE,
    VERSION,
    Change,
    Checkpoint,
    CloseSession,
    Command,
    Compare,
    Delete,
    DeleteRange,
    Done,
    Event,
    Expire,
    Failure,
    Get,
    Got,
    Item,
    OpenSession,
    Operation,
    Page,
    Put,
    RaiseLevel,
    Range,
    ReadOperation,
    Result,
    SessionOpened,
    Transaction,
    TransactionDone,
    Wake,
    Withdraw,
    decode_result,
)
from coordnode.services.machine import Machine
from coordnode.services.registry import SUPPORTED_LEVEL
from tests.transcripts.scene import check
from tests.transcripts.words import SERVICES
from tests.unit.services.driven import Driven

STORIES = sorted((Path(__file__).parent / "services").glob("*.txt"))

FIELDS = {"value": VALUE, "mod_revision": MOD_REVISION, "create_revision": CREATE_REVISION, "version": VERSION}
ENVELOPE = {"session": "0", "sequence": "0", "lowest": "0", "request": ""}
RELATIONS = {"=": EQUAL, "!=": NOT_EQUAL, "<": LESS, ">": GREATER}


def parse_step(words: list[str]) -> Put | Delete | Get:
    match words:
        case ["put", key, value, *bound]:
            return Put(key.encode(), value.encode(), bound == ["bound"])
        case ["delete", key]:
            return Delete(key.encode())
        case ["get", key]:
            return Get(key.encode())
    raise AssertionError(words)


def parse_compare(words: list[str]) -> Compare:
    key, field, relation, against = words
    if field == "value":
        return Compare(key.encode(), VALUE, RELATIONS[relation], value=None if against == "none" else against.encode())
    return Compare(key.encode(), FIELDS[field], RELATIONS[relation], int(against))


def parts(text: str) -> list[list[str]]:
    return [shlex.split(part) for part in text.split(",") if part.strip()]


def parse_transaction(text: str) -> Transaction:
    text, _, otherwise = text.partition(" else ")
    compares, _, then = f" {text}".partition(" then ")
    return Transaction(
        [parse_compare(words) for words in parts(compares)],
        [parse_step(words) for words in parts(then)],
        [parse_step(words) for words in parts(otherwise)],
    )


def parse_operation(text: str, term: int) -> Operation:
    verb, _, rest = text.partition(" ")
    if verb == "transaction":
        return parse_transaction(rest)
    if verb == "open":
        rest, _, first = rest.partition(" first: ")
        nonce, *words = shlex.split(rest)
        options = dict(word.split("=") for word in words)
        step = parse_operation(first, term) if first else None
        parent = SessionId(int(options.get("parent", 0)))
        return OpenSession(nonce.encode(), int(options.get("ttl", 10_000)), options.get("owner", ""), step, parent)  # type: ignore[arg-type]
    words = shlex.split(rest)
    match verb:
        case "put" | "delete" | "get":
            return parse_step([verb, *words])
        case "delete-range":
            return DeleteRange(words[0].encode(), words[1].encode(), int(words[2]))
        case "range":
            return Range(words[0].encode(), words[1].encode(), int(words[2]))
        case "close":
            return CloseSession(SessionId(int(words[0])))
        case "expire":
            decided = [int(word.removeprefix("term=")) for word in words if word.startswith("term=")]
            sessions = [SessionId(int(word)) for word in words if word.isdigit()]
            return Expire(decided[0] if decided else term, sessions)  # type: ignore[arg-type]
        case "withdraw":
            return Withdraw([SessionId(int(word)) for word in words])
        case "checkpoint":
            return Checkpoint([(SessionId(int(session)), int(left)) for session, left in (word.split(":") for word in words)])
        case "wake":
            return Wake()
        case "raise-level":
            return RaiseLevel(int(words[0]))
    for service in SERVICES:
        if (operation := service.parse(verb, words)) is not None:
            return operation  # type: ignore[return-value]  # each service's words make operations and reads
    raise AssertionError(text)


def show_item(item: Item) -> str:
    bound = f", bound to session {item.session}" if item.session else ""
    text = f"{item.key.decode()} = {item.value.decode()!r}"
    return f"{text}  (created {item.create_revision}, changed {item.mod_revision}, version {item.version}{bound})"


def show_event(event: Event) -> str:
    for service in SERVICES:
        if (said := service.show_event(event)) is not None:
            return said
    bound = f" bound to session {event.session}" if event.session else ""
    return f"delete {event.key.decode()}{bound}" if event.kind else f"put {event.key.decode()} = {event.value.decode()!r}{bound}"


def show(result: Result | None) -> list[str]:
    match result:
        case Failure():
            return [f"refused ({result.code}): {result.sentence}"]
        case Done():
            return [f"done at revision {result.revision}, changed {result.changed}{', more to go' if result.more else ''}"]
        case Got():
            return [f"at revision {result.revision}: {show_item(result.item) if result.item else 'no such key'}"]
        case Page():
            lines = [f"at revision {result.revision}: {len(result.items)} keys{', and more' if result.more else ''}"]
            return lines + [f"  {show_item(item)}" for item in result.items]
        case TransactionDone():
            branch = "first" if result.succeeded else "second"
            lines = [f"done at revision {result.revision}, {branch} branch"]
            return lines + [f"  {line}" for inner in result.results for line in show(inner)]
        case SessionOpened():
            lines = [f"session {result.session}, TTL {result.ttl_ms} ms, at revision {result.revision}"]
            return lines + [f"  first: {line}" for line in (show(result.first) if result.first else [])]
    for service in SERVICES:
        if result is not None and (said := service.show(result)) is not None:
            return said
    raise AssertionError(result)


def show_changes(changes: list[Change]) -> list[str]:
    return [f"revision {change.revision}: {'; '.join(map(show_event, change.events))}" for change in changes]


class Story:
    def __init__(self) -> None:
        self.driven = Driven()

    def perform(self, line: str) -> list[str]:
        verb, *words = shlex.split(line)
        driven, machine = self.driven, self.driven.machine
        match verb:
            case "settings":
                assert machine.applied == 0
                settings = {name: int(value) for name, value in (word.split("=") for word in words)}
                self.driven = Driven(level=settings.pop("level", SUPPORTED_LEVEL), **settings)
                return []
            case "term":
                driven.term = int(words[0])
                return []
            case "time":
                driven.cluster_ms = int(words[0])
                return []
            case "changes":
                after, up_to = map(int, words)
                if after + 1 < machine.history_floor:
                    return [f"gap: the history begins at revision {machine.history_floor}"]
                return show_changes(machine.changes(after, up_to))  # type: ignore[arg-type]
            case "sessions":
                return [
                    f"session {session}: TTL {found.ttl_ms} ms, owner {found.owner!r}, opened at {found.opened_ms} ms"
                    + (f", {found.remaining_ms} ms left" if found.remaining_ms is not None else "")
                    for session, found in machine.sessions()
                ] or ["none"]
            case "state":
                reached = f"applied {machine.applied}, revision {machine.revision}, history from {machine.history_floor}"
                return [f"{reached}, {machine.state_bytes} bytes, level {machine.level}"]
            case "restore":
                restored = Machine.restore(machine.snapshot())
                same = restored.dump() == machine.dump() and restored.digest == machine.digest
                driven.machine = restored
                return ["the same state and digest" if same else "ANOTHER STATE"]
        words = [word for word in line.split(" ") if word.partition("=")[0] not in ENVELOPE]
        operation = parse_operation(" ".join(words), driven.term)
        if isinstance(operation, ReadOperation):
            return show(decode_result(machine.read(operation)))
        return self.apply(operation, line)

    def apply(self, operation: Operation, line: str) -> list[str]:
        said = dict([word.partition("=")[::2] for word in line.split(" ") if word.partition("=")[0] in ENVELOPE])
        envelope = ENVELOPE | said
        session, sequence = SessionId(int(envelope["session"])), Sequence(int(envelope["sequence"]))
        lines = show(self.driven.one(Command(session, sequence, Sequence(int(envelope["lowest"])), envelope["request"], operation)))
        (outcome,) = self.driven.outcomes
        if outcome.index != self.driven.machine.applied:
            lines[0] += f"   [the answer of entry {outcome.index}]"
        return lines


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_story(path: Path) -> None:
    check(path, Story().perform)


def test_there_are_stories() -> None:
    assert len(STORIES) >= 7
