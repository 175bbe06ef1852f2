"""Operations into this project's own JSON lines, with Jepsen's field names. Pure.

Bytes are written one character for each byte (latin-1): nothing is lost, and order is kept. A reader sees them as text.
"""

from collections.abc import Iterator

import msgspec

from coordnode.checking.history import FOREVER, KIND_NAMES, NO_PLACE, OK, UNKNOWN, History, Operation, Value
from coordnode.checking.reading import VERSION

_encoder = msgspec.json.Encoder(order="deterministic")


def history_lines(history: History) -> Iterator[bytes]:
    """One line for each event, in order of time; of two at the same time the invocation comes first."""
    yield _encoder.encode({"history": VERSION, "model": history.model}) + b"\n"
    events: list[tuple[int, int, int]] = []
    for number, operation in enumerate(history.operations):
        events.append((operation.invoked, 0, number))
        if operation.kind != UNKNOWN or operation.index != NO_PLACE:
            events.append((operation.returned, 1, number))
    events.sort()
    for time, completes, number in events:
        yield _encoder.encode(_event(history.operations[number], time, bool(completes))) + b"\n"


def _event(operation: Operation, time: int, completes: bool) -> dict[str, object]:
    event: dict[str, object] = {"process": operation.process, "type": "invoke", "f": operation.function}
    if not completes:
        event["value"] = plain(operation.argument)
        event["time"] = time
        return event
    event["type"] = KIND_NAMES[operation.kind]
    event["value"] = plain(operation.result) if operation.kind == OK else None
    if time != FOREVER:
        event["time"] = time
    if operation.index != NO_PLACE:
        event["index"] = operation.index
        event["position"] = operation.position
    return event


def plain(value: Value) -> object:
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    return value
