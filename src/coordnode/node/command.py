"""`coordnode run`: from a command line to a running member."""

import os
import random
import signal
import sys
from collections.abc import Callable, Sequence

from coordnode.config import KEYS, NodeConfig, load
from coordnode.errors import BadRequest, ConfigRefused, CoordError, FolderRefused, Rotten, UnknownFormat
from coordnode.harm.clock import HarmedClock
from coordnode.harm.orders import Orders
from coordnode.net.tls import contexts
from coordnode.node import status
from coordnode.node.clock import Clock, RealClock
from coordnode.node.ending import DIVERGED, LEFT, ROTTEN
from coordnode.node.founding import DONE, FAILED, REFUSED, USAGE, say
from coordnode.node.log_file import LogFile
from coordnode.node.member import Member
from coordnode.node.recovery import open_member
from coordnode.node.reloading import Reloading
from coordnode.node.telemetry import FLIGHT_BYTES_MAX, FLIGHT_FILE, Telemetry
from coordnode.node.tuning import limits, new_loop, raise_file_limit, tune_interpreter

REOPENS_MAX = 3  # after rot or divergence; each makes the next start smaller, so more would only hide a dying disk

RUN_HELP = """\
usage: coordnode run --folder DIR [--listen HOST:PORT] [--config FILE] [OPTION …]

Runs one member until SIGTERM. Settings come from the file (TOML, `setting = "value"`), then from variables COORDNODE_SETTING,
then from flags; the later ones win. Clients, members and HTTP (/v1 /livez /readyz /metrics /status) share one port.

{options}

exit codes: 0 left in order · 1 failed, the reason is on standard error · 64 a setting is wrong · 76 the folder is refused
"""


def _options() -> str:
    lines = []
    for name, key in KEYS.items():
        flag = f"  --{name} {key.metavar}".rstrip()
        lines.append(f"{flag:<34} {key.help}")
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> int:
    """`coordnode run`."""
    if not __debug__:
        say("python -O and PYTHONOPTIMIZE take out the assertions that guard the data: start it without them")
        return USAGE
    if "--help" in arguments or "-h" in arguments:
        sys.stdout.write(RUN_HELP.format(options=_options()))
        return DONE
    try:
        config = load(arguments)
        contexts(config.tls)  # read here first: what is wrong with the folder is said before anything is opened
        write = _log_writer(config)
    except (ConfigRefused, BadRequest) as error:
        say(error.sentence)
        return USAGE
    tune_interpreter()
    files_max = raise_file_limit()
    orders = Orders(config.folder) if config.fault_injection else None
    clock: Clock = RealClock() if orders is None else HarmedClock(orders)
    telemetry = Telemetry(write, clock.wall_ms)
    try:
        return _run(config, telemetry, files_max, clock, orders, lambda: load(arguments))
    finally:
        telemetry.close()


def _run(
    config: NodeConfig, telemetry: Telemetry, files_max: int, clock: Clock, orders: Orders | None, reread: Callable[[], NodeConfig]
) -> int:
    rng = random.Random()
    loop = new_loop()
    try:
        discard_state = False
        for _ in range(REOPENS_MAX):
            opened = open_member(config, rng, orders, discard_state=discard_state)
            if telemetry.record is None:  # the folder is ours from here on
                telemetry.record = _flight_recorder(config.folder)
            bounds = limits(config, files_max)
            member = Member(config, opened, loop, telemetry, rng, bounds, status.answer, clock)
            loop.add_signal_handler(signal.SIGHUP, Reloading(member, reread, files_max).on_signal)
            outcome = member.run()
            config = member.config
            if outcome.kind not in (DIVERGED, ROTTEN):
                break
            discard_state = outcome.kind == DIVERGED
    except (FolderRefused, Rotten, UnknownFormat) as error:
        say(error.sentence)
        return REFUSED
    except CoordError as error:
        say(error.sentence)
        return FAILED
    finally:
        loop.close()
    if outcome.kind != LEFT:
        say(outcome.sentence)
        return FAILED
    return DONE


def _flight_recorder(folder: str) -> Callable[[bytes], object] | None:
    try:
        return LogFile(os.path.join(folder, FLIGHT_FILE), FLIGHT_BYTES_MAX, mode=0o600).write
    except OSError:  # a member that can serve is not kept from it by what would tell about it
        return None


def _log_writer(config: NodeConfig) -> Callable[[bytes], object]:
    if not config.log_file:
        return lambda line: os.write(2, line)
    try:
        return LogFile(config.log_file, config.log_bytes_max).write
    except OSError as error:
        raise ConfigRefused(f"log-file: cannot write {config.log_file}: {error.strerror}") from error
