"""The copy of an upgrade's journal that the cluster has while it is not over: for whoever asks members and not hosts."""

from contextlib import suppress
from urllib.parse import quote

from coordctl.facts.members import ClusterFacts
from coordctl.operations import http
from coordctl.rolling import course, journal
from coordnode.errors import CoordError

KEY = "_upgrade/journal"


def under_way(facts: ClusterFacts, seconds: float) -> str:
    """In one line; "": none is, or nobody says so. A member's own state is enough: it is for a person to read."""
    for one in facts.answered:
        with suppress(CoordError):
            answer = http.ask(one.address, "GET", f"/v1/kv/{quote(KEY)}", seconds=seconds, query="&stale=true")
            found = journal.decode(str((answer.body.get("item") or {}).get("value", "")).encode()) if answer.is_ok else None
            return course.says(found) if found is not None else ""
    return ""
