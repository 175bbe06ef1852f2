"""What an entry of the log says, in words, for whoever looks into logs: it may be damaged or of another version. Pure."""

from typing import Any

import msgspec

from coordnode.errors import RecordError
from coordnode.services.commands import Batch, decode_batch

BATCH, CONFIG, NOOP = 0, 1, 2  # as raft.entry has them
COMMANDS_SHOWN = 20
VALUE_CHARS = 60


def told(kind: int, data: bytes) -> list[str]:
    """One sentence for each command. Never raises: what cannot be read is said to be so."""
    if kind == NOOP:
        return ["a new leader's first entry"]
    if kind == CONFIG:
        return [_config(data)]
    if kind != BATCH:
        return [f"an entry of kind {kind}, {len(data)} bytes: not known to this build"]
    try:
        batch = decode_batch(data)
    except RecordError as error:
        return [f"{len(data)} bytes that are no batch of this build's: {error.sentence}"]
    return _commands(batch)


def _commands(batch: Batch) -> list[str]:
    sentences = []
    for command in batch.commands[:COMMANDS_SHOWN]:
        operation = command.operation
        fields = {name: getattr(operation, name) for name in operation.__struct_fields__}
        words = ", ".join(f"{name} {_shown(value)}" for name, value in fields.items())
        whose = f"  (session {command.session}, sequence {command.sequence})" if command.session else ""
        sentences.append(f"{type(operation).__name__}: {words}{whose}" if words else f"{type(operation).__name__}{whose}")
    more = len(batch.commands) - COMMANDS_SHOWN
    return [*sentences, *([f"and {more} more commands"] if more > 0 else [])] or ["a batch without commands"]


def _shown(value: Any) -> str:
    if isinstance(value, bytes):
        try:
            text = value.decode()
        except UnicodeDecodeError:
            text = value.hex()
        text = text if text.isprintable() else value.hex()
    else:
        text = str(value)
    return text if len(text) <= VALUE_CHARS else f"{text[:VALUE_CHARS]}… ({len(text)})"


def _config(data: bytes) -> str:
    try:
        found = msgspec.msgpack.decode(data, type=list[Any])
        voters, outgoing, learners = found[0], found[1], found[2]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, IndexError) as error:
        return f"{len(data)} bytes that are no configuration of this build's: {error}"
    joint = f", leaving {outgoing}" if outgoing else ""
    return f"membership: voters {voters}{joint}, learners {learners}"
