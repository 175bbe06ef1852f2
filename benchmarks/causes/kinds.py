"""The closed list of kinds, and in which round each was injected for the first time."""

from collections.abc import Callable

from benchmarks.causes import faults, held_out, held_out_fifth, held_out_fourth, planned
from benchmarks.causes.faults import Right
from benchmarks.causes.scene import Scene

Fault = Callable[[Scene, int], Right]


def _named(*kinds: Fault) -> dict[str, Fault]:
    return {one.__name__.replace("_", "-"): one for one in kinds}


KNOWN = _named(
    *(faults.kill_leader, faults.kill_follower, faults.pause_leader, faults.pause_follower, faults.slow_disk, faults.full_disk),
    *(faults.rotten_record, faults.clock_jump, faults.one_way_cut, faults.cpu_hog, faults.other_settings, faults.loss, faults.slow_link),
    *(faults.watches, faults.few_files, faults.other_version, faults.expired_certificate, faults.quorum_lost, faults.no_names),
)
# Held out: never injected, by this or in any other way, before the rules were frozen.
FIRST_ROUND = _named(
    *(faults.failing_disk, faults.isolated, faults.flapping_link, faults.starved_follower, faults.surge, faults.two_at_once)
)  # 5566cf0
SECOND_ROUND = _named(
    *(faults.stalled_disk, faults.deaf_leader, faults.put_surge, faults.drifting_clock, faults.power_cut, faults.crash_loop)
)  # 207ad0c
THIRD_ROUND = _named(
    *(held_out.oom_kill, held_out.cpu_quota, held_out.cannot_start, held_out.address_taken),
    *(held_out.large_packets, held_out.reset_links, held_out.swapped_addresses, held_out.foreign_certificate, held_out.all_paused),
    *(held_out.no_network, held_out.clock_to_and_fro, held_out.stutter, held_out.disk_in_bursts, held_out.huge_values),
    *(held_out.read_surge, held_out.lock_held, held_out.old_folder, held_out.pause_and_slow_disk),
)  # bdcb5dc
FOURTH_ROUND = _named(
    *(held_out_fourth.shared_disk_full, held_out_fourth.inodes_gone, held_out_fourth.read_only_disk, held_out_fourth.clock_hours_back),
    *(held_out_fourth.session_churn, held_out_fourth.paused_in_turn, held_out_fourth.new_refused, held_out_fourth.doubled_address),
)  # d7b8dfc
FIFTH_ROUND = _named(
    *(held_out_fifth.all_clocks_jump, held_out_fifth.folder_moved_away, held_out_fifth.one_way_flaps, held_out_fifth.two_killed),
    *(held_out_fifth.two_paused, held_out_fifth.slow_disk_everywhere, held_out_fifth.rotten_snapshot, held_out_fifth.clock_and_cut),
)  # 8a25ac9
HELD_OUT = (FIRST_ROUND, SECOND_ROUND, THIRD_ROUND, FOURTH_ROUND, FIFTH_ROUND)
FAULTS = KNOWN | {name: kind for one in HELD_OUT for name, kind in one.items()}
HEALTHY = _named(
    *(planned.healthy, planned.rolling_restart, planned.restart_one, planned.rolling_upgrade, planned.backup, planned.transfer),
    planned.replace,
)
WITH_TLS = ("expired-certificate", "foreign-certificate")
WITH_NAMES = ("no-names", "swapped-addresses")
DISKS: dict[str, Callable[[Scene], None]] = {  # other than this machine's own: what is done before the cluster begins
    "full-disk": lambda scene: scene.small_disk(3, 24),
    "shared-disk-full": lambda scene: scene.shared_disk(64),
    "inodes-gone": lambda scene: scene.small_disk(3, 64, files_max=300),
    "read-only-disk": lambda scene: scene.ext4_disk(3, 64),
}


def mark(kind: str) -> str:
    """A star for each round up to the one in which it was held out."""
    return next(("*" * number for number, kinds in enumerate(HELD_OUT, 1) if kind in kinds), "")
