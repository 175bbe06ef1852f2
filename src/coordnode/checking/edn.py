"""Reads EDN, the notation that Jepsen writes histories in. Pure; bounded in depth; every refusal names line and reason.

Keywords and symbols become text without the colon, vectors, lists and sets become tuples, maps become a Map at the
top and tuples of pairs inside a value. Tags are skipped: what they tag is read plainly.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from coordnode.checking.history import Value
from coordnode.errors import HistoryError

DEPTH_MAX: Final = 64
DIGITS_MAX: Final = 400  # of one number

_TOKEN: Final = re.compile(
    r"""[\s,]+ | ;[^\n]* | (?P<string>"(?:[^"\\]++|\\.)*+") | (?P<open>\#?\{|[\[(]) | (?P<close>[\])}])
    | (?P<discard>\#_) | (?P<tag>\#[A-Za-z][^\s,;"\[\](){}]*) | \\(?P<character>[^\s][a-z0-9]*) | (?P<atom>[^\s,;"\[\](){}\\]+)""",
    re.VERBOSE | re.DOTALL,
)
_NUMBER: Final = re.compile(r"[-+]?[0-9]+N?")
_FLOAT: Final = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?([eE][-+]?[0-9]+)?M?")
_CLOSES: Final = {"[": "]", "(": ")", "{": "}", "#{": "}"}
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\"}
_NAMED_CHARACTERS: Final = {"newline": "\n", "space": " ", "tab": "\t", "return": "\r"}
_WORDS: Final[dict[str, Value]] = {"nil": None, "true": True, "false": False}


class Map(dict[Value, Value]):
    """A map at the top, with the line on which it begins."""

    __slots__ = ("line",)

    def __init__(self, pairs: Iterable[tuple[Value, Value]], line: int) -> None:
        super().__init__(pairs)
        self.line = line


class _Level:
    """One collection that is not closed yet. `discards`: how many of the next forms are to be dropped."""

    __slots__ = ("discards", "forms", "line", "opener")

    def __init__(self, opener: str, line: int) -> None:
        self.opener = opener
        self.line = line
        self.forms: list[Value] = []
        self.discards = 0

    def add(self, form: Value) -> None:
        if self.discards:
            self.discards -= 1
        else:
            self.forms.append(form)


def read_forms(text: str, *, are_values: bool = False) -> Iterator[tuple[int, Value]]:
    """Each top-level form, and the line on which it ends; its own maps, and those of a collection at the top, are a Map, unless the forms
    are values themselves."""
    levels = [_Level("", 1)]
    at = 0
    line = 1
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise HistoryError(f"line {line}: {text[at : at + 20]!r} is not EDN")
        at = match.end()
        level = levels[-1]
        kind = match.lastgroup
        if kind == "open":
            if len(levels) > DEPTH_MAX:
                raise HistoryError(f"line {line}: nested deeper than {DEPTH_MAX}")
            levels.append(_Level(match["open"], line))
        elif kind == "close":
            if _CLOSES.get(level.opener) != match["close"]:
                raise HistoryError(f"line {line}: {match['close']!r} closes nothing that is open")
            levels.pop()
            at_top = len(levels) == 1 or (len(levels) == 2 and levels[1].opener in "[(")
            levels[-1].add(_closed(level, at_top and not are_values))
        elif kind == "discard":
            level.discards += 1
        elif kind not in (None, "tag"):
            level.add(_leaf(match, line))
        line += match[0].count("\n")
        if len(levels) == 1:
            for form in levels[0].forms:
                yield line, form
            levels[0].forms.clear()
    if len(levels) > 1:
        raise HistoryError(f"line {levels[-1].line}: {levels[-1].opener!r} is never closed")


def _closed(level: _Level, at_top: bool) -> Value:
    if level.opener != "{":
        return tuple(level.forms)
    if len(level.forms) % 2:
        raise HistoryError(f"line {level.line}: a map needs an even number of forms")
    pairs = tuple(zip(level.forms[::2], level.forms[1::2], strict=True))
    return Map(pairs, level.line) if at_top else pairs


def _leaf(match: re.Match[str], line: int) -> Value:
    kind = match.lastgroup
    if kind == "string":
        return re.sub(r"\\(.)", lambda escape: _ESCAPES.get(escape[1], escape[1]), match[0][1:-1], flags=re.DOTALL)
    if kind == "character":
        return _NAMED_CHARACTERS.get(match["character"], match["character"])
    atom = match["atom"]
    if atom in _WORDS:
        return _WORDS[atom]
    if _NUMBER.fullmatch(atom):
        if len(atom) > DIGITS_MAX:
            raise HistoryError(f"line {line}: a number of {len(atom)} digits")
        return int(atom.rstrip("N"))
    if _FLOAT.fullmatch(atom):
        return float(atom.rstrip("M"))
    return atom.removeprefix(":")
