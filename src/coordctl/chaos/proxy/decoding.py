"""A request's body as Go's decoder reads it: names in any case, up to the end of the first value; refusals are in its words. Pure."""

import json
from typing import Any

from coordctl.chaos.proxy.toxics import ApiError, Written, go_name

BLANK = " \t\r\n"
INT64_DIGITS_MAX = 20  # with its sign


def decoded(body: bytes, wanted: type, kind: str) -> Any:
    text = body.decode(errors="replace").strip(BLANK)
    if not text:
        raise _refused("EOF")
    try:
        found, _ = _DECODER.raw_decode(text)
    except json.JSONDecodeError as error:
        raise _refused(_words(text, error)) from None
    except RecursionError:
        raise _refused(f"invalid character {text[0]!r} exceeded max depth") from None
    return shaped(found, wanted, kind)


def shaped(found: Any, wanted: type, kind: str) -> Any:
    """null is what nothing was said of."""
    if found is None:
        return wanted()
    if not isinstance(found, wanted):
        raise _refused(f"json: cannot unmarshal {go_name(found)} into Go value of type {kind}")
    return found


def _refused(why: str) -> ApiError:
    return ApiError(400, f"bad request body: {why}")


def _words(text: str, error: json.JSONDecodeError) -> str:
    if error.pos >= len(text) or error.msg.startswith("Unterminated string"):
        return "unexpected EOF"
    place = "object key string" if "property name" in error.msg else "value"
    where = f"looking for beginning of {place}" if "Expecting" in error.msg and "delimiter" not in error.msg else "after value"
    character = r"'\''" if text[error.pos] == "'" else repr(text[error.pos])
    return f"invalid character {character} {where}"


def _folded(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name.lower(): value for name, value in pairs if value is not None}


def _whole(text: str) -> int | Written:
    return int(text) if len(text) <= INT64_DIGITS_MAX else Written(text)


def _no_number(name: str) -> Any:
    where = "in numeric literal" if name.startswith("-") else "looking for beginning of value"
    raise _refused(f"invalid character {name.lstrip('-')[0]!r} {where}")


_DECODER = json.JSONDecoder(object_pairs_hook=_folded, parse_int=_whole, parse_float=Written, parse_constant=_no_number)
