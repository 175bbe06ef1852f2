"""YAML as text with line numbers: mappings, lists and scalars, and nothing that surprises. Pure.

Scalars stay text, so `no` is no boolean and `1e3` no number: whoever knows what is meant reads them. Anchors, aliases, tags and second
documents are refused: a playbook is read by people.
"""

import re
import sys
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

import yaml

TEXT_BYTES_MAX = 256 * 1024
DEPTH_MAX = 4


class Mistake(NamedTuple):
    line: int
    sentence: str  # what is wrong, and what to do instead


class Text(NamedTuple):
    text: str
    line: int


class Rows(NamedTuple):
    items: "list[Node]"
    line: int


class Fields(NamedTuple):
    fields: "dict[str, tuple[int, Node]]"  # name -> (its line, what it is)
    line: int


Node = Text | Rows | Fields


class NotYaml(Exception):
    def __init__(self, line: int, sentence: str) -> None:
        super().__init__(sentence)
        self.mistake = Mistake(line, sentence)


def parse_lined(content: bytes) -> Node:
    """Raises NotYaml."""
    if len(content) > TEXT_BYTES_MAX:
        raise NotYaml(1, f"this is larger than {TEXT_BYTES_MAX // 1024} KiB: a playbook is a page; split it")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise NotYaml(line, f"byte {error.start} is not UTF-8: save the file as UTF-8") from None
    try:
        return _document(iter(yaml.parse(text, Loader=yaml.SafeLoader)))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        hint = "indent with spaces" if "'\\t'" in str(error.problem) else "compare with `coordctl chaos show kill-leader --source`"
        raise NotYaml(mark.line + 1 if mark is not None else 1, f"this is not YAML: {error.problem or error.context}; {hint}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise NotYaml(line, f"this is not YAML: character {error.character!r} may not stand there; remove it") from None
    except ValueError as error:  # of a number in it that the parser takes as it comes
        raise _too_large(text) or NotYaml(1, f"this is not YAML: {error}; write the numbers in it smaller") from None


def _too_large(text: str) -> NotYaml | None:
    """The parser does not say where it was."""
    for line, content in enumerate(text.splitlines(), 1):
        for digits in re.findall(r"\\U([0-9A-Fa-f]{8})", "" if content.lstrip().startswith("#") else content):
            if int(digits, 16) > sys.maxunicode:
                return NotYaml(line, f"\\U{digits} is no character: there are none behind \\U0010ffff; leave it out")
    return None


def _document(events: Iterator[yaml.Event]) -> Node:
    found: Node | None = None
    for event in events:
        if isinstance(event, yaml.DocumentStartEvent):
            if found is not None:
                raise NotYaml(_line(event), "a second document begins here: a file is one playbook; give it a file of its own")
            found = _node(next(events), events, 0)
    if found is None:
        raise NotYaml(1, "there is nothing in it: begin with `version: 1`")
    return found


def _line(event: yaml.Event) -> int:
    assert event.start_mark is not None
    return event.start_mark.line + 1


def _refuse_unshowable(text: str, line: int) -> None:
    """It is shown on terminals and written into files, where these do something else than to be read. Lines and tabs may be a script's."""
    for character in text:
        kind = unicodedata.category(character)
        if kind == "Cs" or (kind == "Cc" and character not in "\n\t"):
            what = "half a character" if kind == "Cs" else "a control character"
            raise NotYaml(line, f"{character!r} is {what}: leave it out")


def _node(event: yaml.Event, events: Iterator[yaml.Event], depth: int) -> Node:
    line = _line(event)
    if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
        raise NotYaml(line, "anchors and aliases (& and *) are not known here: write it out")
    if tag := getattr(event, "tag", None):
        raise NotYaml(line, f"the tag {tag.encode('unicode_escape').decode()} is not known here: leave it out")
    if isinstance(event, yaml.ScalarEvent):
        _refuse_unshowable(event.value, line)
        return Text(event.value, line)
    if depth == DEPTH_MAX:
        raise NotYaml(line, "this is nested too deeply: a playbook is a flat timetable; see `coordctl chaos show kill-leader --source`")
    if isinstance(event, yaml.SequenceStartEvent):
        items = []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            items.append(_node(event, events, depth + 1))
        return Rows(items, line)
    fields: dict[str, tuple[int, Node]] = {}
    while not isinstance(event := next(events), yaml.MappingEndEvent):
        name = _node(event, events, depth + 1)
        if not isinstance(name, Text):
            raise NotYaml(name.line, "a name stands before the colon, not a list or a mapping: put it in quotes if it is one")
        if name.text in fields:
            raise NotYaml(name.line, f"{name.text} is given twice, first in line {fields[name.text][0]}: keep one")
        fields[name.text] = (name.line, _node(next(events), events, depth + 1))
    return Fields(fields, line)
