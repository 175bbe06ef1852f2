"""The member on this host, asked by who is elsewhere: one question as JSON on standard input, one answer as JSON.

    python -m coordctl.chaos.hosted BASE [drop]

Whoever asks, where nobody is there to heal, sees to it that somebody is: after a reboot, for example. Whatever it began goes on when
it, its connection or who asked is gone: the ledger and the reapers are on this host.
"""

import os
import sys
from collections.abc import Callable
from typing import Any

import msgspec

from coordctl.chaos import premises, reapers, tended, undo
from coordctl.chaos.ledger import Entry, Ledger
from coordctl.chaos.site import LocalSite, Wanted
from coordctl.chaos.tended import Told
from coordctl.chaos.words import End
from coordnode.errors import CoordError

DROP = "drop"  # the member is being taken away: nothing stays broken, and nobody is left who would heal


class Question(msgspec.Struct, frozen=True, kw_only=True):
    ask: str
    wanted: Wanted | None = None
    entries: list[Entry] = []
    names: list[str] = []  # of faults, or of members
    ends: dict[str, End] = {}
    last: int = 0
    told: Told | None = None  # of a member that somebody else deployed: what the inventory says of it


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    trouble: str = ""  # it was not done
    found: msgspec.Raw = msgspec.Raw(b"null")


def _inject(site: LocalSite, question: Question) -> list[Entry]:
    assert question.wanted is not None
    return site.inject(question.wanted)


def _lacks(site: LocalSite, question: Question) -> dict[str, str]:
    return {fault: site.lacks(fault) for fault in question.names}


ANSWERS: dict[str, Callable[[LocalSite, Question], Any]] = {
    "inject": _inject,
    "look": lambda site, question: site.look(question.last),
    "heal": lambda site, question: site.heal(question.entries),
    "lacks": _lacks,
    "log_ends": lambda site, question: site.log_ends(),
    "said_since": lambda site, question: site.said_since(question.ends),
}


def answer(base: str, question: Question) -> Answer:
    ledger = Ledger(base)
    if question.told is not None:
        if os.path.exists(os.path.join(base, premises.MARKER)):
            return Answer(trouble=f"a member of coordnode is below {base}: name another folder in the inventory")
        tended.tell(base, question.told)
    cluster = premises.of(base).cluster()
    if cluster is None:
        return Answer(trouble="there is no member here")
    try:
        reapers.resume(ledger)
        found = ANSWERS[question.ask](LocalSite(cluster), question)
    except CoordError as error:
        return Answer(trouble=error.sentence)
    return Answer(found=msgspec.Raw(msgspec.json.encode(found)))


def main(argv: list[str]) -> int:
    base, *words = argv
    os.umask(0o077)
    premises.speak_as(base)
    if words == [DROP]:
        ledger = Ledger(base)
        left = undo.drop(ledger)
        if left:
            os.write(2, f"not undone: {'; '.join(left)}\n".encode())
            return 1
        reapers.await_gone(ledger)
        return 0
    question = msgspec.json.decode(sys.stdin.buffer.read(), type=Question)
    with open(1, "wb", closefd=False) as said:
        said.write(msgspec.json.encode(answer(base, question)) + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
