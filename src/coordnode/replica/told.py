"""What the audit log is to say of what an operator asks for, whatever came of it; beside the changes that are signed. Pure."""

from collections.abc import Callable
from typing import Any

import msgspec

from coordnode.raft.entry import Config
from coordnode.services.commands import BreakLock, Delete, DeleteAssignment, DeleteJournal, DeleteQueue, Depose, PurgeTasks, Put
from coordnode.services.dialogue import ConfigAsk, LevelAsk, TransferAsk

RISKS = b"_accepted/"  # below it each key is a risk that somebody took, its value who, for what and why
WORDS_MAX = 256  # letters of what such a value says

Told = tuple[str, str, str, str]
"""what, before, after, reason"""


class Taken(msgspec.Struct, frozen=True):
    by: str = ""
    verb: str = ""
    reason: str = ""


def _shown(name: bytes) -> str:
    return name.decode(errors="replace")


def _broken(asked: BreakLock) -> Told:
    return f"lock {_shown(asked.name)}", f"token {asked.token}" if asked.token else "whoever holds it", "broken", asked.reason


def _deposed(asked: Depose) -> Told:
    return f"election {_shown(asked.name)}", f"token {asked.token}" if asked.token else "whoever leads", asked.to or "nobody", asked.reason


def _risk(key: bytes) -> str:
    return f"risk {_shown(key[len(RISKS) :][:WORDS_MAX])}"


def _taken(asked: Put) -> Told:
    try:
        taken = msgspec.json.decode(asked.value, type=Taken)
    except msgspec.DecodeError:
        taken = Taken()
    by = f" by {taken.by[:WORDS_MAX]}" if taken.by else ""
    verb = f" for {taken.verb[:WORDS_MAX]}" if taken.verb else ""
    return _risk(asked.key), "not taken", f"accepted{by}{verb}", taken.reason[:WORDS_MAX]


def _members(config: Config) -> str:
    learners = f", learners {' '.join(map(str, config.learners))}" if config.learners else ""
    return f"voters {' '.join(map(str, config.voters))}{learners}"


TOLD: dict[type, Callable[[Any], Told]] = {
    BreakLock: _broken,
    Depose: _deposed,
    PurgeTasks: lambda asked: (f"queue {_shown(asked.queue)}", "its dead tasks" if asked.dead else "its tasks", "purged", ""),
    DeleteQueue: lambda asked: (f"queue {_shown(asked.queue)}", "there", "deleted", ""),
    DeleteJournal: lambda asked: (f"journal {_shown(asked.journal)}", "there", "deleted", ""),
    DeleteAssignment: lambda asked: (f"assignment {_shown(asked.name)}", "there", "deleted", ""),
    TransferAsk: lambda asked: ("leadership", "this leader", f"member {asked.target}", ""),
    LevelAsk: lambda asked: ("feature level", "below", str(asked.level), ""),
    ConfigAsk: lambda asked: ("membership", "as it was", _members(asked.config), ""),
    Put: _taken,
    Delete: lambda asked: (_risk(asked.key), "accepted", "cleared", ""),
}
_OF_RISKS = frozenset((Put, Delete))


def is_told(asked: Any) -> bool:
    """Asked of every write: all but a few are nobody's business but their asker's."""
    kind = type(asked)
    return kind in TOLD and (kind not in _OF_RISKS or asked.key.startswith(RISKS))
