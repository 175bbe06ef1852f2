"""Names may be any bytes: as JSON they are the best text there is, and beside it what they are."""

import json
import os
from base64 import b64decode
from types import ModuleType
from typing import Any

import msgspec
import pytest

from coordctl.commands import barrier, elect, fast, group, lock, shard
from coordctl.hot import barriers, elections, groups, locks, shards
from coordctl.results.schemas import SCHEMAS

NAME, TEXT = b"a\xffb", "a\N{REPLACEMENT CHARACTER}b"
ARGUMENT = os.fsdecode(NAME)
HOLDER = [5, 77, "ops@web1, pid 1", locks.EXCLUSIVE, 1, 1, "", 0, 0, 0]
LEADER = [5, 77, "ops@web1, pid 1", "a", b"", 0, 0]
LOCK = [NAME, locks.EXCLUSIVE, 0, 1, 1, 0, HOLDER]
MEMBER = [NAME, 77, b"", {}, 1, 3]


class Answering:
    """A cluster that says the same to whatever it is asked."""

    answered_by, remembers, cluster = "", False, 0

    def __init__(self, result: list[Any]) -> None:
        self._result = result

    def ask(self, *_: Any, **__: Any) -> Any:
        return self._result


@pytest.mark.parametrize(
    ("verb", "words", "result", "names"),
    [
        (lock, ["show", ARGUMENT], [locks.VIEW, 7, LOCK, [HOLDER], False, [], False], ["name"]),
        (lock, ["ls"], [locks.PAGE, 7, [LOCK], False], ["name"]),
        (lock, ["check", ARGUMENT, "5"], [locks.VIEW, 7, LOCK, [HOLDER], False, [], False], ["name"]),
        (elect, ["show", ARGUMENT], [elections.VIEW, 7, [NAME, LEADER, 0], [], False], ["name"]),
        (elect, ["ls"], [elections.PAGE, 7, [[NAME, LEADER, 0]], False], ["name"]),
        (group, ["ls"], [groups.PAGE, 7, [[NAME, 3, 1]], False], ["group"]),
        (group, ["show", ARGUMENT], [groups.VIEW, 7, 3, [MEMBER]], ["group"]),
        (shard, ["ls"], [shards.PAGE, 7, [[NAME, NAME, 4, 4, 0]], False], ["name", "group"]),
        (barrier, ["show", ARGUMENT], [barriers.VIEW, 7, [NAME, 3, 2, 1, 0], [], False], ["name"]),
        (barrier, ["show", ARGUMENT], [barriers.VIEW, 7, None, [], False], ["name"]),
    ],
)
def test_a_name_that_is_no_text_is_told_to_the_byte(
    verb: ModuleType,
    words: list[str],
    result: list[Any],
    names: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    monkeypatch.setattr(fast, "asking", lambda _given: Answering(result))
    verb.main([*words, "-o", "json"])
    said = capfdbinary.readouterr().out
    found = json.loads(said)
    assert [found[name] for name in names] == [TEXT for _ in names]
    assert [b64decode(found[f"{name}_base64"]) for name in names] == [NAME for _ in names]
    kind = SCHEMAS[found["schema"].removeprefix("coordctl.").partition("/")[0]]
    assert json.loads(msgspec.json.encode(msgspec.json.decode(said, type=kind))) == found, "and nothing that is not promised"
