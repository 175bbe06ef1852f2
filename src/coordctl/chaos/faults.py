"""The catalogue of faults: what each does, how hard it can be asked for, by which mechanism, and how it ends. Pure."""

from typing import NamedTuple

from coordctl.chaos import values
from coordctl.chaos.values import Value

PROCESS, NETWORK = "process", "network"


class Fault(NamedTuple):
    kind: str  # process: it hits members; network: it hits links
    what: str
    mechanism: str
    ends: str  # how, and who sees to that
    by: Value | None = None  # how hard; None: there is no more or less of it
    by_example: str = ""
    takes_quorum: bool = True  # whom it hits does not serve meanwhile


_RATE = Value(values.bytes_each_second, {"type": "string", "pattern": r"^[0-9]{1,9}(\.[0-9]{1,3})?(B|KiB|MiB|GiB)/s$"})
_PROXY = "embedded proxy, `coordctl chaos proxy install`"
_BY_ITSELF = "the toxic's own lifetime, kept by the proxy"

FAULTS: dict[str, Fault] = {
    "kill": Fault(PROCESS, "kill -9; what was not synced stays in the page cache", "SIGKILL", "started again by the reapers"),
    "pause": Fault(PROCESS, "stands still, with its sockets open", "SIGSTOP", "SIGCONT by the reapers"),
    "crash-loop": Fault(
        PROCESS, "killed with -9 again and again, also while it starts", "SIGKILL by the reapers", "left running by the reapers"
    ),
    "cut": Fault(NETWORK, "nothing passes, and nobody is told", f"timeout toxic, {_PROXY}", _BY_ITSELF),
    "delay": Fault(NETWORK, "all is late, in order", f"latency toxic, {_PROXY}", _BY_ITSELF, values.DURATION, "200ms", takes_quorum=False),
    "bandwidth": Fault(NETWORK, "passes slowly", f"bandwidth toxic, {_PROXY}", _BY_ITSELF, _RATE, "64KiB/s", takes_quorum=False),
    "loss": Fault(
        NETWORK,
        "this share of pieces comes 200 ms late, as TCP sees a lost packet",
        f"loss toxic (ours), {_PROXY}",
        _BY_ITSELF,
        values.PERCENT,
        "5%",
        takes_quorum=False,
    ),
    "reset": Fault(NETWORK, "connections are reset as soon as they are made", f"reset_peer toxic, {_PROXY}", _BY_ITSELF),
}


def trouble_with_by(name: str, by: str) -> str:
    """What is wrong with how hard a fault is asked for, and what to give instead; "": nothing."""
    fault = FAULTS[name]
    if fault.by is None:
        return f"{name} knows no more or less: leave out by" if by else ""
    try:
        if not by:
            return f"say how hard, such as {fault.by_example}"
        return "" if fault.by.parse(by) else f"that does nothing: give more, such as {fault.by_example}"
    except ValueError as error:
        return str(error)
