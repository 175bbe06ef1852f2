"""Text of a recorded history into operations: finds the format, reads the events, pairs invocations with completions. Pure.

Formats: Jepsen's log lines, EDN maps (in one collection or one on a line), JSON (an array or one object on a line), and
this project's own JSON lines, which begin with {"history": 1, "model": …} and name places in the log.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from coordnode.checking.edn import DEPTH_MAX, Map, read_forms
from coordnode.checking.history import FAILED, FOREVER, NO_PLACE, OK, UNKNOWN, UNSEEN, History, Operation, Value
from coordnode.checking.models import KeyValue, shown
from coordnode.errors import HistoryError

VERSION: Final = 1  # of this project's own format
NUMBER_MAX: Final = 1 << 62  # process, index and position

_LOG_LINE: Final = re.compile(r"[^\"]{0,200}?\bINFO\b.{0,200}?\bjepsen[.\w]{0,60}(?:\s+-|:)\s+(\S+)\s+:(\S+)\s+:(\S+)\s*(.*)")
_HEAD_LINES: Final = 50  # one of so many is an event, if they are a log of Jepsen's
_COMPLETIONS: Final = {"ok": OK, "fail": FAILED, "info": UNKNOWN}
_TYPES: Final = ("invoke", *_COMPLETIONS)
_NEMESIS: Final = ("nemesis", ":nemesis")  # whoever breaks things: no client, and not judged
_CONTAINERS: Final = (list, dict)
_json_decoder: Final = msgspec.json.Decoder()
_array_decoder: Final = msgspec.json.Decoder(list[msgspec.Raw])


class _Event(msgspec.Struct, frozen=True, gc=False):
    line: int
    process: int
    kind: str  # invoke, ok, fail, info
    function: str
    value: Value
    index: int = NO_PLACE
    position: int = 0
    has_key: bool = False


def parse_history(data: bytes) -> History:
    """Whatever its format."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise HistoryError(f"line {data.count(10, 0, error.start) + 1}: not UTF-8 text") from None
    head = text.lstrip()
    if not head:
        raise HistoryError("line 1: the history is empty")
    if head.startswith("INFO") or any([_LOG_LINE.match(line) for line in head.split("\n", _HEAD_LINES)[:_HEAD_LINES]]):
        return parse_jepsen_log(text)
    if re.match(r'\[?\s*\{\s*"', head) or head.startswith("[]"):
        return parse_json(text)
    return parse_edn(text)


def parse_jepsen_log(text: str) -> History:
    """Lines `INFO  jepsen.util - PROCESS :TYPE :FUNCTION VALUE`; other lines are remarks."""
    return _paired(_log_events(text))


def parse_edn(text: str) -> History:
    return _paired(_edn_events(text))


parse_kv = parse_edn  # one EDN map a line, with a :key of its own


def parse_json(text: str) -> History:
    """An array of events, or one event on a line, with or without this project's own heading."""
    head: dict[str, str] = {}
    history = _paired(_json_events(text, head))
    return msgspec.structs.replace(history, model=head.get("model", ""))


def _log_events(text: str) -> Iterator[_Event]:
    for number, line in enumerate(text.splitlines(), start=1):
        match = _LOG_LINE.match(line)
        if match is None or match[2] not in _TYPES:
            continue
        process = int(match[1][:20]) if match[1].isascii() and match[1].isdecimal() else match[1].removeprefix(":")
        if not _is_client(process, number):
            continue
        try:
            values = [value for _, value in read_forms(match[4], are_values=True)]
        except HistoryError as error:
            raise HistoryError(f"line {number}: the value {match[4][:40]!r} cannot be read ({error.sentence})") from None
        if len(values) > 1 and match[2] == "invoke":
            raise HistoryError(f"line {number}: one value is needed, there are {len(values)}")
        yield _event(number, {"process": process, "type": match[2], "f": match[3], "value": values[0] if values else None})


def _edn_events(text: str) -> Iterator[_Event]:
    for line, form in read_forms(text):
        for event in form if isinstance(form, tuple) else (form,):
            if not isinstance(event, Map):
                raise HistoryError(f"line {line}: a history is made of maps, not of {shown(event)}")
            if _is_client(event.get("process"), event.line):
                yield _event(event.line, event)


def _json_events(text: str, head: dict[str, str]) -> Iterator[_Event]:
    for number, fields in _json_objects(text):
        if not isinstance(fields, dict):
            raise HistoryError(f"line {number}: a history is made of objects, not of {shown(_frozen(fields, number))}")
        if "history" in fields:
            if fields["history"] != VERSION:
                raise HistoryError(f"line {number}: version {shown(fields['history'])} of the history format; this build reads {VERSION}")
            head["model"] = str(fields.get("model", ""))
        elif _is_client(fields.get("process"), number):
            value = fields.get("value")
            if isinstance(value, list | dict):
                fields["value"] = _frozen(value, number)
            if "key" in fields:
                fields["key"] = _frozen(fields["key"], number)
            yield _event(number, fields)


def _json_objects(text: str) -> Iterator[tuple[int, object]]:
    if text.lstrip().startswith("["):
        yield from _json_array(text)
        return
    for number, line in enumerate(text.split("\n"), start=1):
        if line and not line.isspace():
            yield number, _json(line, number)


def _json_array(text: str) -> Iterator[tuple[int, object]]:
    """Its elements, each with the line on which it begins."""
    data = text.encode()
    at, line = 0, 1
    for raw in _json(data, 1, _array_decoder):  # type: ignore[attr-defined]
        element = bytes(raw)
        begin = data.index(element, at)
        line += data.count(b"\n", at, begin)
        yield line, _json(element, line)
        line += element.count(b"\n")
        at = begin + len(element)


def _json(text: str | bytes, line: int, decoder: msgspec.json.Decoder[Any] = _json_decoder) -> object:
    """`line`: where the text begins."""
    try:
        return decoder.decode(text)
    except RecursionError:
        raise HistoryError(f"line {line}: nested deeper than {DEPTH_MAX}") from None
    except (msgspec.DecodeError, ValueError) as error:
        place = re.search(r"\(byte (\d+)\)", str(error))
        before = text[: int(place[1])] if place else text[:0]
        line += before.count("\n") if isinstance(before, str) else before.count(b"\n")
        raise HistoryError(f"line {line}: not JSON: {str(error)[:120]}") from None


def json_value(text: str) -> Value:
    """One value, as an initial state is given."""
    return _frozen(_json(text, 1), 1)


def _frozen(value: object, line: int, depth: int = 0) -> Value:
    """Lists become tuples, objects become tuples of pairs: what a model keeps must never change."""
    if depth > DEPTH_MAX:
        raise HistoryError(f"line {line}: nested deeper than {DEPTH_MAX}")
    if isinstance(value, list):
        return tuple([_frozen(item, line, depth + 1) if type(item) in _CONTAINERS else item for item in value])
    if isinstance(value, dict):
        return tuple([(key, _frozen(item, line, depth + 1)) for key, item in value.items()])
    return value


def _event(line: int, fields: "dict[str, Value] | Map") -> _Event:
    kind, function = [name.removeprefix(":") if isinstance(name, str) else name for name in (fields.get("type"), fields.get("f"))]
    if kind not in _TYPES:
        raise HistoryError(f"line {line}: type is {shown(kind)}; it must be invoke, ok, fail or info")
    if not isinstance(function, str):
        raise HistoryError(f"line {line}: f is {shown(function)}; it must name a function")
    value = fields.get("value")
    has_key = "key" in fields
    if has_key and not (value is False and function in KeyValue.refuses):  # a refusal is no value of the key
        value = (fields["key"], value)
    # A witness is a pair; an index alone is the number that Jepsen gives its events.
    index, position = (_number(line, fields, "index"), _number(line, fields, "position")) if "position" in fields else (NO_PLACE, 0)
    return _Event(line, _number(line, fields, "process"), kind, function, value, index, position, has_key)


def _is_client(process: object, line: int) -> bool:
    """Refuses what would else be left out unseen."""
    if isinstance(process, int):
        return True  # which number it may be, `_event` says
    if process in _NEMESIS:
        return False
    raise HistoryError(f"line {line}: process is {shown(process)}; it must be a whole number, or nemesis for who breaks things")


def _number(line: int, fields: "dict[str, Value] | Map", name: str) -> int:
    number = fields.get(name)
    if type(number) is int and 0 <= number < NUMBER_MAX:
        return number
    raise HistoryError(f"line {line}: {name} is {shown(number)}; it must be a whole number from 0 to 2^62")


def _paired(events: Iterable[_Event]) -> History:
    """The order of the events is what real time means here: their number is the time."""
    keyed_line = 0
    invoked: list[tuple[int, _Event]] = []
    operations: list[Operation | None] = []
    under_way: dict[int, int] = {}  # process → its operation
    for time, event in enumerate(events):
        if event.has_key and not keyed_line:
            keyed_line = event.line
        if event.kind == "invoke":
            if event.process in under_way:
                raise HistoryError(f"line {event.line}: process {event.process} invokes while its last operation is under way")
            under_way[event.process] = len(invoked)
            invoked.append((time, event))
            operations.append(None)
            continue
        number = under_way.pop(event.process, None)
        if number is None:
            raise HistoryError(f"line {event.line}: process {event.process} completes what it never invoked")
        asked_at, asked = invoked[number]
        if asked.function != event.function:
            raise HistoryError(f"line {event.line}: process {event.process} invoked {asked.function} and completes {event.function}")
        kind = _COMPLETIONS[event.kind]
        operations[number] = Operation(
            asked.process,
            asked.function,
            asked.value,
            event.value if kind == OK else UNSEEN,
            asked_at,
            FOREVER if kind == UNKNOWN else time,
            kind,
            event.index,
            event.position,
        )
    for number in under_way.values():
        asked_at, asked = invoked[number]
        operations[number] = Operation(asked.process, asked.function, asked.value, UNSEEN, asked_at, FOREVER, UNKNOWN)
    return History(tuple(operation for operation in operations if operation is not None), keyed_line=keyed_line)
