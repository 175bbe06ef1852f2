"""The hosts of an inventory, connected: asked all at once, worked on all at once, under one operator's lock, everything written down."""

import getpass
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from shlex import quote
from typing import Any, TypeVar

from coordctl.facts import hosts as questions
from coordctl.facts.hosts import HostFacts
from coordctl.inventory import pins
from coordctl.inventory.model import Host, Inventory
from coordctl.local import processes
from coordctl.local.clusters import state_folder
from coordctl.steps.member import ACCOUNT, CONFIG, TLS_FILES, service_of, unit_path
from coordctl.transport.audit import Audit, Audited
from coordctl.transport.base import HostFailed, Ran, Script, Transport
from coordctl.transport.pool import on_all
from coordctl.transport.ssh import SshTransport
from coordctl.transport.ssh_config import targets
from coordnode.errors import Unreachable, WritesStopped

CONNECT_SECONDS = 15.0
ASK_SECONDS = 30.0
LOCK_SECONDS = 900
BEAT_SECONDS = 60.0  # so often a command that works says so at its lock
assert 5 * BEAT_SECONDS <= LOCK_SECONDS
LOCKED_CODE = 9

R = TypeVar("R")


class OtherOperator(WritesStopped):
    """Somebody else is at work on the fleet: who, since when, why, from where."""


class Fleet:
    def __init__(self, inventory: Inventory, verb: str, reason: str) -> None:
        self.inventory = inventory
        self.hosts: tuple[Host, ...] = ()  # those that this is about
        self.facts: dict[str, HostFacts] = {}
        self.failed: dict[str, HostFailed] = {}  # hosts that are out, and why
        self.verb = verb
        self._reason = reason
        self._audit = Audit(os.path.join(state_folder(), "audit"), inventory.name, verb, reason)
        self._transports: dict[str, Transport] = {}
        self.mine = ""  # what our lock on a host says; "": we have none
        self._taken: list[str] = []  # hosts that have our lock
        self.has_begun = False  # something may have been changed
        self.takes_over = False  # also from another operator, of whom it is known that nothing runs any more
        self.has_taken_over = False

    # --- being connected -------------------------------------------------------------------------------------------

    def connect(self, hosts: Sequence[Host]) -> None:
        self.hosts = tuple(hosts)
        self._connect(hosts)

    def connect_again(self) -> None:
        """To those that are out: a connection that broke says nothing of the next."""
        lost = [host for host in self.hosts if host.name in self.failed]
        for host in lost:
            self.failed.pop(host.name)
            if host.name in self._transports:
                self._transports[host.name].close()
        self._connect(lost)

    def _connect(self, hosts: Sequence[Host]) -> None:
        wanted = {host.name for host in hosts}
        reached = [target for target in targets(self.inventory, pins.read(self.inventory.beside(pins.SUFFIX))) if target.name in wanted]
        found = on_all([(target.name, target) for target in reached], lambda target: SshTransport(target, CONNECT_SECONDS), CONNECT_SECONDS)
        for name, one in found.items():
            if isinstance(one, HostFailed):
                self.failed[name] = one
            else:
                self._transports[name] = Audited(one, self._audit)

    def narrow(self, hosts: Sequence[Host]) -> None:
        """From now on it is about these only, of those that were asked: what the others are like, or why they failed, is no matter."""
        self.hosts = tuple(hosts)
        kept = {host.name for host in hosts}
        self.facts = {name: facts for name, facts in self.facts.items() if name in kept}
        self.failed = {name: failed for name, failed in self.failed.items() if name in kept}
        for name in [name for name in self._transports if name not in kept]:
            self._transports.pop(name).close()

    def close(self) -> None:
        for transport in self._transports.values():
            transport.close()

    def must_reach_most(self, hosts: Sequence[Host]) -> None:
        """Or another operator could be at work on the others. Raises Unreachable."""
        reached = [host.name for host in hosts if host.name in self.names()]
        if 2 * len(reached) <= len(hosts):
            why = next(iter(self.failed.values())).sentence if self.failed else "they are none of the inventory's"
            raise Unreachable(f"only {len(reached)} of the {len(hosts)} hosts that have a member are reached: {why}")

    def names(self) -> list[str]:
        """Of those that are still with us."""
        return [name for name in self._transports if name not in self.failed]

    def at_each(self, names: Sequence[str], work: Callable[[Transport], R], seconds: float) -> dict[str, R]:
        """Of those for which it succeeded; the others are out from then on."""
        found = on_all([(name, self._transports[name]) for name in names], work, seconds)
        self.failed |= {name: one for name, one in found.items() if isinstance(one, HostFailed)}
        return {name: one for name, one in found.items() if not isinstance(one, HostFailed)}

    def fail(self, name: str, sentence: str) -> None:
        self.failed[name] = HostFailed(name, "failed", sentence)

    def run(self, scripts: Mapping[str, Script], seconds: float) -> dict[str, Ran]:
        """Work. Where we have the lock it is done as long as we have it. Raises OtherOperator."""
        self.has_begun = self.has_begun or bool(scripts)
        held = {
            name: script._replace(text=self.held_script(name) + script.text) if name in self._taken else script
            for name, script in scripts.items()
        }
        return self.look(held, seconds)

    def look(self, scripts: Mapping[str, Script], seconds: float) -> dict[str, Ran]:
        """What is said by scripts that change nothing, where they end well; the other hosts are out from then on."""
        found = self.at_each(list(scripts), lambda transport: transport.run(scripts[transport.host], seconds), seconds)
        for name, ran in found.items():
            self._must_be_ours(name, ran)
            if ran.code:
                self.fail(name, f"{scripts[name].name} ended with code {ran.code}: {ran.last_words()}")
        return {name: ran for name, ran in found.items() if not ran.code}

    # --- what they are like ----------------------------------------------------------------------------------------

    def ask(self) -> None:
        by_name = {host.name: host for host in self.inventory.hosts}

        def ask(transport: Transport) -> HostFacts:
            host = by_name[transport.host]
            script = Script("facts", questions.question_text(self._question(host)))
            asked = time.time_ns()
            ran = transport.run(script, ASK_SECONDS)
            answered = time.time_ns()
            if ran.code == 3 and ran.stdout.startswith(questions.NO_PYTHON):
                there = ran.stdout.removeprefix(questions.NO_PYTHON).strip() or "no Python at all"
                raise HostFailed(host.name, "failed", f"it has {there}, and 3.11 or newer is needed: install python3")
            try:
                return questions.parse(host.name, ran.stdout, asked_unix_ns=asked, answered_unix_ns=answered)
            except (ValueError, KeyError, TypeError, IndexError):
                raise HostFailed(host.name, "failed", f"it did not answer what it is like: {ran.last_words()}") from None

        self.facts |= self.at_each(self.names(), ask, ASK_SECONDS)

    def _question(self, host: Host) -> dict[str, object]:
        cluster = self.inventory.name
        return {
            "folder": host.folder,
            "cluster": cluster,
            "account": ACCOUNT,
            "files": [CONFIG, *TLS_FILES],
            "unit": unit_path(cluster),
            "service": service_of(cluster),
            "address": host.address,
            "port": host.port,
        }

    # --- one operator at a time ------------------------------------------------------------------------------------

    @contextmanager
    def locked(self, *, is_decided: bool = True) -> Iterator[None]:
        """On every host that is reached, so that it holds without a quorum, for as long as this takes. Hosts are asked once more: another
        operator may just have ended. `is_decided`: what is to be done was decided by what they said before. Raises OtherOperator."""
        me = {
            "who": getpass.getuser(),
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "started": processes.started_mark(os.getpid()),
            "verb": self.verb,
            "reason": self._reason,
            "since_unix_s": int(time.time()),
        }
        self.mine = json.dumps(me)
        ended = threading.Event()
        beating = threading.Thread(target=self._beat, args=(ended,), name="operator's lock", daemon=True)
        try:
            found = self.at_each(self.names(), lambda transport: self._lock(transport, self.mine), ASK_SECONDS)
            self._taken = [name for name, ran in found.items() if not ran.code]
            for name, ran in found.items():
                if ran.code == LOCKED_CODE:
                    raise OtherOperator(told(name, ran.stdout))
                if ran.code:
                    self.fail(name, f"it cannot be locked for us: {ran.last_words()}")
            beating.start()
            before = dict(self.facts)
            self.ask()
            if is_decided:
                self._must_be_as(before)
            yield
        finally:
            ended.set()
            if beating.is_alive():
                beating.join()
            scripts = {name: Script("unlock", _unlock_script(self.facts[name].base, self.mine)) for name in self._taken}
            self.at_each(self._taken, lambda transport: transport.run(scripts[transport.host], ASK_SECONDS), ASK_SECONDS)
            self._taken = []

    def _must_be_as(self, before: Mapping[str, HostFacts]) -> None:
        for name in self.names():
            was, now = before.get(name), self.facts[name]
            if was is not None and was.marker != now.marker:
                raise OtherOperator(f"nothing was changed: somebody else was at work on {name} until just now: run it again")

    def _beat(self, ended: threading.Event) -> None:
        """Whoever lost the lock finds out with the next script, whatever that is."""
        while not ended.wait(BEAT_SECONDS):
            reached = [(name, self._transports[name]) for name in self._taken if name not in self.failed]
            on_all(reached, lambda transport: transport.run(Script("lock", self.held_script(transport.host)), ASK_SECONDS), ASK_SECONDS)

    def stay(self) -> None:
        """Raises OtherOperator where somebody has our lock by now."""
        scripts = {name: Script("lock", self.held_script(name)) for name in self._taken if name in self.names()}
        found = self.at_each(list(scripts), lambda transport: transport.run(scripts[transport.host], ASK_SECONDS), ASK_SECONDS)
        for name, ran in found.items():
            self._must_be_ours(name, ran)

    def _must_be_ours(self, name: str, ran: Ran) -> None:
        """By what a script said that begins as a held one does."""
        if name in self._taken and ran.code == LOCKED_CODE:
            raise OtherOperator(told(name, ran.stdout))

    def held_script(self, host: str) -> str:
        """What begins a script that changes anything: whoever lost the lock to somebody else must not go on."""
        lock = quote(f"{self.facts[host].base}/operator.lock")
        return (
            f'set -eu\nif [ "$(cat {lock} 2>/dev/null)" != {quote(self.mine)} ]; then cat {lock}; exit {LOCKED_CODE}; fi\ntouch -c {lock}\n'
        )

    def _lock(self, transport: Transport, me: str) -> Ran:
        base = self.facts[transport.host].base
        ran = transport.run(Script("lock", _lock_script(base, me, "")), ASK_SECONDS)
        if ran.code == LOCKED_CODE and (self.takes_over or _was_ours(ran.stdout)):
            self.has_taken_over = self.has_taken_over or not _was_ours(ran.stdout)
            return transport.run(Script("lock", _lock_script(base, me, ran.stdout.strip())), ASK_SECONDS)
        return ran


def _lock_script(base: str, me: str, instead_of: str) -> str:
    """Made in one moment; it counts for so long only, and what it is to take the place of must still be there."""
    place = quote(f"{base}/operator.lock")
    return (
        f"umask 022\nmkdir -p {quote(base)} || exit 1\n"
        f"if [ -e {place} ]; then\n"
        f"    old=$(( $(date +%s) - $(date -r {place} +%s) ))\n"
        f'    if [ "$old" -gt {LOCK_SECONDS} ] || [ "$(cat {place})" = {quote(instead_of or "-")} ]; then rm -f {place}; fi\nfi\n'
        f"if ( set -C; echo {quote(me)} > {place} ) 2>/dev/null; then exit 0; fi\n"
        f"[ -e {place} ] || {{ echo '{base} cannot be written' >&2; exit 1; }}\n"
        f"cat {place}; exit {LOCKED_CODE}\n"
    )


def _unlock_script(base: str, me: str) -> str:
    place = quote(f"{base}/operator.lock")
    return f'if [ "$(cat {place} 2>/dev/null)" = {quote(me)} ]; then rm -f {place}; rmdir {quote(base)} 2>/dev/null || :; fi\n'


def is_ours_and_dead(found: dict[str, Any]) -> bool:
    """A command of this user on this machine that was killed."""
    try:
        is_ours = (found["who"], found["host"]) == (getpass.getuser(), socket.gethostname())
        return is_ours and not processes.is_running(found["pid"], found["started"])
    except (KeyError, TypeError):
        return False


def _was_ours(text: str) -> bool:
    try:
        return is_ours_and_dead(json.loads(text))
    except ValueError:
        return False


def told(name: str, text: str) -> str:
    try:
        found = json.loads(text)
        seconds = max(0, int(time.time()) - found["since_unix_s"])
        why = f' "{found["reason"]}"' if found["reason"] else ""
        return (
            f"{found['who']}@{found['host']} (pid {found['pid']}) is at work on this cluster: {found['verb']}{why}, for {seconds} s; "
            f"wait until that is done; its lock on {name} ends {LOCK_SECONDS // 60} min after its last sign of life"
        )
    except (ValueError, KeyError, TypeError):
        return f"somebody is at work on this cluster: {name} has a lock that cannot be read"
