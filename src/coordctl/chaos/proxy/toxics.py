"""The kinds of toxics, their attributes, and a toxic as the API shows it. Pure."""

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


class ApiError(Exception):
    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


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
        raise ApiError(400, f"bad request body: json: cannot unmarshal {_go(given)} into Go struct field .attributes")
    for name in attributes:
        if given.get(name) is not None:
            is_fraction = f"{name} of {kind}" in FRACTIONS
            attributes[name] = _number(given[name], f".attributes.{name}", "float64" if is_fraction else "int64")


def _number(value: Any, field: str, kind: str) -> Number:
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if is_whole or (isinstance(value, float) and kind != "int64"):
        return int(value) if isinstance(value, float) and value.is_integer() else value
    raise ApiError(400, f"bad request body: json: cannot unmarshal {_go(value)} into Go struct field {field} of type {kind}")


def typed(found: dict[str, Any], name: str, kind: type, owner: str) -> Any:
    value = found.get(name)
    if value is None or isinstance(value, kind):
        return value
    words = {str: "string", bool: "bool"}
    raise ApiError(400, f"bad request body: json: cannot unmarshal {_go(value)} into Go struct field {owner}.{name} of type {words[kind]}")


def _go(value: Any) -> str:
    """What the original calls it."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number" if isinstance(value, int) else f"number {value}"
    words = {"str": "string", "list": "array", "dict": "object"}
    return words.get(type(value).__name__, "null")
