"""Owns shards of an assignment as a member of its group, and has a runner of its own for the command of each."""

import os
import select
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress

from coordctl.hot import frames, shards
from coordctl.hot.talk import Answered, Missed, Noticed
from coordctl.hot.talk import Told as TalkTold
from coordctl.runner import crew, outcome, words
from coordctl.runner.command import FORWARDED
from coordctl.runner.crew import Crew
from coordctl.runner.held import HeldClaim
from coordctl.runner.outcome import OUTCOMES, Outcome
from coordctl.runner.rules import Settings
from coordctl.runner.run import run
from coordctl.runner.shard import HeldShard
from coordctl.runner.source import POLL_MS_MAX, Closed, Granted, Lost, Refused, Renewed, heard
from coordctl.runner.words import Channel
from coordnode.client.clock import now_ms
from coordnode.client.ownership import OwnedChange, Ownership, Row
from coordnode.ids import SessionId, Token


class Owner:
    """What our session owns: heard beside what its claim hears."""

    def __init__(self, held: HeldClaim, name: str) -> None:
        self._talk = held.talk
        self._name = os.fsencode(name)
        self._ownership: Ownership | None = None  # None: not a member yet
        self._reading = 0
        held.claim.listen(self._on_talk)

    def begin(self) -> None:
        """What was told before is in what is read now."""
        self._ownership = Ownership(self._name, SessionId(self._talk.lease.id))
        self._read()

    def take(self) -> OwnedChange | None:
        return self._ownership.take() if self._ownership is not None else None

    def release(self, shard: int, token: int) -> None:
        assert self._ownership is not None
        self._ownership.released(shard, Token(token))
        if not self._talk.lease.closing:
            self._talk.write(shards.release_operation(self._name, shard, token))

    def _read(self) -> None:
        self._reading = self._talk.read(shards.read_operation(self._name))

    def _on_talk(self, told: TalkTold) -> None:
        if self._ownership is None:
            return
        match told:
            case Noticed(kind, value):
                if kind == frames.SHARDS:
                    self._ownership.on_told(value)
            case Missed():
                self._read()
            case Answered(call, result, error):
                if call == self._reading:
                    rows = shards.view_of(result).owned if error is None else []
                    owned = [Row(row.shard, SessionId(row.session), Token(row.token), row.revoke_left_ms is not None) for row in rows]
                    self._ownership.on_rows(owned)


class _Runner:
    def __init__(self, pid: int, channel: Channel) -> None:
        self.pid = pid
        self.channel = channel
        self._is_ready = False
        self._signals: list[int] = []  # to be sent once they are listened to

    def signal(self, number: int) -> None:
        if not self._is_ready:
            self._signals.append(number)
            return
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def listen(self) -> None:
        for word in self.channel.receive():
            if word[0] == words.READY:
                self._is_ready = True
                for number in self._signals:
                    self.signal(number)


class Owning:
    """`name` is the assignment's; the claim is to the membership in its group."""

    def __init__(self, held: HeldClaim, name: str, argv: Sequence[str], settings: Settings, say: Callable[[str], None]) -> None:
        self._held = held
        self._name = name
        self._argv = argv
        self._settings = settings
        self._say = say
        self._owner = Owner(held, name)
        self._crew = Crew(name, now_ms())
        self._runners: dict[int, _Runner] = {}
        self._environment: dict[str, str] = {}
        self._close_at_ms: int | None = None
        self._outcome: Outcome | None = None
        self._woken, self._wakes = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def run(self) -> Outcome:
        before = {number: signal.getsignal(number) for number in FORWARDED}
        signal.set_wakeup_fd(self._wakes, warn_on_full_buffer=False)
        for number in (*FORWARDED, signal.SIGCHLD, signal.SIGTSTP):  # one that is suspended would lose all it owns
            if before.get(number) != signal.SIG_IGN:
                signal.signal(number, lambda _number, _frame: None)
        while self._outcome is None:
            self._turn()
        self._held.hang_up()
        return self._outcome

    def _turn(self) -> None:
        times = [self._held.wake_at_ms(), self._close_at_ms]
        wake_at_ms = min((at_ms for at_ms in times if at_ms is not None), default=None)
        poll = select.poll()
        poll.register(self._woken, select.POLLIN)
        descriptor, interest = self._held.descriptor()
        if descriptor >= 0:
            poll.register(descriptor, interest)
        listening = [runner for runner in self._runners.values() if not runner.channel.is_closed]
        for runner in listening:
            poll.register(runner.channel.fileno(), select.POLLIN)
        ready = [each for each, _ in poll.poll(None if wake_at_ms is None else min(POLL_MS_MAX, max(0, wake_at_ms - now_ms())))]
        now = now_ms()
        if descriptor in ready:
            self._held.on_ready(now)
        if self._woken in ready:
            for number in os.read(self._woken, 512):
                if number in FORWARDED:
                    self._do(self._crew.on_signal(number))
        for runner in listening:
            if runner.channel.fileno() in ready:
                runner.listen()
        self._reap()
        self._hear(now)
        if self._close_at_ms is not None and now >= self._close_at_ms:
            self._close_at_ms = None
            self._held.close(now, succeeded=False)
            self._hear(now)

    def _hear(self, now: int) -> None:
        for told in heard(self._held, now):
            match told:
                case Granted(_, deadline_ms, environment):
                    self._environment = dict(environment)
                    self._crew.on_joined(deadline_ms, now)
                    self._owner.begin()
                case Renewed(deadline_ms):
                    self._do(self._crew.on_renewed(deadline_ms))
                case Lost(reason, sentence):
                    self._do(self._crew.on_lost(reason, sentence))
                case Refused(kind, sentence):
                    code = self._settings.not_acquired_code if kind == outcome.NOT_ACQUIRED else OUTCOMES[kind]
                    self._do(self._crew.on_refused(kind, code, sentence))
                case Closed(sentence, _):
                    self._do([crew.Say(sentence)])
                    self._outcome = self._crew.result(now)
        while (change := self._owner.take()) is not None:
            self._do(self._crew.on_change(change.kind, change.shard, change.token))

    def _reap(self) -> None:
        for shard, runner in list(self._runners.items()):
            pid, status = os.waitpid(runner.pid, os.WNOHANG)
            if pid:
                del self._runners[shard]
                runner.channel.close()
                self._do(self._crew.on_ended(shard, os.waitstatus_to_exitcode(status), os.WIFSIGNALED(status)))

    def _do(self, actions: Sequence[crew.Action]) -> None:
        for action in actions:
            match action:
                case crew.Start(shard, token, deadline_ms):
                    self._start(shard, token, deadline_ms)
                case crew.Push(shard, deadline_ms):
                    self._runners[shard].channel.tell(words.DEADLINE, deadline_ms)
                case crew.End(shard, sentence, is_lost):
                    self._runners[shard].channel.tell(words.END, sentence, is_lost)
                case crew.Release(shard, token):
                    self._owner.release(shard, token)
                case crew.Forward(number):
                    for runner in self._runners.values():
                        runner.signal(number)
                case crew.Close(at_ms):
                    self._close_at_ms = max(at_ms, now_ms())
                case crew.Say(sentence):
                    if sentence:
                        self._say(f"coordctl: {sentence}")

    def _start(self, shard: int, token: int, deadline_ms: int) -> None:
        ours, theirs = words.pair()
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                ours.close()  # or it would not see that we died
                code = self._run_one(theirs, shard, token, deadline_ms)
            finally:
                os._exit(code)
        theirs.close()
        self._runners[shard] = _Runner(pid, ours)

    def _run_one(self, channel: Channel, shard: int, token: int, deadline_ms: int) -> int:
        """In a session of its own: Ctrl-C reaches its command through the owner, once, and no terminal is there that could suspend it."""
        os.setsid()
        signal.set_wakeup_fd(-1)
        for other in self._runners.values():  # nor would they
            other.channel.close()
        self._held.hang_up()
        os.close(self._woken)
        os.close(self._wakes)
        nowhere = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nowhere, 0)
        os.close(nowhere)
        about = {"COORD_ASSIGNMENT": self._name, "COORD_SHARD": str(shard), "COORD_TOKEN": str(token)}
        environment = {**self._environment, **about, "COORD_DEADLINE_MS": str(deadline_ms)}
        settings = self._settings._replace(name=f"shard {shard} of {self._name}", not_acquired_code=outcome.LOST_CODE)  # it was ours
        return run(HeldShard(channel, Granted(token, deadline_ms, environment)), self._argv, settings, self._say).exit_code
