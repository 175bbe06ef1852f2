"""`coordctl lock run`, and what it shares with `lock acquire` and the other runners: from flags to a claim.

Loads neither click nor msgspec.
"""

from __future__ import annotations

import os
import time

from coordctl.commands.fast import Command
from coordctl.flags import TIMEOUT_MS, Flag, Given, Verb, duration_ms, whole_number
from coordctl.hot import locks
from coordctl.local.clusters import chosen
from coordctl.report import plain
from coordctl.report.exits import EXPLAINED, Kind
from coordctl.runner import ending, outcome
from coordctl.runner.claim import Terms
from coordctl.runner.held import hold, unable
from coordnode.client.clock import now_ms
from coordnode.client.identity import who
from coordnode.errors import BadRequest, Unreachable
from coordnode.light import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from coordctl.local.clusters import Chosen
    from coordctl.runner.wish import Wish
COMMAND_SHOWN_MAX = 60  # characters of the command in the owner's record
KEEP_MS = 7 * 86_400_000
LOADED_MEANWHILE = ("rules", "kernel", "job", "run")  # while the question is on its way; between any two, what came back is heard


def days_ms(text: str) -> int:
    """A duration for which days make sense."""
    if text.endswith("d") and text[:-1].replace(".", "", 1).isdecimal():
        return round(float(text[:-1]) * 86_400_000)
    return duration_ms(text)


def exit_code(text: str) -> int:
    code = whole_number(text)
    if code > 255:
        raise ValueError("exit codes end at 255")
    return code


def permits(text: str) -> tuple[int, int]:
    count, slash, limit = text.partition("/")
    if not slash or not 0 < whole_number(count) <= whole_number(limit):
        raise ValueError("give how many, and of how many, such as 1/3")
    return int(count), int(limit)


TTL = Flag(("--ttl",), "how long it outlives a holder that fell silent (default: 10s)", "10s", duration_ms, 10_000)
WAITING = (
    Flag(("--try",), "do not wait"),
    Flag(("--wait",), "give up after so long (default: never)", "30s", duration_ms),
)
HOW = (
    TTL,
    Flag(("--shared",), "beside others that share it: many readers, or one writer"),
    Flag(("--permits",), "so many of the permits of a semaphore, such as 1/3", "N/LIMIT", permits),
    Flag(("--note",), "shown to others", "TEXT", default=""),
    *WAITING,
)
HOLD_MAX = Flag(("--hold-max",), "end the command after so long", "1h", duration_ms)
NOT_ACQUIRED = Flag(("-E", "--conflict-exit-code"), "exit code if not acquired (default: 75)", "CODE", exit_code, outcome.NOT_ACQUIRED_CODE)
ENDING = (
    Flag(("--leftover",), "processes that COMMAND leaves behind: wait, kill or release (default: wait)", "HOW", default="wait"),
    Flag(("--on-lost",), "term, kill, ignore, or a command for sh; its $1 is the group (default: term)", "HOW", default="term"),
    Flag(("--grace",), "between TERM and KILL; at most a third of the lease (default: a fifth)", "2s", duration_ms),
    Flag(("--report",), "write outcome, token, waited_ms, held_ms and exit_code to FILE, as JSON", "FILE"),
)

RUN = Verb(
    "lock run",
    ("NAME",),
    "Run COMMAND while holding the lock NAME; docs/lock-run.md says all that is promised.\n"
    "COMMAND finds COORD_LOCK, COORD_TOKEN, COORD_SESSION, COORD_SESSION_CLUSTER and COORD_DEADLINE_MS in its environment.",
    EXPLAINED[Kind.RUNNER],
    (
        *HOW,
        HOLD_MAX,
        NOT_ACQUIRED,
        Flag(("--once",), "only if no run with KEY has succeeded yet; else exit with 0", "KEY"),
        Flag(("--keep",), "for so long a success under --once is remembered (default: 7d)", "7d", days_ms, KEEP_MS),
        *ENDING,
    ),
    "-- COMMAND …",
)


def split_command(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """(ours, the command's), apart from each other by `--`: else nobody knows whose flags are whose."""
    if "--" not in argv:
        return list(argv), []
    end = argv.index("--")
    return list(argv[:end]), list(argv[end + 1 :])


def with_run(
    commands: Mapping[str, Command], argv: list[str], verb: Verb, run: Callable[[Given, Sequence[str]], int]
) -> dict[str, Command]:
    """Beside those that load less. Takes what belongs to the command that is run off `argv`."""
    ours, command = split_command(argv)
    argv[:] = ours
    return {"run": Command(verb, lambda given: run(given, command), Kind.RUNNER), **commands}


def terms_of(given: Given, command: Sequence[str]) -> Terms:
    if given["shared"] and "permits" in given:
        raise BadRequest("--shared and --permits exclude each other: a semaphore with one permit each shares, too")
    count, limit = given["permits"] or (1, 0)
    kind = locks.SEMAPHORE if limit else locks.SHARED if given["shared"] else locks.EXCLUSIVE
    wish = locks.Wish(given["name"], kind, count, limit, waits=not given["try"], note=given["note"])
    return claimed(given, command, wish)


def claimed(given: Given, command: Sequence[str], wish: Wish) -> Terms:
    """How it is claimed, by the flags that all have."""
    if wish.comes_with_opening and given["try"] and "wait" in given:
        raise BadRequest("--try and --wait exclude each other")
    shown = " ".join(command)
    shown = shown if len(shown) <= COMMAND_SHOWN_MAX else shown[: COMMAND_SHOWN_MAX - 1] + "…"
    owner = f'{who()} "{shown}"' if shown else who()
    timeout_ms = given["timeout"] or TIMEOUT_MS
    wait_ms = (given["wait"] if wish.comes_with_opening else None) or given["timeout"]  # --timeout bounds all but the command's life
    wall_offset_ms = time.time_ns() // 1_000_000 - now_ms()
    owner = owner.encode(errors="replace").decode()  # the command may be any bytes
    if not owner.isprintable():  # nor is it to move the cursor of whoever looks who holds it
        owner = "".join([one if one.isprintable() else "\ufffd" for one in owner])
    outer = [_number(os.environ.get(name, "")) for name in ("COORD_SESSION", "COORD_SESSION_CLUSTER")]
    return Terms(wish, given["ttl"], owner, timeout_ms, wait_ms, bool(given["verbose"]), "", 0, wall_offset_ms, *outer)


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0


def lock_run(given: Given, command: Sequence[str]) -> int:
    check(given, command, RUN)
    return run_claimed(given, command, terms_of(given, command)._replace(once=given["once"] or "", keep_ms=given["keep"]))


def check(given: Given, command: Sequence[str], verb: Verb) -> None:
    """What every runner asks for."""
    if not command:
        raise BadRequest(f"which command? coordctl {verb.name} {' '.join(verb.arguments)} [FLAG …] -- COMMAND …")
    if given["leftover"] not in ("wait", "kill", "release"):
        raise BadRequest(f"--leftover {given['leftover']!r}: choose from wait, kill, release")
    if given.is_json():
        raise BadRequest("standard output is the command's: --report FILE writes what -o json would")


def run_claimed(given: Given, command: Sequence[str], terms: Terms) -> int:
    held = hold(cluster(given), terms)
    try:
        for module in LOADED_MEANWHILE:
            __import__(f"coordctl.runner.{module}")
            held.look()
    except OSError as error:  # too many files are open, say
        ended = unable(held, error, given["conflict_exit_code"], plain.note)
        report(given, ended)
        return outcome.exit_code_of(ended)
    from coordctl.runner.rules import Settings
    from coordctl.runner.run import run

    policy = ending.policy(terms.ttl_ms, given["on_lost"], given["leftover"], given["grace"])
    settings = Settings(terms.wish.name, command[0], policy, given["conflict_exit_code"], given["hold_max"] or 0, records=bool(terms.once))
    ended = run(held, command, settings, plain.note)
    report(given, ended)
    return outcome.exit_code_of(ended)


def cluster(given: Given) -> Chosen:
    try:
        return chosen(given["endpoints"], given["cluster"])
    except Unreachable:
        report(given, outcome.Outcome(outcome.UNREACHABLE, outcome.UNREACHABLE_CODE))
        raise


def report(given: Given, ended: outcome.Outcome) -> None:
    if "report" in given:
        try:
            outcome.write(given["report"], ended)
        except OSError as error:
            plain.note(f"coordctl: the report could not be written: {os.fspath(given['report'])}: {error.strerror}")
