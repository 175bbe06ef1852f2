"""What a playbook's fields hold: each kind of value with how it is read and how JSON Schema says it. Pure."""

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

MILLISECONDS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000}
DURATION_MS_MAX = 24 * MILLISECONDS["h"]
BYTES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
NAME = r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?"
SENTENCE_LETTERS_MAX = 400
CONDITIONS = r"(healthy|leader|leader=\S+|members=[0-9]{1,9})"  # what `coordctl wait --for` knows of any engine


class Value(NamedTuple):
    parse: Callable[[str], Any]  # raises ValueError with what to give instead
    schema: dict[str, Any]


def _united(text: str, units: dict[str, int], example: str) -> int:
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)([A-Za-z]+)", text)
    if match is None or match[2] not in units:
        raise ValueError(f"give a number and its unit ({', '.join(units)}), such as {example}")
    return round(float(match[1]) * units[match[2]])


def duration_ms(text: str) -> int:
    found = _united(text, MILLISECONDS, "10s")
    if found > DURATION_MS_MAX:
        raise ValueError("give 24h at most")
    return found


def bytes_each_second(text: str) -> int:
    size, slash, second = text.partition("/")
    if slash and second == "s":
        found = _united(size, BYTES, "64KiB/s")
        if found:
            return found
    raise ValueError("give bytes in each second, such as 64KiB/s; for none at all, use do: cut")


def size_bytes(text: str) -> int:
    return _united(text, BYTES, "256MiB")


def percent(text: str) -> float:
    match = re.fullmatch(r"([0-9]{1,3}(?:\.[0-9]{1,3})?)%", text)
    if match is None or float(match[1]) > 100:
        raise ValueError("give 0% to 100%, such as 95%")
    return float(match[1])


def signed_duration_ms(text: str) -> int:
    """-30s: backwards."""
    return -duration_ms(text[1:]) if text.startswith("-") else duration_ms(text)


def signed_percent(text: str) -> float:
    return -percent(text[1:]) if text.startswith("-") else percent(text)


def sentence(text: str) -> str:
    found = " ".join(text.split())
    if not found or len(found) > SENTENCE_LETTERS_MAX:
        raise ValueError(f"give one sentence, of {SENTENCE_LETTERS_MAX} letters at most")
    return found


def condition(text: str) -> str:
    if re.fullmatch(CONDITIONS, text) is None:
        raise ValueError("give healthy, leader, leader=NAME or members=N")
    return text


def url(text: str) -> str:
    if re.fullmatch(r"https?://[^\s/]+\S*", text) is None or not _has_host_and_port(text):
        raise ValueError("give a whole address, such as http://127.0.0.1:8080/health")
    return text


def _has_host_and_port(address: str) -> bool:
    from urllib.parse import urlsplit

    try:
        found = urlsplit(address)
        return bool(found.hostname) and found.port != 0
    except ValueError:  # the port is no number, for example a variable that nobody replaced
        return False


def whole(least: int, most: int) -> Value:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < 17 and least <= int(text) <= most):
            raise ValueError(f"give a whole number from {least} to {most}")
        return int(text)

    return Value(parse, {"type": "integer", "minimum": least, "maximum": most})


def word(words: Sequence[str]) -> Value:
    from difflib import get_close_matches

    def parse(text: str) -> str:
        if text not in words:
            close = get_close_matches(text, words, 1)
            raise ValueError((f"did you mean {close[0]}? " if close else "") + f"There are: {', '.join(words)}")
        return text

    return Value(parse, {"enum": list(words)})


def _text(parse: Callable[[str], Any], pattern: str = "") -> Value:
    return Value(parse, {"type": "string", "pattern": f"^{pattern}$"} if pattern else {"type": "string"})


DURATION = _text(duration_ms, r"[0-9]{1,9}(\.[0-9]{1,3})?(ms|s|m|h)")
SIGNED_DURATION = _text(signed_duration_ms, r"-?[0-9]{1,9}(\.[0-9]{1,3})?(ms|s|m|h)")
SIGNED_PERCENT = _text(signed_percent, r"-?[0-9]{1,3}(\.[0-9]{1,3})?%")
PERCENT = _text(percent, r"[0-9]{1,3}(\.[0-9]{1,3})?%")
SIZE = _text(size_bytes, r"[0-9]{1,9}(\.[0-9]{1,3})?(B|KiB|MiB|GiB)")
SENTENCE = _text(sentence)
CONDITION = _text(condition, CONDITIONS)
URL = _text(url, r"https?://\S+")


def shown_ms(milliseconds: int) -> str:
    """The shortest that `duration_ms` reads back."""
    for unit, size in (("h", 3_600_000), ("m", 60_000), ("s", 1_000)):
        if milliseconds and milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    if milliseconds > 1_000 and milliseconds % 100 == 0:
        return f"{milliseconds / 1_000:g}s"
    return f"{milliseconds}ms" if milliseconds else "0s"
