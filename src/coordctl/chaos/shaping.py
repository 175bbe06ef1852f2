"""Faults that hold back what arrives over the links that end on this host: a queue of the kernel, and a process of ours that lets it pass.

Each fault has a table of nftables and a queue of its own. The kernel queues nothing any more once the element of whom it hits has timed
out, and nothing where nobody listens: so the link is well when our process is gone, and when nobody is left to take the table away.
"""

import os
import signal
import socket
import time
from collections.abc import Callable, Sequence

from coordctl.chaos import arriving, links, lives, nfqueue, nft, values
from coordctl.chaos.arriving import Ending
from coordctl.chaos.ledger import Entry, Ledger
from coordctl.local import processes
from coordctl.local.fleet import Failed

HOLDS = ("delay", "jitter", "bandwidth", "slow-close")
MODULE = "coordctl.chaos.shaper"
LOG = "shapers.log"
MECHANISM = "a queue of the kernel (NFQUEUE), and a process of ours that lets its packets pass late, where the link ends"
ENDS = "that process, which reads until when; the kernel: an element with a timeout"
TAKES_SECONDS_MAX = 20.0
SILENT_SECONDS = 5.0  # beyond what a fault makes late
LEAVES_SECONDS = 1.0  # in which who is asked to end lets pass what it holds
TALK_BYTES, TALKS = 8 * 1024, 4  # by which it is measured how narrow a link is, and how often we ask before we count again
CALLS, LATE_LEAST, ROUNDS = 8, 3, 3  # at once; how many of them must be late; how often that is tried
CLOSES = "tcp flags & (fin | rst) != 0 "

seen = links.seen


def lacks(fault: str) -> str:
    """Why it cannot be done on this host, and the remedy; "": it can."""
    if trouble := nft.lacks(fault):
        return trouble
    try:
        nfqueue.must_be_possible(nfqueue.number_of(os.urandom(4).hex()))
    except OSError as error:
        return f"{fault} needs a kernel whose packet filter has queues (NFQUEUE), and this one says: {error.strerror or error}"
    return ""


def strike(ledger: Ledger, entries: Sequence[Entry]) -> list[str]:
    return [_strike(ledger, entry) for entry in entries]


def _strike(ledger: Ledger, entry: Entry) -> str:
    try:
        endings = arriving.of(ledger, entry)
    except Failed as error:
        return error.sentence
    if trouble := _start(ledger, entry):
        return trouble
    with ledger.striking([entry]):
        if trouble := nft.tell(rules(entry, endings, entry.left_ms())) or _lead(entry, endings):
            return trouble
    from concurrent.futures import ThreadPoolExecutor  # as in lives

    with ThreadPoolExecutor(max_workers=len(endings)) as pool:
        troubles = list(pool.map(lambda number: _measured(entry, number, endings[number]), range(len(endings))))
    found = zip(entry.links, troubles, strict=True)
    return "; ".join(f"{source} -> {sink}: {trouble}" for (source, sink), trouble in found if trouble)


def _start(ledger: Ledger, entry: Entry) -> str:
    number = nfqueue.number_of(entry.id)
    if nfqueue.is_listened_on(number):
        return f"queue {number} of the kernel is another program's: run it again, which takes another one"
    log = os.path.join(ledger.folder, LOG)
    arguments = [entry.fault, entry.id, entry.by, str(entry.deadline_ms), entry.boot]
    processes.let_go(processes.start(arguments, log, ledger.folder, module=MODULE))
    return lives.wait_until(lambda: nfqueue.is_open(number), TAKES_SECONDS_MAX, f"nobody holds what arrives: see {log}", 0.02)


def rules(entry: Entry, endings: Sequence[Ending], left_ms: int) -> str:
    """What arrives is counted, and led into a chain that is empty as yet; what goes on from there is counted again."""
    lines = []
    for family in dict.fromkeys(one.family for one in endings):
        lines.append(f"table {family} {nft.table_of(entry)} {{")
        of_family = [(number, one) for number, one in enumerate(endings) if one.family == family]
        for number, one in of_family:
            lines.append(
                f"set from{number} {{ type {one.kind}; flags timeout; elements = {{ {one.address} timeout {max(1, left_ms)}ms }}; }}"
            )
            lines.append(f"counter taken{number} {{ }}\ncounter passed{number} {{ }}")
        lines.append("chain held { }")
        which = CLOSES if entry.fault == "slow-close" else ""
        for chain, priority, counter, then in (("arriving", -150, "taken", " jump held"), ("passing", -149, "passed", "")):
            lines.append(f"chain {chain} {{ type filter hook input priority {priority}; policy accept;")
            for number, one in of_family:
                lines += [f"{family} saddr @from{number} {what} {which}counter name {counter}{number}{then}" for what in one.arriving]
            lines.append("}")
        lines.append("}")
    return "\n".join([*lines, ""])


def _lead(entry: Entry, endings: Sequence[Ending]) -> str:
    try:
        for family in dict.fromkeys(one.family for one in endings):
            nfqueue.lead(family, nft.table_of(entry), "held", nfqueue.number_of(entry.id))
    except OSError as error:
        return f"the kernel leads nothing into a queue: {error.strerror or error}"
    return ""


# --- whether it took ---------------------------------------------------------------------------------------------------


def _measured(entry: Entry, number: int, ending: Ending) -> str:
    """Of what we ask for, so that there is something to hold; "": it was held."""
    trouble = MEASURES[entry.fault](entry, number, ending)
    return trouble or ("" if nft.counted(entry, ending.family, f"taken{number}")[0] else "no packet was taken")


def _is_late(entry: Entry, number: int, ending: Ending) -> str:
    wanted = values.duration_ms(entry.by) / 1000
    first = _answers(ending, wanted)[0]
    return "" if first >= 0.9 * wanted else f"an answer came after {first * 1000:.0f} ms"


def _is_uneven(entry: Entry, number: int, ending: Ending) -> str:
    """Nearly half of it is what more than half of all are late by; of a machine that is busy itself, few are at once."""
    late = 0.45 * values.duration_ms(entry.by) / 1000
    for _ in range(ROUNDS):
        if _answers(ending, late)[-LATE_LEAST] >= late:
            return ""
    return f"of {ROUNDS * CALLS} answers hardly any came late"


def _answers(ending: Ending, late: float) -> list[float]:
    """Of calls at once, after how many seconds each was answered; the first one first."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(max_workers=CALLS) as pool:
        return sorted(pool.map(lambda _: _answer_seconds(ending, late), range(CALLS)))


def _answer_seconds(ending: Ending, late: float) -> float:
    """Until who sends has taken a connection, or refused it: the kernel there does, whatever the member is at."""
    began = time.monotonic()
    try:
        arriving.connected(ending, 2 * late + SILENT_SECONDS).close()
    except ConnectionRefusedError:
        pass
    except OSError as error:
        raise OSError(f"{ending.address} does not answer: {error}") from None
    return time.monotonic() - began


def _ends_late(entry: Entry, number: int, ending: Ending) -> str:
    wanted = values.duration_ms(entry.by) / 1000
    seconds = _end_seconds(ending, wanted)
    return "" if seconds >= 0.9 * wanted else f"the end came after {seconds * 1000:.0f} ms"


def _end_seconds(ending: Ending, late: float) -> float:
    """Until we are told that who sends has closed a connection, which we closed for our part, or has refused it."""
    began = time.monotonic()
    try:
        with arriving.connected(ending, 2 * late + SILENT_SECONDS) as connection:
            connection.sendall(arriving.ASKED)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65_536):
                pass
    except ConnectionError:
        pass
    except OSError as error:
        raise OSError(f"{ending.address} does not end a connection: {error}") from None
    return time.monotonic() - began


def _is_narrow(entry: Entry, number: int, ending: Ending) -> str:
    """Asks until a second's worth has passed, or so much that it can be seen."""
    rate = values.bytes_each_second(entry.by)
    wanted = min(TALK_BYTES, rate)
    passed_before, began = _passed(entry, number, ending), time.monotonic()
    until = began + TAKES_SECONDS_MAX
    while (passed := _passed(entry, number, ending) - passed_before) < wanted and time.monotonic() < until:
        for _ in range(TALKS):
            _end_seconds(ending, TALK_BYTES / rate)
    seconds = time.monotonic() - began
    if passed < wanted:
        return f"{passed} bytes passed in {seconds:.0f} s, too few to measure"
    return "" if passed / seconds <= rate / 0.9 else f"{passed} bytes passed in {seconds * 1000:.0f} ms"


def _passed(entry: Entry, number: int, ending: Ending) -> int:
    return nft.counted(entry, ending.family, f"passed{number}")[1]


MEASURES: dict[str, Callable[[Entry, int, Ending], str]] = {
    "delay": _is_late,
    "jitter": _is_uneven,
    "bandwidth": _is_narrow,
    "slow-close": _ends_late,
}
assert set(MEASURES) == set(HOLDS)


# --- and whether it is over --------------------------------------------------------------------------------------------


def _shapers(entry: Entry) -> list[int]:
    """Its processes that run."""
    return [pid for pid in processes.each_with_words(MODULE, entry.id) if processes.started_mark(pid)]


def cure(ledger: Ledger, entry: Entry) -> None:
    """What it holds passes, in order; who does not end when he is asked to is killed, and TCP sends it again."""
    for number in (signal.SIGTERM, signal.SIGCONT):
        _signal(entry, number)
    if lives.wait_until(lambda: not _shapers(entry), LEAVES_SECONDS, "it does not end"):
        _signal(entry, signal.SIGKILL)
    nft.take_away(entry)


def _signal(entry: Entry, number: signal.Signals) -> None:
    for pid in _shapers(entry):
        processes.send(pid, processes.started_mark(pid), number)


def is_cured(ledger: Ledger, entry: Entry) -> bool:
    return not _shapers(entry) and not nft.tables(entry)


drop = cure
