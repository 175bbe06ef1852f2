"""That a campaign would turn red: papers on which one thing is wrong."""

import json
from pathlib import Path
from typing import Any

import pytest

from coordnode.errors import PromiseBroken
from tests.processes.violence.judgement import Watched, check, merged

PUT, DELETE = 0, 1


def change(watch: int, revision: int, *events: tuple[int, str, str, int, int], at: int = 0) -> dict[str, Any]:
    return {"watch": watch, "revision": revision, "events": events, "at": at or revision}


SEEN = [
    {"watch": 0, "opened": 1, "prefix": ""},
    change(0, 1, (PUT, "k/00", "1-1", 1, 0)),
    change(0, 2, (PUT, "s/1", "9-1", 1, 7)),
    change(0, 3, (DELETE, "s/1", "", 0, 7), at=50),
    change(0, 4, (PUT, "k/00", "1-2", 2, 0)),
    {"watch": 1, "opened": 1, "prefix": "k/"},
    change(1, 1, (PUT, "k/00", "1-1", 1, 0)),
    change(1, 4, (PUT, "k/00", "1-2", 2, 0)),
]


def put(process: int, key: str, value: str, time: int, revision: int | None, session: int = 0) -> list[dict[str, Any]]:
    asked = {"process": process, "type": "invoke", "f": "put", "value": [key, value, session], "time": time}
    told = {"process": process, "type": "info" if revision is None else "ok", "f": "put", "value": revision, "time": time + 1}
    return [asked, told]


TOLD = [*put(1, "k/00", "1-1", 10, 1), *put(9, "s/1", "9-1", 20, 2, 7), *put(1, "k/00", "1-2", 60, 4)]


def judged(folder: Path, seen: list[dict[str, Any]], told: list[dict[str, Any]], beliefs: list[dict[str, Any]], last: int = 4) -> None:
    for name, lines in (("watches", seen), ("load", told)):
        (folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
    history = folder / "history"
    watched = Watched(folder / "watches")
    watched.check(last)
    merged([folder / "load"], history, watched.changes)
    watched.check_against(history)
    watched.check_sessions(beliefs)
    code, verdict = check(history)
    assert code == 0, verdict


def test_what_is_right_is_green(tmp_path: Path) -> None:
    judged(tmp_path, SEEN, TOLD, [{"session": 7, "at": 20, "believed_until": 50}])


WRONG: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]], int]] = {
    "no watch saw it": ([*SEEN[:3], *SEEN[4:]], TOLD, [], 4),
    "the end was not seen": (SEEN, TOLD, [], 5),
    "one watch missed one": (SEEN[:6] + SEEN[7:], TOLD, [], 4),
    "sent twice": ([*SEEN, SEEN[7]], TOLD, [], 4),
    "out of order": ([*SEEN[:6], SEEN[7], SEEN[6]], TOLD, [], 4),
    "two watches differ": ([*SEEN[:6], change(1, 1, (PUT, "k/00", "other", 1, 0)), SEEN[7]], TOLD, [], 4),
    "an acknowledged write is another's": (SEEN, [*TOLD[:4], *put(1, "k/00", "1-3", 60, 4), *put(2, "k/00", "1-2", 60, None)], [], 4),
    "written twice": ([*SEEN, change(0, 5, (PUT, "k/00", "1-2", 3, 0)), change(1, 5, (PUT, "k/00", "1-2", 3, 0))], TOLD, [], 5),
    "written by nobody": ([*SEEN, change(0, 5, (PUT, "k/00", "who", 3, 0)), change(1, 5, (PUT, "k/00", "who", 3, 0))], TOLD, [], 5),
    "a session ended too early": (SEEN, TOLD, [{"session": 7, "at": 20, "believed_until": 51}], 4),
    "believed in after its end": (SEEN, TOLD, [{"session": 7, "at": 60, "believed_until": 70}], 4),
    "not linearizable": (SEEN, [*TOLD[:4], *put(1, "k/00", "1-2", 5, 4)], [], 4),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_red(tmp_path: Path, name: str) -> None:
    with pytest.raises((AssertionError, PromiseBroken)):
        judged(tmp_path, *WRONG[name])


def test_what_nobody_was_told_is_learnt_from_the_watches(tmp_path: Path) -> None:
    told = [*TOLD[:4], *put(1, "k/00", "1-2", 60, None)]
    for number in range(300):  # none of them happened
        told += put(100 + number, "k/00", f"{100 + number}-1", 12, None)
    judged(tmp_path, SEEN, told, [])
    late = [*TOLD[:4], {"process": 3, "type": "invoke", "f": "get", "value": "k/00", "time": 30}]
    late.append({"process": 3, "type": "ok", "f": "get", "value": [4, ["k/00", "1-2", 1, 4, 2, 0]], "time": 40})
    with pytest.raises(AssertionError, match="violation"):
        judged(tmp_path, SEEN, [*late, *put(1, "k/00", "1-2", 60, None)], [])  # it was read before it was asked for


def test_an_end_that_the_holder_asked_for_is_no_wrong(tmp_path: Path) -> None:
    beliefs = [{"session": 7, "at": 20, "believed_until": 90}, {"session": 7, "at": 40, "closing": True}]
    judged(tmp_path, SEEN, TOLD, beliefs)
