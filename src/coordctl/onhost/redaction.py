"""Takes secrets out of lines before they leave the machine. Pure. What is needed to find a cause stays: fencing tokens are no secrets.

A secret is known by its name, by where it stands in a URL, or by its shape. In doubt more is hidden.
"""

import re
from collections.abc import Iterator

HIDDEN = b"***"
NAME_BYTES_MAX = 64  # by which a name may go on behind the word that tells it: no line, however long, is gone through again and again
_ALWAYS = (
    rb"passw(?:or)?d|passphrase|secret|api[_-]?key|private[_-]?key|access[_-]?key|credentials?"
    rb"|(?:auth|access|refresh|id|session|bearer|csrf|xsrf|api|vault)[_-]?token"
)
_MAYBE = rb"tokens?|pwd|(?<![\w-])pass"  # it depends on the value: `token` is a number of ours, PWD a folder
_NAMED = re.compile(
    rb"(?i)(?:(?P<always>(?:%b)[\w.-]{0,%d})|(?P<header>authorization|cookie)|(?P<maybe>%b))\\*[\"']?(?P<gap>\s*(?:[:=]>?|>)\s*)"
    % (_ALWAYS, NAME_BYTES_MAX, _MAYBE)
)
_FLAG = re.compile(
    rb"(?i)(?<![\w-])--?[\w-]{0,%d}?(?:(?P<always>%b)|(?P<maybe>tokens?|pwd|pass))(?P<gap>[\"'],\s*|\s+)(?!-)" % (NAME_BYTES_MAX, _ALWAYS)
)
_OPENS = re.compile(rb"[bru]?(\\*[\"'])")  # in JSON that stands in JSON, quotes have backslashes before them
_NEXT = re.compile(rb"\s*,\s*(?=\\*[\"'])")
_PLAIN = re.compile(  # what might be a part of it ends it only where something else begins behind it
    rb"(?:[^\s\"'\\<,;&}\])]|\\(?!\\*[\"'])|[,;](?!\s|$|\\*[\"']|[\w.-]{1,64}\s*[=:])|&(?!$|[\w.-]+=)|[}\])](?![\s,;}\])\"'\\]|$))+"
)
_HEADER = re.compile(rb"(?:=\"[^\"]*\"|[^\"'\\\]])+")
_LIST = re.compile(rb"[^\]]+")
_SCHEME = re.compile(rb"[A-Za-z][\w-]*\s+(?=\S)")
_LITERALS = (b"null", b"true", b"false")
_NO_SECRET = re.compile(rb"(?i)[^a-z]*|null|none|nil|true|false")
_BEARER = re.compile(rb"(?i)(\bbearer\s+)([\w.~+/=-]{8,})")
_IN_URL = re.compile(rb"(:(?:\\?/){2}[^/\s:@\"']{0,256}:)(?!\d{1,5}[/?#,])([^\s\"'<>]{1,128})(?=@)")
_IN_COMMAND = re.compile(rb"(\bmysql\w*\s(?:[^|;]{0,64}\s)?-p|\bcurl\s(?:[^|;]{0,64}\s)?(?:-u|--user)[ =]?[^\s:]{0,256}:)([^\s\"']+)")
_SHAPES = re.compile(
    rb"()(eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*|\bA[KS]IA[0-9A-Z]{12,}\b|\bgh[pousr]_\w{20,}|\bgithub_pat_\w{20,}|\bglpat-[\w-]{16,}"
    rb"|\bxox[a-z]-[\w-]{8,}|\bcoord_[0-9a-f]{16,}|\bhvs\.[\w-]{16,})"
)
_KEY_BEGINS = re.compile(rb"-----BEGIN [A-Z0-9 ]{0,64}PRIVATE KEY(?: BLOCK)?-----")
_KEY_ENDS = re.compile(rb"-----END [A-Z0-9 ]{0,64}PRIVATE KEY(?: BLOCK)?-----")
_HINTS = (
    rb"pass pwd secret key token credential authori cookie bearer :// :\/\/ eyj akia asia ghp_ gho_ ghu_ ghs_ ghr_ github_pat glpat xox"
    rb" coord_ hvs. mysql curl".split()
)


class Redactor:
    """Of one file: a private key goes on for many lines."""

    def __init__(self) -> None:
        self.hidden = 0
        self._in_key = False

    def line(self, raw: bytes) -> bytes:
        if self._in_key:
            self._in_key = _KEY_ENDS.search(raw) is None
            return HIDDEN
        lower = raw.lower()
        if not any(hint in lower for hint in _HINTS):
            return raw
        begins = _KEY_BEGINS.search(raw)
        if begins is None:
            return self._without_secrets(raw)
        self.hidden += 1
        self._in_key = _KEY_ENDS.search(raw, begins.end()) is None
        return self._without_secrets(raw[: begins.start()]) + HIDDEN

    def _without_secrets(self, raw: bytes) -> bytes:
        for pattern in (_NAMED, _FLAG):
            raw = self._without_values(raw, pattern)
        for pattern in (_BEARER, _IN_URL, _IN_COMMAND, _SHAPES):
            raw = pattern.sub(self._hide, raw)
        return raw

    def _hide(self, match: "re.Match[bytes]") -> bytes:
        self.hidden += match[2] != HIDDEN  # what came from a host was looked through there
        return match[1] + HIDDEN

    def _without_values(self, raw: bytes, pattern: "re.Pattern[bytes]") -> bytes:
        """What stands behind names."""
        kept: list[bytes] = []
        done = at = 0
        while (name := pattern.search(raw, at)) is not None:
            at = name.end()
            for start, end in _values(raw, name):
                at = end
                if raw[start:end] != HIDDEN:
                    self.hidden += 1
                    kept += (raw[done:start], HIDDEN)
                    done = end
        return b"".join(kept) + raw[done:] if kept else raw


def _values(raw: bytes, name: "re.Match[bytes]") -> Iterator[tuple[int, int]]:
    """From where to where secrets are that belong to this name: one, or a list of them."""
    at = name.end()
    is_list = raw[at : at + 1] == b"["
    at += is_list
    kind = name.lastgroup if name.lastgroup != "gap" else next(key for key, value in name.groupdict().items() if value is not None)
    while True:
        opens = _OPENS.match(raw, at)
        if opens is not None:
            start, end = opens.end(), _closed(raw, opens.end(), opens[1])
        else:
            pattern = _LIST if is_list else _HEADER if kind == "header" else _PLAIN
            plain = pattern.match(raw, at)
            start, end = at, at if plain is None else plain.end()
        if kind == "header" and (scheme := _SCHEME.match(raw, start, end)) is not None and name["header"].lower() == b"authorization":
            start = scheme.end()
        is_literal = opens is None and raw[start:end] in _LITERALS
        if start < end and not is_literal and not (kind == "maybe" and _is_harmless(name, raw[start:end], is_quoted=opens is not None)):
            yield start, end
        if opens is None or not is_list or (follows := _NEXT.match(raw, end + len(opens[1]))) is None:
            return
        at = follows.end()


def _closed(raw: bytes, at: int, quote: bytes) -> int:
    """Where the same quote is again, and has not more backslashes before it; the end, if it is cut off."""
    end = raw.find(quote, at)
    while end > at and raw[end - 1 : end] == b"\\":
        end = raw.find(quote, end + 1)
    return end if end >= 0 else len(raw)


def _is_harmless(name: "re.Match[bytes]", value: bytes, *, is_quoted: bool) -> bool:
    if _NO_SECRET.fullmatch(value) is not None or (name["maybe"].lower() == b"pwd" and value.startswith((b"/", b"\\"))):
        return True
    is_prose = not is_quoted and name["gap"].strip() == b":" and name["gap"][-1:].isspace()  # "invalid token: expired"
    return is_prose and len(value) < 16 and not re.search(rb"\d", value)
