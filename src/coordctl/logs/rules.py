"""The closed list of rules: each looks for one cause, and tells it with the lines and numbers that speak for it. Pure."""

from collections.abc import Callable, Iterator

from coordctl.logs.cluster_rules import (
    crowded,
    crowded_address,
    expiries,
    leaderless,
    links,
    lock_held,
    refused,
    settings,
    storm,
    surge,
)
from coordctl.logs.evidence import Evidence, Hypothesis
from coordctl.logs.half_links import half_links
from coordctl.logs.host_rules import clocks, disk_full, drifts, ends_apart, interrupted, memory, quota, slow_disk, stood_still
from coordctl.logs.member_rules import ended, handed_over, old_folder, rotten, states
from coordctl.logs.processor_rules import squeezed, starved

Rule = Callable[[Evidence], Iterator[Hypothesis]]
RULES: tuple[Rule, ...] = (
    ended, handed_over, old_folder, rotten, states, disk_full, quota, slow_disk, starved, squeezed, interrupted, stood_still, memory,
    clocks, ends_apart, drifts, links, half_links, crowded, crowded_address, surge, settings, refused, lock_held, storm, leaderless,
    expiries,
)  # fmt: skip
