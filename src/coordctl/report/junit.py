"""Verdicts as JUnit XML, for pipelines that show it: what failed, and what could not be said."""

import re
from collections.abc import Sequence
from xml.sax.saxutils import quoteattr

NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # not even as references


def _quoted(text: str) -> str:
    return quoteattr(NOT_XML.sub(lambda found: found[0].encode("unicode_escape").decode(), text))


def junit(suite: str, seconds: float, cases: Sequence[tuple[str, bool, bool, str]]) -> str:
    """Of each (name, has it failed, is it unknown, in one sentence): what is unknown is an error, not a failure."""
    failed = sum(one[1] for one in cases)
    unknown = sum(one[2] for one in cases)
    counts = f'tests="{len(cases)}" failures="{failed}" errors="{unknown}" time="{seconds:.3f}"'
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', f"<testsuite name={_quoted(suite)} {counts}>"]
    for name, is_failed, is_unknown, sentence in cases:
        head = f"  <testcase classname={_quoted(suite)} name={_quoted(name)}"
        if is_failed or is_unknown:
            lines.append(f"{head}><{'failure' if is_failed else 'error'} message={_quoted(sentence)}/></testcase>")
        else:
            lines.append(f"{head}/>")
    return "\n".join([*lines, "</testsuite>", ""])
