"""Verdicts as JUnit XML, for pipelines that show it: what failed, and what could not be said."""

from collections.abc import Sequence
from xml.sax.saxutils import quoteattr


def junit(suite: str, seconds: float, cases: Sequence[tuple[str, bool, bool, str]]) -> str:
    """Of each (name, has it failed, is it unknown, in one sentence): what is unknown is an error, not a failure."""
    failed = sum(one[1] for one in cases)
    unknown = sum(one[2] for one in cases)
    counts = f'tests="{len(cases)}" failures="{failed}" errors="{unknown}" time="{seconds:.3f}"'
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', f"<testsuite name={quoteattr(suite)} {counts}>"]
    for name, is_failed, is_unknown, sentence in cases:
        head = f"  <testcase classname={quoteattr(suite)} name={quoteattr(name)}"
        if is_failed or is_unknown:
            lines.append(f"{head}><{'failure' if is_failed else 'error'} message={quoteattr(sentence)}/></testcase>")
        else:
            lines.append(f"{head}/>")
    return "\n".join([*lines, "</testsuite>", ""])
