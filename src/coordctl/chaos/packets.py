"""Faults of the links that end on this host: what another member sends is dropped or refused as it arrives, by rules of nftables.

Each fault has a table of its own: nothing else is touched. Whom it hits is an element with a timeout, so that the kernel itself ends it;
rules that match nobody are left, until the reapers take the table away.
"""

from collections.abc import Sequence

from coordctl.chaos import arriving, links, lives, nft, values
from coordctl.chaos.arriving import Ending
from coordctl.chaos.ledger import Entry, Ledger
from coordctl.local.fleet import Failed

TAKES_SECONDS_MAX = 20.0
IN_TEN_THOUSAND = 10_000
FAMILY = "inet"
MECHANISM = "nftables, in a table of its own, where the link ends"
ENDS = "the kernel: an element with a timeout"

seen = links.seen
lacks = nft.lacks


def strike(ledger: Ledger, entries: Sequence[Entry]) -> list[str]:
    return [_strike(ledger, entry) for entry in entries]


def _strike(ledger: Ledger, entry: Entry) -> str:
    try:
        endings = arriving.of(ledger, entry)
    except Failed as error:
        return error.sentence
    with ledger.striking([entry]):
        if trouble := nft.tell(rules(entry, endings, entry.left_ms())):
            return trouble
    for number, (source, sink) in enumerate(entry.links):
        if trouble := _measured(entry, number, endings[number]):
            return f"{source} -> {sink}: {trouble}"
    return ""


def rules(entry: Entry, endings: Sequence[Ending], left_ms: int) -> str:
    share = ""
    if entry.fault == "loss":
        share = f"numgen random mod {IN_TEN_THOUSAND} < {round(values.percent(entry.by) / 100 * IN_TEN_THOUSAND)} "
    verdict = "reject with tcp reset" if entry.fault == "reset" else "drop"
    lines = [f"table {FAMILY} {nft.table_of(entry)} {{"]
    for number, one in enumerate(endings):
        lines.append(f"set from{number} {{ type {one.kind}; flags timeout; elements = {{ {one.address} timeout {max(1, left_ms)}ms }}; }}")
        lines.append(f"counter taken{number} {{ }}")
    lines.append("chain arriving { type filter hook input priority -150; policy accept;")
    for number, one in enumerate(endings):
        for what in one.arriving:
            lines.append(f"{one.family} saddr @from{number} {what} {share}counter name taken{number} {verdict}")
    return "\n".join([*lines, "}", "}", ""])


def _measured(entry: Entry, number: int, ending: Ending) -> str:
    """Of what we ask for, so that there is something to take; "": it was taken."""
    answered = False

    def is_taken() -> bool:
        nonlocal answered
        answered = arriving.knock(ending)
        return nft.counted(entry, FAMILY, f"taken{number}")[0] > 0

    trouble = lives.wait_until(is_taken, TAKES_SECONDS_MAX, "no packet was taken")
    return trouble or ("it answers still" if answered and entry.fault == "cut" else "")


def cure(ledger: Ledger, entry: Entry) -> None:
    nft.take_away(entry)


def is_cured(ledger: Ledger, entry: Entry) -> bool:
    return not nft.tables(entry)


drop = cure
