"""Every field a playbook may have, in one table: the parser reads by it, and the JSON Schema is made from it. Pure."""

from typing import Any, NamedTuple

from coordctl.chaos.faults import FAULTS
from coordctl.chaos.loads.words import KINDS, READS
from coordctl.chaos.targets import SHAPES, parse_target
from coordctl.chaos.values import CONDITION, DURATION, PERCENT, SENTENCE, URL, Value, whole, word

VERSION = 1
LASTS_MS_MAX = 24 * 3_600_000
WHEN = ("before", "throughout", "after")
SIGHTS = ("leader-changed", "leaderless", "lock-moved", "snapshot-installed", "voters-changed")


class Field(NamedTuple):
    value: Value
    help: str
    is_required: bool = False
    is_list: bool = False  # of such values


def _target(text: str) -> Any:
    return parse_target(text)


def _version(text: str) -> int:
    if text != str(VERSION):
        raise ValueError(f"this coordctl reads version {VERSION}: use that, or a coordctl that knows the other")
    return VERSION


TOP: dict[str, Field] = {
    "version": Field(Value(_version, {"const": VERSION}), "of this format", is_required=True),
    "proves": Field(SENTENCE, "what is shown when the run is green, in one sentence", is_required=True),
    "members": Field(whole(1, 9), "voters that the cluster must have at least; default: 3"),
    "seed": Field(whole(0, 2**53 - 1), "every draw of a run comes from it; default: 1"),
    "lasts": Field(DURATION, "how long the run takes; default: five seconds longer than its last row"),
    "checks": Field(word(tuple(KINDS)), "which loads' histories are judged; default: those of all loads", is_list=True),
}

SECTIONS: dict[str, tuple[str, dict[str, Field]]] = {
    "load": (
        "Who works on the cluster meanwhile, and writes down what it saw.",
        {
            "do": Field(word(tuple(KINDS)), "; ".join(f"{kind}: {what}" for kind, what in KINDS.items()), is_required=True),
            "clients": Field(whole(1, 64), "how many at a time; default: 3"),
            "reads": Field(word(READS), "of kv: linearizable, or of one member's own state, which may be old; default: linearizable"),
        },
    ),
    "rows": (
        "The timetable, in order of time.",
        {
            "at": Field(DURATION, "when it begins, counted from the begin of the run", is_required=True),
            "for": Field(DURATION, "how long it lasts: every fault ends", is_required=True),
            "do": Field(word(tuple(FAULTS)), "which fault; `coordctl chaos faults` explains them", is_required=True),
            "to": Field(Value(_target, {"type": "string"}), f"whom: {SHAPES}", is_required=True),
            "by": Field(Value(str, {"type": ["string", "integer"]}), "how hard: delay 200ms, bandwidth 64KiB/s, loss 5%"),
        },
    ),
    "probes": (
        "What users must be able to do, how fast, and how much of it may fail. One of ask, http and command says what is tried.",
        {
            "when": Field(word(WHEN), "before the first row, all through the run, or after the last row has ended", is_required=True),
            "ask": Field(word(("read", "write")), "of the cluster: one key, linearizable"),
            "http": Field(URL, "GET; an answer below 400 is a success"),
            "command": Field(Value(str, {"type": "string"}), "argv; exit code 0 is a success", is_list=True),
            "every": Field(DURATION, "from one try to the next; default: 200ms"),
            "within": Field(DURATION, "a try that takes longer has failed", is_required=True),
            "at-least": Field(PERCENT, "of the tries must succeed; default: 100%"),
        },
    ),
    "goals": (
        "What must have happened, or the run has shown nothing.",
        {
            "see": Field(word(SIGHTS), "what was to be seen", is_required=True),
            "during": Field(whole(1, 999), "the row, counted from 1; default: at any time"),
        },
    ),
    "expect": (
        "How the cluster must be once the last row has ended.",
        {
            "that": Field(CONDITION, "healthy, leader, leader=NAME or members=N, as `coordctl wait --for` knows them", is_required=True),
            "within": Field(DURATION, "default: 30s"),
        },
    ),
}


def schema() -> dict[str, Any]:
    """JSON Schema of a playbook, for editors and pipelines."""
    properties: dict[str, Any] = _properties(TOP)
    for name, (about, fields) in SECTIONS.items():
        properties[name] = {"description": about, "type": "array", "items": _object(fields)}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"coordctl chaos playbook, version {VERSION}",
        **_object(TOP),
        "properties": properties,
        "required": [*_required(TOP), "rows"],
    }


def _object(fields: dict[str, Field]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": _properties(fields), "required": _required(fields)}


def _properties(fields: dict[str, Field]) -> dict[str, Any]:
    return {
        name: {"description": field.help, **({"type": "array", "items": field.value.schema} if field.is_list else field.value.schema)}
        for name, field in fields.items()
    }


def _required(fields: dict[str, Field]) -> list[str]:
    return [name for name, field in fields.items() if field.is_required]
