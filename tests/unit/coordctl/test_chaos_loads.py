"""What a load that was killed cannot write down itself."""

import json
from pathlib import Path

from coordctl.operations.chaos_loads import Loads


def noted(folder: Path, *events: tuple[int, str, str, int | None]) -> list[object]:
    """The token that is noted as lost when client 2 is killed, if any."""
    lines = [{"process": process, "f": what, "type": kind, "value": value} for process, what, kind, value in events]
    (folder / "lock.events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    loads = Loads(str(folder), [], "", 1)
    has_held = loads.note_killed(2)
    found = [json.loads(line) for line in (folder / "lock.events.jsonl").read_text().splitlines()][len(lines) :]
    assert bool(found) == has_held
    assert loads.holder() is None
    return [event["value"] for event in found]


def test_who_was_granted_the_lock_anew_since_it_was_seen_loses_the_last_grant(tmp_path: Path) -> None:
    first = ((2, "acquire", "ok", 5), (2, "release", "invoke", 5), (2, "release", "ok", None))
    assert noted(tmp_path, *first, (2, "acquire", "invoke", None), (2, "acquire", "ok", 9)) == [9, None]
    assert noted(tmp_path, *first, (3, "acquire", "ok", 9)) == [], "it had given it back"
