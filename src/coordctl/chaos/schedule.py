"""What a run did, as a playbook again: whom it hit and when. Pure.

On the simulator it comes close to what happened, and is not the same: roles stay roles, since another leads there.
"""

from collections.abc import Sequence
from typing import NamedTuple

from coordctl.chaos.playbook import Playbook
from coordctl.chaos.targets import FOLLOWER, LEADER
from coordctl.chaos.values import shown_ms


class Carried(NamedTuple):
    """A row that was carried out."""

    number: int
    began_ms: int
    members: Sequence[str]
    links: Sequence[tuple[str, str]]


def schedule(playbook: Playbook, carried: Sequence[Carried]) -> str:
    """Of a run that carried out something."""
    rows = {row.number: row for row in playbook.rows}
    lines = [
        f"proves: What a run of {playbook.name} did, at the times at which it did it.",
        "version: 1",
        f"seed: {playbook.seed}",
        f"members: {playbook.members_min}",
    ]
    if playbook.load:
        lines += ["load:", *[f"  - {{do: {one.do}, clients: {one.clients}}}" for one in playbook.load]]
    lines.append("rows:")
    for one in sorted(carried, key=lambda one: one.began_ms):
        row = rows[one.number]
        by = f", by: {row.by}" if row.by else ""
        for target in _targets(row.to.text, one):
            lines.append(f'  - {{at: {one.began_ms}ms, for: {shown_ms(row.for_ms)}, do: {row.do}, to: "{target}"{by}}}')
    lines += ["expect:", "  - {that: healthy, within: 30s}"]
    return "\n".join(lines) + "\n"


def _targets(asked: str, one: Carried) -> list[str]:
    if LEADER in asked or asked == FOLLOWER or not (one.members or one.links):
        return [asked]
    return [",".join(one.members)] if one.members else [f"{source} -> {sink}" for source, sink in one.links]
