"""The kinds of toxics, their attributes, and a toxic as the API shows it. Pure."""

import sys
from typing import Any, NamedTuple

UPSTREAM, DOWNSTREAM = "upstream", "downstream"
STREAMS = (UPSTREAM, DOWNSTREAM)

Number = int | float

KINDS: dict[str, dict[str, Number]] = {
    "noop": {},
    "latency": {"latency": 0, "jitter": 0},  # milliseconds
    "bandwidth": {"rate": 0},  # 1,000 bytes each second
    "slow_close": {"delay": 0},
    "timeout": {"timeout": 0},
    "reset_peer": {"timeout": 0},
    "slicer": {"average_size": 0, "size_variation": 0, "delay": 0},  # bytes, bytes, microseconds
    "limit_data": {"bytes": 0},
    "loss": {"rate": 0.0, "retransmit": 200},  # ours: percent of pieces that come so many milliseconds late
}
FRACTIONS = ("rate of loss",)
INT64_MAX = 2**63 - 1
FLOAT_MAX = {"float32": (2 - 2**-23) * 2.0**127, "float64": sys.float_info.max}


class ApiError(Exception):
    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


class Written(float):
    """What is no whole number of 64 bits: refusals show it as it was written."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text


class Toxic:
    """Mutable: an update changes what its stages read."""

    __slots__ = ("attributes", "kind", "lifetime_ms", "name", "stream", "toxicity")

    def __init__(self, name: str, kind: str, stream: str, toxicity: Number, attributes: dict[str, Number], lifetime_ms: int) -> None:
        self.name = name
        self.kind = kind
        self.stream = stream  # as it was written: the API shows it so
        self.toxicity = toxicity
        self.attributes = attributes
        self.lifetime_ms = lifetime_ms  # ours; 0: until it is removed

    @property
    def direction(self) -> str:
        return self.stream.lower()

    def shown(self) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "attributes": dict(self.attributes),
            "name": self.name,
            "type": self.kind,
            "stream": self.stream,
            "toxicity": self.toxicity,
        }
        return {**shown, "lifetime_ms": self.lifetime_ms} if self.lifetime_ms else shown


class Traffic(NamedTuple):
    """Of one direction of a proxy, since it was made: what the effect of a fault is measured by."""

    received: int  # bytes
    passed: int


def parse_toxic(found: dict[str, Any]) -> Toxic:
    kind = typed(found, "type", str, "Toxic") or ""
    stream = typed(found, "stream", str, "Toxic") or DOWNSTREAM
    name = typed(found, "name", str, "Toxic") or f"{kind}_{stream}"
    toxicity = found.get("toxicity")
    if stream.lower() not in STREAMS:
        raise ApiError(400, "stream was invalid, can be either upstream or downstream")
    if kind not in KINDS:
        raise ApiError(400, "invalid toxic type")
    attributes = dict(KINDS[kind])
    merge(kind, attributes, found)
    toxicity = 1 if toxicity is None else _number(toxicity, "Toxic.toxicity", "float32")
    lifetime_ms = _number(found.get("lifetime_ms") or 0, "Toxic.lifetime_ms", "int64")
    if lifetime_ms < 0:
        raise ApiError(400, "lifetime_ms was invalid, give milliseconds, or leave it out")
    return Toxic(name, kind, stream, toxicity, attributes, int(lifetime_ms))


def merge(kind: str, attributes: dict[str, Number], found: dict[str, Any]) -> None:
    """What is given takes the place of what was there; what is not known is passed over, as the original does."""
    given = found.get("attributes")
    if given is None:
        return
    if not isinstance(given, dict):
        raise ApiError(400, f"bad request body: json: cannot unmarshal {go_name(given)} into Go struct field .attributes")
    for name in attributes:
        if given.get(name) is not None:
            is_fraction = f"{name} of {kind}" in FRACTIONS
            attributes[name] = _number(given[name], f".attributes.{name}", "float64" if is_fraction else "int64")


def _number(value: Any, field: str, kind: str) -> Number:
    """int64 takes none with a fraction or an exponent, though it be whole."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise _mistyped(go_name(value), field, kind)
    if not (isinstance(value, int) and -INT64_MAX - 1 <= value <= INT64_MAX if kind == "int64" else abs(value) <= FLOAT_MAX[kind]):
        raise _mistyped(f"number {value}", field, kind)
    return int(value) if isinstance(value, int) or value.is_integer() else float(value)


def typed(found: dict[str, Any], name: str, kind: type, owner: str) -> Any:
    value = found.get(name)
    if value is None or isinstance(value, kind):
        return value
    raise _mistyped(go_name(value), f"{owner}.{name}", go_name(kind()))


def _mistyped(value: str, field: str, kind: str) -> ApiError:
    return ApiError(400, f"bad request body: json: cannot unmarshal {value} into Go struct field {field} of type {kind}")


def go_name(value: Any) -> str:
    """What the original calls its kind."""
    words = {"str": "string", "bool": "bool", "list": "array", "dict": "object"}
    return words.get(type(value).__name__, "number")
