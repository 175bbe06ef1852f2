"""What must be right on hosts before anything is changed there, and what is worth a thought. Pure."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from coordctl.facts.hosts import HostFacts

FREE_BYTES_MIN = 1 << 30
SYNC_MS_MAX = 20.0
FILES_MIN = 4_096
OFFSET_MS_MAX = 500.0
STOPS, REMARK = "stops", "remark"


class Found(NamedTuple):
    host: str
    level: str  # STOPS, REMARK
    sentence: str
    remedy: str


def of_host(facts: HostFacts, address: str, port: int) -> list[Found]:
    found: list[Found] = []

    def stops(sentence: str, remedy: str) -> None:
        found.append(Found(facts.name, STOPS, sentence, remedy))

    def remark(sentence: str, remedy: str) -> None:
        found.append(Found(facts.name, REMARK, sentence, remedy))

    if facts.is_root and not facts.has_account and not facts.has_useradd:
        stops("there is no user coordnode, and no useradd to make one", "make the user, or log in as the user whose rights it shall have")
    if not facts.is_root and not facts.can_write and not facts.marker:
        stops(f"{facts.user} cannot write where {facts.base} is to be", "name another folder in the inventory, or sudo = true")
    if facts.running is None and facts.port_taken:
        stops(f"it cannot listen at {address}:{port}: {facts.port_taken}", "give it another port, or its own address, in the inventory")
    if facts.sync_trouble:
        stops(f"its disk cannot be written: {facts.sync_trouble}", f"look at the disk below {facts.base}")
    elif facts.sync_ms is not None and facts.sync_ms > SYNC_MS_MAX:
        remark(f"its disk takes {facts.sync_ms:.0f} ms to make 4 KiB durable", "every write waits for that: put data on a faster disk")
    if facts.free_bytes < FREE_BYTES_MIN:
        remark(f"it has {facts.free_bytes >> 20} MiB of free disk", "writes are refused below free-min, 256 MiB by default")
    if facts.files_max != -1 and facts.files_max < FILES_MIN:
        remark(f"it allows {facts.files_max} open files", "so many connections at most: raise the hard limit")
    if not facts.has_systemd and not facts.has_cron:
        remark("nothing there starts the member after a reboot: neither systemd nor cron", "install cron, or run `coordctl start` then")
    return found


def of_clocks(all_facts: Sequence[HostFacts]) -> list[Found]:
    """Wall clocks decide nothing here, but logs and certificates are read by them."""
    found = []
    if len(all_facts) < 2:
        return []
    middle = sorted(facts.offset_ms for facts in all_facts)[len(all_facts) // 2]
    for facts in all_facts:
        apart_ms = facts.offset_ms - middle
        if abs(apart_ms) - facts.offset_error_ms > OFFSET_MS_MAX:
            sentence = f"its clock is {apart_ms / 1000:+.1f} s from the others' (± {facts.offset_error_ms / 1000:.1f} s)"
            found.append(Found(facts.name, REMARK, sentence, "let chrony or ntpd set it"))
    return found


def of_ways(trouble: Mapping[str, Mapping[str, str]], places: Mapping[str, str]) -> list[Found]:
    """`trouble`: from → to → why not."""
    return [
        Found(source, STOPS, f"it does not reach {target} at {places[target]}: {why}", "open that port between the hosts, both ways")
        for source, targets in trouble.items()
        for target, why in targets.items()
    ]
