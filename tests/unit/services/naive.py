"""The rules of services in the simplest words, with dicts and no care for cost: what a Machine is compared with."""

from dataclasses import dataclass, field

from coordnode.services.commands import (
    Checkpoint,
    CloseSession,
    Command,
    Delete,
    DeleteRange,
    Done,
    Expire,
    Failure,
    Get,
    Got,
    Item,
    OpenSession,
    Put,
    Result,
    SessionOpened,
    Transaction,
    TransactionDone,
    Withdraw,
)


@dataclass
class NaiveSession:
    nonce: bytes
    ttl_ms: int
    opened: Result
    place: int
    remaining_ms: int | None = None
    floor: int = 1
    replies: dict[int, Result] = field(default_factory=dict)


class Naive:
    """Answers like a Machine, but says only "Failure" where something is refused. Byte bounds are not modelled."""

    def __init__(self, entries_max: int, requests_max: int, session_keys_max: int) -> None:
        self.entries_max, self.requests_max, self.session_keys_max = entries_max, requests_max, session_keys_max
        self.items: dict[bytes, Item] = {}
        self.sessions: dict[int, NaiveSession] = {}
        self.requests: dict[str | bytes, tuple[int, Result | None]] = {}  # request id, or nonce of a session that is over
        self.place = 0
        self.revision = 0
        self.session_next = 1
        self.changes: dict[int, list[tuple[int, bytes]]] = {}

    def apply(self, command: Command) -> Result | None:
        """None: some Failure."""
        self.place += 1
        if command.session:
            return self.apply_in_session(command)
        request_id = "" if isinstance(command.operation, OpenSession) else command.request_id
        if request_id in self.requests:
            return self.requests[request_id][1]
        result = self.execute(command.operation, 0)
        if request_id:
            self.keep(request_id, self.place, result)
        return result

    def keep(self, name: str | bytes, place: int, result: Result | None) -> None:
        self.requests[name] = (place, result)
        if len(self.requests) > self.requests_max:
            del self.requests[min(self.requests, key=lambda kept: self.requests[kept][0])]

    def apply_in_session(self, command: Command) -> Result | None:
        session = self.sessions.get(command.session)
        if session is None or command.sequence < session.floor:
            return None
        if command.sequence not in session.replies:
            session.replies[command.sequence] = self.execute(command.operation, command.session)
            result = session.replies[command.sequence]
            session.floor = max(session.floor, command.lowest_open)
            session.replies = {sequence: kept for sequence, kept in session.replies.items() if sequence >= session.floor}
            while len(session.replies) > self.entries_max:
                session.floor = min(session.replies) + 1
                del session.replies[min(session.replies)]
            return result
        return session.replies[command.sequence]

    def execute(self, operation: object, session: int) -> Result | None:
        match operation:
            case OpenSession():
                return self.open(operation)
            case CloseSession():
                return self.close([operation.session]) if operation.session in self.sessions else None
            case Expire():
                ended = [ended for ended in operation.sessions if ended in self.sessions]
                self.close(ended)
                return Done(self.revision, len(ended))
            case Checkpoint():
                return Done(self.revision, sum([self.note(number, left) for number, left in operation.remaining_ms]))
            case Withdraw():
                return Done(self.revision, sum([self.note(number, None) for number in operation.sessions]))
            case Get():
                return Got(self.revision, self.items.get(operation.key))
            case DeleteRange():
                keys = [key for key in sorted(self.items) if operation.start <= key and (not operation.end or key < operation.end)]
                taken = keys[: operation.limit]
                self.change(Transaction([], [Delete(key) for key in taken]), session)
                return Done(self.revision, len(taken), len(keys) > len(taken))
            case Put() | Delete():
                changed = self.change(Transaction([], [operation]), session)
                return changed.results[0] if changed is not None else None
            case Transaction():
                return self.change(operation, session)
            case _:
                return Done(self.revision)

    def change(self, operation: Transaction, session: int) -> TransactionDone | None:
        holds = all((self.items[c.key].version if c.key in self.items else 0) == c.number for c in operation.compares)
        items, events, results, revision = dict(self.items), [], [], self.revision + 1
        for step in operation.then if holds else operation.otherwise:
            old = items.get(step.key)
            if isinstance(step, Put):
                if step.bound and not session:
                    return None
                bound = session if step.bound else 0
                created, version = (old.create_revision, old.version + 1) if old else (revision, 1)
                items[step.key] = Item(step.key, step.value, created, revision, version, bound)
                events.append((0, step.key))
                results.append(1)
            elif isinstance(step, Delete):
                if items.pop(step.key, None):
                    events.append((1, step.key))
                results.append(1 if old else 0)
            else:
                results.append(Got(0, old))
        for number in {item.session for item in items.values() if item.session}:
            before, after = (sum(item.session == number for item in side.values()) for side in (self.items, items))
            if after > max(before, self.session_keys_max):
                return None
        if events:
            self.items, self.revision = items, revision
            self.changes[revision] = events
        answers = [Done(self.revision, result) if isinstance(result, int) else Got(self.revision, result.item) for result in results]
        return TransactionDone(self.revision, holds, answers)

    def open(self, operation: OpenSession) -> Result:
        for session in self.sessions.values():
            if session.nonce == operation.nonce:
                return session.opened
        if operation.nonce in self.requests:
            over = self.requests[operation.nonce][1]
            assert over is not None
            return over
        number, self.session_next = self.session_next, self.session_next + 1
        opened = NaiveSession(operation.nonce, operation.ttl_ms, Done(0), self.place)
        self.sessions[number] = opened
        first = None
        if operation.first is not None:
            first = self.execute(operation.first, number) or Failure(0, "")
            opened.replies[1] = None if isinstance(first, Failure) else first
        opened.opened = SessionOpened(number, operation.ttl_ms, self.revision, first)
        return opened.opened

    def close(self, sessions: list[int]) -> Result:
        for session in sessions:
            over = self.sessions.pop(session)
            self.keep(over.nonce, over.place, over.opened)
            bound = sorted(key for key, item in self.items.items() if item.session == session)
            self.change(Transaction([], [Delete(key) for key in bound]), 0)
        return Done(self.revision)

    def note(self, number: int, remaining_ms: int | None) -> bool:
        session = self.sessions.get(number)
        if session is None:
            return False
        before, session.remaining_ms = session.remaining_ms, None if remaining_ms is None else min(remaining_ms, session.ttl_ms)
        return session.remaining_ms != before
