"""`coordctl`: a table of verbs. Stays tiny, so that a command starts fast: a verb's module is loaded once it is chosen."""

from __future__ import annotations

import gc
import os
import sys

from coordnode.light import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

# Verb -> one line for --help. Each is a module of coordctl.commands with main(argv) -> exit code.
VERBS = {
    "up": "start a durable cluster on this machine",
    "down": "stop it; the data stays unless --purge is given",
    "demo": "a tour on real members, half a minute at most; nothing stays",
    "kv": "get, put, del, ls, cas, watch: values under keys",
    "queue": "run, put, take, extend, ack, nack, ls, show, dead, redrive …: work",
    "journal": "append, read, tail, trim, ls, show, set, delete: durable logs",
    "lock": "run, acquire, renew, release, check, ls, show, break: one at a time",
    "elect": "run, ls, show, observe, proclaim, resign, transfer: one leads, others stand by",
    "fence": "admit: the resource's side of a lock",
    "group": "run, ls, show, watch, join, update, leave: who is there, and what they say of themselves",
    "shard": "run, ls, show, watch, create, set, delete: work shared out over a group",
    "barrier": "enter, leave, show, ls: going on together",
    "counter": "get, add, ls, del: numbers that many add to",
    "copy": "keys to another cluster, of whichever engine, then compared",
    "session": "ls, show, close: who is connected",
    "status": "how the cluster and each member are",
    "health": "the same as one judgement, for monitoring",
    "top": "status, drawn anew all the time",
    "doctor": "the same with what hosts say, too: what is wrong, and what to do",
    "wait": "until the cluster is as --for says",
    "canary": "run, install, status: does the cluster do what users need?",
    "bench": "how fast, where the time goes, and what is short",
    "inventory": "init, validate, show, trust: which hosts a cluster is to run on",
    "build": "pack what a host needs beside Python and sshd",
    "deploy": "make the hosts run the cluster as its inventory has it",
    "upgrade": "run, status, pause, resume, abort: another version, one member after the other",
    "start": "the members that do not run",
    "stop": "all members of a fleet; their data is kept",
    "restart": "all members of a fleet, or one after the other with --rolling",
    "destroy": "what deploy has put on the hosts; data only with --purge",
    "config": "diff, push, reload: members' settings beside the inventory",
    "member": "ls, add, remove, replace, promote, demote, lead, drain, undrain: who belongs to the cluster",
    "backup": "create, ls, verify: the whole state as a file",
    "restore": "make a cluster anew from a backup",
    "recover": "the quorum is lost for good: a new cluster of what is left",
    "risk": "ls, clear: what was taken with --accept, by whom and why",
    "audit": "ls, verify: who changed what, and whether that log is whole",
    "auth": "role, user, token, each with ls, add, remove: who may do what",
    "ca": "init, issue, renew, rotate, revoke, show: certificates of members and clients",
    "chaos": "run, inject, status, revert, faults, proxy, ls, show, validate, schema: break a cluster, and heal it",
    "check": "is a recorded history what the model allows?",
    "logs": "collect, tail, search, diff, explain: what all members say, brought together",
    "timeline": "restarts, elections, membership, settings, alarms, operators: one stream",
    "life": "who held a lock, led, owned a shard, took a task; when, which token, why it ended",
    "bundle": "all that is needed to look into it elsewhere, in one archive",
    "wal": "look into members' logs: dump, verify, diff",
    "schema": "the JSON schema of a verb's -o json",
    "completion": "what makes a shell complete coordctl's words",
    "version": "print the version",
}

HELP_END = """
Global flags, before or after the verb:
  -c, --cluster NAME        a local cluster, or the folder that `up --dir` was given
  --endpoints LIST          members as host:port, with commas; one is enough
  -o, --output table|json   how to print the result (default: table)
  --timeout 10s             bound for the whole command
  -q, -v                    say less, say more
  --debug                   with an error, show where it arose

Which cluster: --endpoints, -c, COORD_ENDPOINTS, COORD_CLUSTER, or the only local one.

coordctl VERB --help explains the verb and its exit codes.
Of all verbs: 0 done or answered, 64 usage, 70 a bug of coordctl, 130 interrupted.
"""

DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 64, 130
GARBAGE_THRESHOLD = 20_000  # objects; what is loaded at the start is no garbage, and looking for some among it takes 1 ms


def main(on_interrupt: Callable[[], None] = lambda: None) -> int:
    from coordnode import streams

    try:
        code = _run(sys.argv[1:])
        streams.flush()
    except KeyboardInterrupt:
        on_interrupt()
        return INTERRUPTED
    except BrokenPipeError:  # the reader has seen enough
        streams.discard()
        return DONE
    except OSError as error:
        sys.stderr.write(f"coordctl: {error.filename or streams.OUTPUT}: {error.strerror or error}\n")
        streams.discard()
        return FAILED
    return code


def _run(argv: list[str]) -> int:
    from coordctl.flags import split_leading

    leading, rest = split_leading(argv)
    if rest and rest[0] in VERBS:
        between, behind = split_leading(rest[1:])
        module = __import__(f"coordctl.commands.{rest[0]}", fromlist=["main"])
        return int(module.main(_join_global([*leading, *between], behind)))
    if rest and rest[0] in ("help", "-h", "--help"):
        sys.stdout.write(_help())
        return DONE
    if rest and rest[0] == "--version":
        return _run(["version", *leading])
    sys.stderr.write(_unknown(rest[0]) if rest else f"coordctl: which verb?\n\n{_help()}")
    return USAGE


def _join_global(leading: list[str], rest: list[str]) -> list[str]:
    """A verb reads its own flags up to `--`; what follows belongs to somebody else."""
    end = rest.index("--") if "--" in rest else len(rest)
    return [*rest[:end], *leading, *rest[end:]]


def _help() -> str:
    width = max(len(verb) for verb in VERBS)
    lines = [f"  {verb:{width}}   {line}" for verb, line in VERBS.items()]
    return "\n".join(["usage: coordctl VERB [OPTION …]", "", *lines, HELP_END])


def _unknown(verb: str) -> str:
    from coordctl.flags import near

    return f"coordctl: no verb {verb}{near(verb, VERBS)}\n          see coordctl --help\n"


def program() -> NoReturn:
    """As a process of its own, that ends at once: tidying up the interpreter first would take 2 ms of the 20 of a command."""
    from coordnode import streams

    gc.set_threshold(GARBAGE_THRESHOLD)
    streams.prepare()
    code = main(_die_of_interrupt)
    sys.stderr.flush()
    os._exit(code)


def _die_of_interrupt() -> None:
    """At a terminal: a shell ends its script, or its loop, for a Ctrl-C only if what it waits for died of it. It sees 130 all the same."""
    import signal

    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY)
        is_ours = os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return
    if is_ours:
        sys.stderr.flush()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)


if __name__ == "__main__":
    program()
