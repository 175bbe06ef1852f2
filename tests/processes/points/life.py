"""A life wherever it was cut: making the folder, starts, 200 operations, snapshots, new segments, leaving and coming back.

Operations are asked one after the other. Where it was cut it is mended and goes on for a little; then it is judged, and once more in
the folder itself, by applying its log anew.
"""

import random
import re
import signal
import time
from collections.abc import Callable

from coordnode.ids import ClusterId, MemberId
from coordnode.raft.entry import BATCH
from coordnode.services.commands import ClientCommand, decode_batch, encode
from coordnode.services.dialogue import ErrorReply, Reply, WriteAsk
from coordnode.services.machine import Machine
from coordnode.storage.block import Identity
from coordnode.storage.reader import ROT, open_reader
from tests.processes.members import PATIENCE_S, Connection, Refused, wait_until
from tests.processes.points.control import Control
from tests.processes.points.nursery import Born
from tests.processes.points.story import CODA, OPERATIONS, Story, hold
from tests.processes.violence.power import Lost, Power

LEAVES = (60, 130)  # before these operations it is asked to stop, and started again
FLAGS = ("--segment", "1MiB", "--snapshot-log", "1MiB", "--snapshot-entries", "100", "--keep-entries", "10", "--free-min", "2MiB")
IDENTITY = Identity(ClusterId(7), MemberId(1))
CREATED_UNIX_S = 1_700_000_000
GIVEN_UP_S = 0.4  # what fails on and on is mended once a member did not acknowledge anything for so long
ENDED_WELL, FAILED, REFUSED = 0, 1, 76
TRY_AGAIN = (10, 11, 12, 16, 50)  # not leader, not ready, overloaded, no space, leadership lost


class Life:
    """One, in one folder. `power`: after each end by a signal the disk forgets what was not synced, as `rng` draws it."""

    def __init__(self, member: Born, control: Control, rng: random.Random, power: Power | None = None) -> None:
        self.member = member
        self.hit = ""  # the first call that was, without numbers
        self.lost = Lost(0, 0)
        self.ends = 0  # of processes, that nobody had asked for
        self.refusals = 0  # of requests, while something failed
        self._control = control
        self._rng = rng
        self.power = power
        self.lies_from = OPERATIONS  # the disk says from then on that it synced, and did not
        self._story = Story()
        self._connection: Connection | None = None
        self._again: Callable[[], None] | None = None  # aims at a start after a cut, once
        self._said = 0  # bytes of the log that were looked at
        self._term = self._boot = 0
        self._is_left_alone = False  # nothing is done to the process that runs
        self._is_new = False  # a start after which nothing was acknowledged yet

    # --- living ------------------------------------------------------------------------------------------------------

    def run(self, *, again: Callable[[], None] | None = None) -> None:
        """Until it was cut, or to the end; then it is mended and judged. `again`: aims at the start after a cut."""
        self._again = again
        try:
            self._make()
            self._start()
            for number, kind in enumerate(self._story.kinds):
                if self.ends and number:
                    break
                if number in LEAVES:
                    self._leave()
                    self._start()
                if number == self.lies_from and self.power is not None:
                    self.power.lie()
                self._do(kind)
            if not self.ends:
                self._leave()
                self._start()
            self._mend()
            for kind in CODA:
                self._do(kind)
            self._judge()
            self._judge_folder()
        finally:
            self._forget()
            if self.member.running is not None:
                self.member.kill()

    def _make(self) -> None:
        host, port = self.member.address
        arguments = ["init", "--make", f"{IDENTITY.member}={self.member.folder}", "--contact", f"{IDENTITY.member}={host}:{port}"]
        arguments += ["--cluster", str(IDENTITY.cluster), "--created", str(CREATED_UNIX_S), "--segment", "1MiB"]
        self.member.running = self.member.coordnode(*arguments)  # type: ignore[assignment]
        while (code := self.member.wait()) != ENDED_WELL:
            self._ended(code)
            self.member.running = self.member.coordnode(*arguments)  # type: ignore[assignment]

    def _start(self) -> None:
        self.member.start(*FLAGS)
        self._is_new = True
        self._is_left_alone = self._control.is_resting()

    def _look_at_terms(self) -> None:
        """A start that served has a boot and, as it alone votes, a term of its own."""
        status = self.member.status()
        if status is not None and status["role"] == "leader":
            hold(
                status["term"] > self._term and status["boot"] > self._boot,
                f"term {status['term']} of boot {status['boot']} comes after {self._term} of {self._boot}",
            )
            self._term, self._boot = status["term"], status["boot"]

    def _leave(self) -> None:
        self._forget()
        self.member.signal(signal.SIGTERM)
        code = self.member.wait()
        if code != ENDED_WELL:
            self._ended(code)

    def _do(self, kind: str) -> None:
        self._story.do(kind, self._ask)
        if self._is_new:
            self._is_new = False
            self._look_at_terms()

    def _ask(self, command: ClientCommand) -> bytes:
        """Until it is acknowledged, whatever happens to the member meanwhile."""
        began = failing_since = time.monotonic()
        while True:
            if not self._control.is_failing():
                failing_since = time.monotonic()
            elif time.monotonic() - failing_since > GIVEN_UP_S:
                self._mend()
            hold(time.monotonic() - began < PATIENCE_S, f"{command.operation!r:.80} is not acknowledged: {self.member.said()[-500:]}")
            connection = self._connected()
            if connection is None:
                continue
            try:
                answer = connection.ask(WriteAsk(connection.number(), encode(command)))
            except (OSError, Refused):
                self._forget()
                continue
            if isinstance(answer, Reply):
                return answer.result
            assert isinstance(answer, ErrorReply)
            hold(answer.code in TRY_AGAIN, f"{command.operation!r:.80} is refused: {answer}")
            self.refusals += 1
            time.sleep(0.002)  # between two attempts

    def _connected(self) -> Connection | None:
        if self._connection is not None:
            return self._connection
        if self.member.has_ended():
            self._ended(self.member.wait())
            self._start()
        try:
            self._connection = Connection(self.member.address)
            self._connection.sock.settimeout(GIVEN_UP_S if self._control.is_lasting() else PATIENCE_S)
        except (OSError, Refused):
            time.sleep(0.002)  # it is about to listen
        return self._connection

    def _forget(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ended(self, code: int) -> None:
        """Nobody had asked it to: by our signal, or because it was kept from its disk; then it says so in a sentence."""
        self.ends += 1
        self.hit = self.hit or re.sub(r"\d+", "N", self._control.hit())
        said = self.member.said()[self._said :]
        self._said += len(said)
        hold(not self._is_left_alone, f"it ended with {code}, though nothing was done to it: {said[-1_000:]}")
        if code == -signal.SIGKILL:
            hold(self._control.hits, "it was killed, and not by us")
            if self.power is not None:
                lost = self.power.lose(self._rng if self._rng.random() < 0.7 else None)
                self.lost = Lost(self.lost.writes + lost.writes, self.lost.names + lost.names)
        else:
            hold(code in (FAILED, REFUSED), f"it ended with {code}: {said[-1_000:]}")
            hold(self._control.hits, f"it ended with {code} though nothing failed: {said[-1_000:]}")
            hold("Traceback" not in said and "a bug" not in said, f"it did not say why it ended, but: {said[-2_000:]}")
            hold(any(line.startswith("coordnode: ") for line in said.splitlines()), f"it did not say why it ended: {said[-500:]!r}")
        if self._again is not None:
            again, self._again = self._again, None
            again()
        else:
            self._mend()

    def _mend(self) -> None:
        self.hit = self.hit or re.sub(r"\d+", "N", self._control.hit())
        self._control.rest()

    # --- judging -------------------------------------------------------------------------------------------------------

    def _judge(self) -> None:
        for command, answered in self._story.answered:
            hold(self._ask(command) == answered, f"{command.operation!r:.80}, asked again, is answered otherwise")
        connection = self._connected()
        assert connection is not None
        connection.sock.settimeout(PATIENCE_S)
        self._story.check(connection)
        self._forget()

    def _judge_folder(self) -> None:
        """Its log, applied once more to its snapshot, leads to the state that the member had."""
        status = wait_until(self.member.status, "it shows its status")
        hold(status["revision"] >= self._story.revision, f"revision {status['revision']} is below {self._story.revision}")
        hold(not status["lost_entries"] and not status["storage"]["rot"], f"it lost what it had: {status['storage']}")
        self.member.signal(signal.SIGTERM)
        code = self.member.wait()
        hold(code == ENDED_WELL, f"it was asked to stop, and ended with {code}")
        for path in (self.member.folder, *self.member.folder.rglob("*")):
            hold(not path.stat().st_mode & 0o077, f"{path} may be opened by others than its owner")
        reader = open_reader(str(self.member.folder))
        report = reader.verify()
        hold(report.verdict != ROT, f"what it wrote is damaged: {report.damages}")
        state = reader.newest_state()
        assert state is not None
        meta, slices = state
        machine = Machine.restore(slices)
        for entry in reader.standing(meta).entries:
            if entry.index > status["applied"]:
                break
            if entry.kind == BATCH:
                machine.apply(entry.index, entry.term, decode_batch(entry.data))
                machine.take_blobs()
            else:
                machine.skip(entry.index)
        hold(
            machine.digest == status["applied_digest"],
            f"applied once more, the log leads to {machine.digest}, not to {status['applied_digest']}",
        )
        for found in reader.hard_state():
            hold(found.copy is not None and found.copy.hard_state.term >= self._term, f"{found}, and its last term was {self._term}")
