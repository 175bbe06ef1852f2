"""A few writes, and when each member itself showed them and had made them durable: what an upgrade compares a new member by."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import quote

from coordctl.facts.members import SYNC
from coordctl.local.clusters import Endpoint
from coordctl.operations import http, statuses
from coordctl.rolling.gates import Measured, median_sync_ms
from coordnode.client.sync import Cluster
from coordnode.errors import CoordError

KEY = "_upgrade/probe"
WRITES = 15
SHOW_SECONDS_MAX = 5.0
ASK_SECONDS = 2.0
PAUSE_SECONDS = 0.002


class Probe(NamedTuple):
    members: list[Measured]
    writes_ms: list[float]  # until each was acknowledged


def probe(cluster: Cluster, endpoints: Sequence[Endpoint]) -> Probe:
    """Raises CoordError when it cannot be written at all."""
    before = statuses.ask(endpoints, ASK_SECONDS, with_metrics=True)
    writes_ms: list[float] = []
    shown: dict[str, list[float]] = {one.name: [] for one in endpoints}
    troubles: dict[str, str] = {}
    with ThreadPoolExecutor(max_workers=len(endpoints)) as pool:
        lines = {one.name: http.Line(one.address, ASK_SECONDS) for one in endpoints}
        try:
            for number in range(WRITES):
                began, value = time.monotonic(), str(number)
                revision = int(cluster.kv.put(KEY, value))
                writes_ms.append((time.monotonic() - began) * 1000)
                asked = {name: pool.submit(_shown_after, line, revision, value) for name, line in lines.items() if name not in troubles}
                for name, answer in asked.items():
                    found = answer.result()
                    if isinstance(found, str):
                        troubles[name] = found
                    else:
                        shown[name].append(found)
            for name in shown:  # the other way a member is asked: it goes to the leader as a client
                trouble = _asked(lines[name], "", value) if name not in troubles else ""
                if trouble:
                    troubles[name] = f"a read through it failed: {trouble}"
        finally:
            for line in lines.values():
                line.close()
            with suppress(CoordError):
                cluster.kv.delete(KEY)
    after = statuses.ask(endpoints, ASK_SECONDS, with_metrics=True)
    measured = [
        Measured(one.name, tuple(shown[one.name]), median_sync_ms(now, then, SYNC), troubles.get(one.name, ""))
        for one, now, then in zip(endpoints, after, before, strict=True)
    ]
    return Probe(measured, writes_ms)


def _shown_after(line: http.Line, revision: int, value: str) -> float | str:
    """From now until the member's own state has it, in milliseconds; or why it does not."""
    began = time.monotonic()
    trouble = _asked(line, f"&stale=true&min_revision={revision}", value)
    while trouble and time.monotonic() - began < SHOW_SECONDS_MAX:
        time.sleep(PAUSE_SECONDS)
        trouble = _asked(line, f"&stale=true&min_revision={revision}", value)
    return f"it does not show what was written {SHOW_SECONDS_MAX:g} s ago: {trouble}" if trouble else (time.monotonic() - began) * 1000


def _asked(line: http.Line, query: str, value: str) -> str:
    """Why it was not shown; "": it was."""
    try:
        answer = line.ask("GET", f"/v1/kv/{quote(KEY)}", query=query)
    except CoordError as error:
        return error.sentence
    found = (answer.body.get("item") or {}).get("value") if answer.is_ok else None
    return "" if found == value else answer.sentence if not answer.is_ok else f"{found!r} instead of {value!r}"
