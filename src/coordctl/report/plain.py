"""Printing for the verbs that must start fast: bytes, sentences, JSON, and what an error becomes. Imports next to nothing."""

import sys

from coordctl.report import exits
from coordnode import streams
from coordnode.errors import CoordError

UTF_8 = ("utf-8", "utf8")
EXTRAS = {"paramiko": "ssh", "cryptography": "ssh"}  # package -> what it comes with


def data(content: bytes) -> None:
    sys.stdout.buffer.write(content)


def line(text: str) -> None:
    sys.stdout.write(text + "\n")


def text(content: str) -> None:
    sys.stdout.write(content)


def flush() -> None:
    sys.stdout.flush()


def json_line(value: dict[str, object]) -> None:
    import json  # for those only who print it

    json_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n")


def json_text(content: str) -> None:
    """It is JSON for whoever reads it, in whatever encoding we print: what is no text is shown as U+FFFD, what the encoding may lack is
    escaped as JSON has it."""
    if not content.isascii():
        import json
        import re

        content = re.sub("[\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", content)
        if sys.stdout.encoding.lower() not in UTF_8:
            content = re.sub(r"[^\x00-\x7f]+", lambda found: json.dumps(found[0])[1:-1], content)
    sys.stdout.write(content)


def note(sentence: str) -> None:
    """For a person, beside the data."""
    sys.stderr.write(sentence + "\n")


def failed(kind: exits.Kind, error: Exception, *, name: str, debug: bool) -> int:
    """One sentence on standard error; the exit code. An error that nobody foresaw is called what it is."""
    if debug:
        import traceback

        traceback.print_exc(file=sys.stderr)
    if isinstance(error, CoordError):
        note(f"coordctl: {error.sentence}")
    elif isinstance(error, ModuleNotFoundError) and error.name in EXTRAS:
        note(f"coordctl: {name} needs {error.name}, which is not installed: pip install 'coordctl[{EXTRAS[error.name]}]'")
        return exits.UNKNOWN if kind is exits.Kind.PROBE else exits.FAILED
    elif isinstance(error, OSError) and error.filename == streams.OUTPUT:
        note(f"coordctl: {name} cannot print how it went: {streams.OUTPUT}: {error.strerror}")
        streams.discard()
    elif isinstance(error, OSError):
        note(f"coordctl: {error.filename or name}: {error.strerror or error}")
    else:
        note(f"coordctl: this is a bug of coordctl, not of yours: {type(error).__name__}: {error}")
        note("          please report it with what --debug adds")
        return exits.BUG
    return exits.of_error(kind, error)


def wrong_usage(sentence: str, verb: str) -> int:
    note(f"coordctl: {sentence}")
    note(f"          see coordctl {verb} --help")
    return exits.USAGE
