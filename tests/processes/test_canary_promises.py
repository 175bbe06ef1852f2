"""Members that break a promise, or keep it too late, as a canary sees them; and one that may do no more than a canary must."""

import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.processes.local import SOURCE, Home
from tests.processes.test_canary import seen
from tests.processes.test_commands import valid

ROLE = "kv:use:_canary/,lock:use:_canary/,elect:use:_canary/,queue:manage:_canary/"


class Planted(NamedTuple):
    file: str  # below src/coordnode
    old: str
    new: str
    outcome: str
    sentence: str  # a part of it


WATCHERS = "in self._places.watchers(event.space, event.key):"
TOLD = "LeaderChange(led.token, led.session"
MADE = "number = tasks.add(queue, task, operation.payload)"
PLANTED = {
    "a watch that leaves out a put": Planted(
        "replica/watching.py",
        WATCHERS,
        WATCHERS.replace(":", " if event.key[-2:] != b'n1' or not event.value else ():"),
        "broken",
        "watch through n1: never told of _canary/",
    ),
    "a watch that tells nothing any more": Planted(
        "replica/watching.py",
        WATCHERS,
        WATCHERS.replace(":", " if event.key[-2:] != b'n1' else ():"),
        "degraded",
        "did not tell in time of",
    ),
    "another token announced than won": Planted(
        "services/elections.py", TOLD, TOLD.replace("led.token", "led.token + 1"), "broken", "election: announced token "
    ),
    "a task that is put twice": Planted("services/queues.py", MADE, f"{MADE}\n        {MADE}", "broken", "queue: task "),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_promise_that_a_member_breaks_is_seen(name: str, home: Home, tmp_path: Path) -> None:
    planted = PLANTED[name]
    source = tmp_path / "src"
    shutil.copytree(SOURCE, source, ignore=shutil.ignore_patterns("*.pyc.*"))  # what is compiled stays so, but for what is changed
    path = source / "coordnode" / planted.file
    text = path.read_text(encoding="utf-8")
    assert text.count(planted.old) == 1
    path.write_text(text.replace(planted.old, planted.new), encoding="utf-8")
    home.ctl("up", "--nodes", "1", PYTHONPATH=str(source))
    assert seen(home, 2 if planted.outcome == "broken" else 1, planted.sentence)["outcome"] == planted.outcome


def test_its_role_lets_it_do_what_it_does_and_no_more(home: Home) -> None:
    home.ctl("up", "--nodes", "1")
    home.ctl("auth", "user", "add", "root", "--role", "admin")
    tokens = {}
    for user, role in (("root", ""), ("canary", ROLE), ("bystander", ROLE.replace(",queue:manage:_canary/", ""))):
        if role:
            home.ctl("auth", "role", "add", user, role, "--reason", "its work")
            home.ctl("auth", "user", "add", user, "--role", user)
        tokens[user] = home.folder / user
        tokens[user].write_text(home.ctl("auth", "token", "add", user))
        tokens[user].chmod(0o600)
        home.environment["COORD_AUTH_TOKEN_FILE"] = str(tokens["root"])
    quick = ("canary", "run", "--count", "2", "--interval", "100ms", "--timeout", "10s", "-o", "json")
    assert valid(home.ctl(*quick, COORD_AUTH_TOKEN_FILE=str(tokens["canary"])))["is_clean"] is True
    denied = valid(home.ctl(*quick, code=1, COORD_AUTH_TOKEN_FILE=str(tokens["bystander"])))
    assert str(denied["sentence"]).startswith("2 of 2 rounds not well: queue: user bystander may not use queue _canary/")
    nobody = valid(home.ctl(*quick, code=3, COORD_AUTH_TOKEN_FILE=""))
    assert "what the canary does is not permitted to it (" in str(nobody["sentence"])
