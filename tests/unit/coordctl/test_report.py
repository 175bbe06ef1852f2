"""What is printed for machines is what they can read, whatever this process prints in."""

import io
import json
import sys
from collections.abc import Callable

import msgspec
import pytest

from coordctl.report import plain, screen

ENVIRONMENTS = {
    "LC_ALL=C": ("utf-8", "surrogateescape"),
    "UTF-8": ("UTF-8", "strict"),
    "PYTHONIOENCODING=ascii": ("ascii", "backslashreplace"),
    "latin-1": ("iso8859-1", "backslashreplace"),
}


class Said(msgspec.Struct):
    schema: str
    text: str


@pytest.fixture(params=ENVIRONMENTS.values(), ids=ENVIRONMENTS)
def printed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> "Callable[[Callable[[], None]], bytes]":
    """What came out."""

    def found(prints: Callable[[], None]) -> bytes:
        encoding, errors = request.param
        content = io.BytesIO()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", io.TextIOWrapper(content, encoding, errors, write_through=True))
            prints()
            return content.getvalue()

    return found


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("plain", "plain"),
        ("é\U0001f600\x85", "é\U0001f600\x85"),
        ('\\xe9 "quoted"\n', '\\xe9 "quoted"\n'),
        ("a\udcffb", "a\N{REPLACEMENT CHARACTER}b"),
    ],
    ids=["ascii", "beyond", "escapes", "no text"],
)
def test_json_is_read_as_it_was_meant(printed: "Callable[[Callable[[], None]], bytes]", text: str, read: str) -> None:
    for line in (
        printed(lambda: plain.json_line({"schema": "s", "text": text})),
        printed(lambda: screen.json_line(Said("s", text))),
    ):
        assert line.endswith(b"}\n")
        found = json.loads(line)
        assert msgspec.json.decode(line) == found, "to strict readers, too"
        assert found == {"schema": "s", "text": read}


def test_a_schema_is_json_too(printed: "Callable[[Callable[[], None]], bytes]") -> None:
    found = json.loads(printed(lambda: screen.json_schema(msgspec.defstruct("Said", [("grüße", str)]))))
    assert "grüße" in json.dumps(found, ensure_ascii=False)
