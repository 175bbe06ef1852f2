"""The replicated state machine: routes each command of a committed batch to its service, exactly once. Pure.

batch ─→ retry? ─→ checks ─→ service ─→ result ─→ kept for retries ─→ outcome
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any
from zlib import crc32

import msgspec

from coordnode.errors import CoordError, TooOld, UnknownFormat
from coordnode.ids import ClusterId, Index, Revision, SessionId, Term, Token
from coordnode.limits import RANGE_BYTES_MAX, RANGE_ITEMS_MAX
from coordnode.raft.blobs import Blob, BlobWrite, decode_list, encode_lists, is_list
from coordnode.services import snapshot
from coordnode.services.admission import check_envelope, check_operation
from coordnode.services.auth.service import Auth
from coordnode.services.commands import (
    Batch,
    Change,
    ClientCommand,
    Command,
    Done,
    OpenSession,
    Operation,
    Outcome,
    Put,
    RaiseLevel,
    ReadOperation,
    Result,
    Wake,
    encode,
)
from coordnode.services.context import Containers, Context, Handler, Located, Locator, Reader, Service, Wait, failure
from coordnode.services.history import History
from coordnode.services.holdings import Live
from coordnode.services.kv import Kv
from coordnode.services.levels import MENDED
from coordnode.services.registry import OTHER_SERVICES, SUPPORTED_LEVEL
from coordnode.services.requests import Requests
from coordnode.services.sessions import Session, Sessions, session_over
from coordnode.services.state import Scalars, Settings, scalars_hash
from coordnode.services.tables import DIGEST_MODULUS, UNHASHED_MAX, Container
from coordnode.services.windows import Window
from coordnode.services.work import work_of

LOOK_EVERY_WORK = 128  # of operations that change a few hundred rows together
CHANGES_PER_PUT = 4  # hashed in the time that a put takes
TOKEN_SECONDS_SHIFT = 20  # 2**20 tokens for each second of the cluster's life: far more than it can grant


class Machine:
    def __init__(self, settings: Settings, scalars: Scalars, supported_level: int) -> None:
        if scalars.level > supported_level:
            raise UnknownFormat(f"the state is at feature level {scalars.level}, this build knows {supported_level}; upgrade this member")
        self.settings = settings
        self.scalars = scalars
        self.supported_level = supported_level
        context = Context(settings, scalars)
        context.execute = self._carry_out
        context.end_session = self._end_session
        context.settle = self._settle
        self._context = context
        self.work = 0  # what was applied since the start, counted in plain puts
        self._look_at_work = 0  # when so much was, how many rows wait to be hashed is asked again
        self._requests = Requests(settings, scalars)
        self._sessions = Sessions(context, self._requests)
        self._kv = Kv(context)
        self.auth = Auth(context)
        self._services: tuple[Service, ...] = (self._sessions, self._kv, *[kind(context) for kind in OTHER_SERVICES], self.auth)
        context.owner_of = self._sessions.owner_of
        context.lineage = self._sessions.lineage
        context.root_of = self._sessions.root_of
        self._sessions.keys_of = self._kv.bound_count
        self._history = History(settings, scalars)
        self._routes: dict[type, Handler] = {Wake: self._wake, RaiseLevel: self._raise_level}
        self.containers: dict[int, Container[Any, Any]] = {}  # all replicated state but settings and scalars, by container id
        self._reads: dict[type, Reader] = {}
        self._locators: dict[type, Locator] = {}
        for service in self._services:
            self._routes.update(service.routes)
            self._reads.update(service.reads)
            self._locators.update(service.locators)
        owned: list[Containers] = [service.containers for service in self._services]
        owned += [self._requests.containers, context.holdings.containers, self._history.containers]
        for containers in owned:
            for container in containers:
                assert snapshot.HEADER_ID < container.id < snapshot.TRAILER_ID
                assert container.id not in self.containers, f"two containers have id {container.id}"
                self.containers[container.id] = container

    @staticmethod
    def genesis(
        settings: Settings, *, cluster: ClusterId, created_unix_s: int, level: int, supported_level: int = SUPPORTED_LEVEL
    ) -> "Machine":
        """The state before the first entry: equal on every member that is given the same."""
        scalars = Scalars(cluster, created_unix_s, level, token_next=Token(created_unix_s << TOKEN_SECONDS_SHIFT))
        return Machine(settings, scalars, supported_level)

    # --- what is committed ---------------------------------------------------------------------------------------------

    def apply(self, index: Index, term: Term, batch: Batch) -> list[Outcome]:
        """One Outcome for each command, in order. Whatever is raised here stops the member."""
        scalars, context = self.scalars, self._context
        assert index == scalars.applied + 1, f"entry {index} does not follow {scalars.applied}"
        context.index = index
        context.term = term
        context.cluster_ms = context.shown_ms = max(scalars.cluster_ms, batch.cluster_ms)
        context.wall_ms = batch.wall_ms
        commands = batch.commands
        outcomes: list[Outcome] = []
        work = self.work
        while (position := len(outcomes)) < len(commands):
            command = commands[position]
            if type(command.operation) is Put and (puts := self._sessions.windows.take_puts(index, commands, position, outcomes)):
                self._kv.put_all(puts)
            else:
                outcomes.append(self._apply_one(position, command))
        if context.changes:
            self._history.append(context.changes)
            context.changes = []
        scalars.cluster_ms = context.cluster_ms
        scalars.applied = index
        self._sessions.windows.maybe_settle(index, len(outcomes))
        if self.work != work and self.work >= self._look_at_work:
            self._maybe_settle()
        self.work += len(outcomes)
        return outcomes

    def skip(self, index: Index) -> None:
        """An entry that carries no commands."""
        assert index == self.scalars.applied + 1, f"entry {index} does not follow {self.scalars.applied}"
        self.scalars.applied = index

    def _apply_one(self, position: int, command: Command) -> Outcome:
        context, windows = self._context, self._sessions.windows
        context.position = position
        context.session = session = command.session
        error = check_envelope(command, self.settings)
        if error is None and session:
            error = self._check_window(windows.windows.get(session), command)
        if error is not None:
            return Outcome(context.index, position, encode(failure(error)))
        kept = self._find_kept(command)
        if kept is not None:
            return kept
        self.work += work_of(command.operation)
        outcome = Outcome(context.index, position, encode(self._execute(command.operation)))
        if self._goes_by_request_id(command):
            self._requests.keep(command.request_id, outcome)
        elif command.sequence and (window := windows.windows.get(session)) is not None:  # the command may have closed it
            windows.keep(window, session, command.sequence, command.lowest_open, outcome)
        return outcome

    def _check_window(self, window: Window | None, command: Command) -> CoordError | None:
        if window is None:
            return session_over(command.session)
        if 0 < command.sequence < window.floor:
            return TooOld(
                f"sequence {command.sequence} of session {command.session} was answered once and its reply is gone: "
                f"replies are kept from {window.floor} on; read what became of it"
            )
        return None

    def _find_kept(self, command: Command) -> Outcome | None:
        """What it was answered, if it is a retry."""
        operation = command.operation
        if command.sequence:
            window = self._sessions.windows.windows.get(command.session)
            assert window is not None, f"session {command.session} is over, and something of it is carried out"
            return window.replies.get(command.sequence)
        if self._goes_by_request_id(command):
            return self.find_answered(command.request_id)
        return self.find_opened(operation.nonce) if type(operation) is OpenSession else None

    def _goes_by_request_id(self, command: Command) -> bool:
        """An opening goes by its nonce: under a request id besides, one nonce opened two sessions, and one of two replies was never
        forgotten."""
        if not command.request_id:
            return False
        return type(command.operation) is not OpenSession or self.scalars.level < MENDED

    def _maybe_settle(self) -> None:
        """Each table sees to it that not too much of it waits to be hashed. What is no put changes many of them: so that all together
        do not take too long, either, when the digest is asked for."""
        changes = sum([container.unhashed() for container in self.containers.values()])
        if changes >= 2 * UNHASHED_MAX:
            for container in self.containers.values():
                container.settle()
            self.work += changes // CHANGES_PER_PUT
        self._look_at_work = self.work + LOOK_EVERY_WORK

    def _execute(self, operation: Operation) -> Result:
        error = check_operation(operation, self.settings, self.scalars.level)
        return failure(error) if error is not None else self._carry_out(operation)

    def _carry_out(self, operation: Operation) -> Result:
        return self._routes[type(operation)](operation)

    def _end_session(self, session: SessionId, is_clean: bool) -> None:
        for service in self._services:
            service.on_session_end(session, is_clean)

    def _settle(self) -> None:
        for service in self._services:
            service.settle()

    def _wake(self, operation: Wake) -> Result:
        for service in self._services:
            service.on_wake()
        return Done(self._context.publish())

    def _raise_level(self, operation: RaiseLevel) -> Result:
        if operation.level > self.supported_level:
            raise UnknownFormat(
                f"entry {self._context.index} raises the feature level to {operation.level}, this build knows {self.supported_level}; "
                "upgrade this member"
            )
        raised = operation.level > self.scalars.level
        if raised:
            if self.scalars.level < MENDED <= operation.level:
                self._requests.mend()
            self.scalars.level = operation.level
        return Done(self.scalars.revision, int(raised))

    # --- what is asked -------------------------------------------------------------------------------------------------

    def admit(self, command: ClientCommand) -> CoordError | None:
        """What the leader refuses instead of proposing it; None: nothing is wrong with it."""
        return check_envelope(command, self.settings) or check_operation(command.operation, self.settings, self.scalars.level)

    def read(
        self, operation: ReadOperation, items_max: int = RANGE_ITEMS_MAX, bytes_max: int = RANGE_BYTES_MAX, *, now_ms: int = 0
    ) -> bytes:
        """The encoded Result; nothing for a barrier. What cannot be read is answered with a Failure.

        `now_ms`: cluster time as the leader counts it, which stands in no entry yet; by it answers tell how long something lasts.
        """
        if operation is None:
            return b""
        error = check_operation(operation, self.settings, self.scalars.level)
        if error is not None:
            return encode(failure(error))
        self._context.shown_ms = max(self.scalars.cluster_ms, now_ms)
        return encode(self._reads[type(operation)](operation, items_max, bytes_max))

    @property
    def rows_looked_at(self) -> int:
        """By all reads so far, beside what they answered."""
        return self._context.rows_looked_at

    def needs_bytes(self, operation: ReadOperation) -> bool:
        """Its answer needs bytes that are not in the state: `locate` says which."""
        return type(operation) in self._locators

    def locate(self, operation: ReadOperation) -> Located | bytes:
        """Where the bytes are; the encoded Result where none are needed."""
        found = check_operation(operation, self.settings, self.scalars.level)
        located = self._locators[type(operation)](operation) if found is None else failure(found)
        return located if isinstance(located, Located) else encode(located)

    def take_blobs(self) -> Sequence[BlobWrite]:
        """What was applied since the last call wants to have written outside of the state, in order."""
        blobs = self._context.blobs
        if not blobs:
            return ()
        self._context.blobs = []
        return blobs

    def blobs(self) -> list[Blob]:
        """All bytes outside of the state that it stands on, in the order of ids."""
        return [blob for service in self._services for blob in service.blobs()]

    def changes(self, after: Revision, up_to: Revision) -> list[Change]:
        """The changes with after < revision <= up_to; after + 1 must not be below the floor."""
        return self._history.changes(after, up_to)

    def has_session(self, session: SessionId) -> bool:
        return session in self._sessions.windows.windows

    def find_opened(self, nonce: bytes) -> Outcome | None:
        """What the opening with this nonce was answered with; None: there was none, or it is forgotten."""
        return self._sessions.find_opened(nonce)

    def find_answered(self, request_id: str) -> Outcome | None:
        """What was answered under it; None: nothing, or it is forgotten."""
        return self._requests.find(request_id)

    def sessions(self) -> Iterator[tuple[SessionId, Session]]:
        """In the order of their ids."""
        return self._sessions.items()

    def live_tokens(self) -> Iterator[tuple[Token, Live]]:
        """All that are held, in order."""
        return self._context.holdings.live_tokens()

    def leases(self) -> Iterator[tuple[SessionId, int, int | None]]:
        """What a new leader grants: (session, ttl_ms, what was checkpointed of it), in the order of ids."""
        for session, found in self._sessions.items():
            yield session, found.ttl_ms, found.remaining_ms

    def ttl_ms(self, session: SessionId) -> int | None:
        """None: there is no such session."""
        found = self._sessions.get(session)
        return found.ttl_ms if found is not None else None

    def remaining_ms(self, session: SessionId) -> int | None:
        """None: nothing is checkpointed, or there is no such session."""
        found = self._sessions.get(session)
        return found.remaining_ms if found is not None else None

    def due(self) -> int | None:
        """The cluster_ms at which something falls due, so that the leader appends a Wake when nothing else does."""
        times = [due for service in self._services if (due := service.due()) is not None]
        return min(times) if times else None

    def longest_wait(self, now_ms: int) -> Wait | None:
        return next((found for service in self._services if (found := service.longest_wait(now_ms)) is not None), None)

    @property
    def revision(self) -> Revision:
        return self.scalars.revision

    @property
    def history_floor(self) -> Revision:
        return self.scalars.history_floor

    @property
    def applied(self) -> Index:
        return self.scalars.applied

    @property
    def cluster_ms(self) -> int:
        return self.scalars.cluster_ms

    @property
    def level(self) -> int:
        return self.scalars.level

    @property
    def cluster(self) -> ClusterId:
        return self.scalars.cluster

    @property
    def state_bytes(self) -> int:
        return self.scalars.state_bytes

    # --- digest and snapshot -------------------------------------------------------------------------------------------

    @property
    def digest(self) -> int:
        """Equal on members that applied the same: the sum of the hashes of all rows, whatever their containers look like inside."""
        total = scalars_hash(self.settings, self.scalars)
        for container in self.containers.values():
            total += container.digest()
        return total % DIGEST_MODULUS

    def recompute_digest(self) -> int:
        """From scratch, slowly: what `digest` must be."""
        total = scalars_hash(self.settings, self.scalars)
        for container in self.containers.values():
            total += container.recompute_digest()
        return total % DIGEST_MODULUS

    def dump(self) -> bytes:
        """The whole state in one canonical form, to compare two machines by; shares nothing with the digest."""
        rows = [(number, list(container.items())) for number, container in sorted(self.containers.items())]
        return encode((self.settings, self.scalars, rows))

    def snapshot(self) -> Iterator[bytes]:
        """Slices of the state as it is now, each made when it is asked for. What is applied meanwhile does not show."""
        return chain(self.slices(self.digest), encode_lists(self.blobs()))

    def slices(self, digest: int) -> Iterator[bytes]:
        frozen = [(number, container.freeze()) for number, container in sorted(self.containers.items())]
        return snapshot.slices(snapshot.encode_header(self.settings, self.scalars), digest, frozen)

    @staticmethod
    def restore(slices: Iterable[bytes], supported_level: int = SUPPORTED_LEVEL) -> "Machine":
        restorer = Restorer(supported_level)
        for data in slices:
            restorer.feed(data)
        return restorer.finish()


class Restorer:
    """Rebuilds a machine from its slices, fed in order. RecordError: they are not what was written."""

    def __init__(self, supported_level: int = SUPPORTED_LEVEL) -> None:
        self._supported_level = supported_level
        self._machine: Machine | None = None
        self._trailer: snapshot.Trailer | None = None
        self._rows = 0
        self._checksum = 0  # of all slices
        self._blobs: list[Blob] = []
        self._lists_due = False

    def feed(self, data: bytes) -> None:
        if is_list(data):
            blobs, self._lists_due = decode_list(data)
            self._blobs += blobs
            return
        self._checksum = crc32(data, self._checksum)
        try:
            for section in snapshot.decode_slice(data):
                self._take(section)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError) as error:
            raise snapshot.damaged(error) from None

    def finish(self) -> Machine:
        machine, trailer = self._machine, self._trailer
        if machine is None or trailer is None:
            raise snapshot.damaged("it has no header" if machine is None else "it has no trailer: the end is missing")
        if self._rows != trailer.rows:
            raise snapshot.damaged(f"it holds {self._rows} rows, {trailer.rows} were written")
        if machine.digest != trailer.digest:
            self._check_build(machine, trailer.digest)
            raise snapshot.damaged(f"its digest is {machine.digest:016x}, {trailer.digest:016x} was written")
        if self._lists_due or self._blobs != machine.blobs():
            raise snapshot.damaged(f"it lists {len(self._blobs)} blobs, and not those that its rows stand on")
        return machine

    def _check_build(self, machine: Machine, digest: int) -> None:
        """Equal states give equal slices. If ours differ from those that were read, our rows have other fields than the writer's: all
        members find the same, and what all of them took for a wrong state would be given up by all."""
        checksum = 0
        for data in machine.slices(digest):
            checksum = crc32(data, checksum)
        if checksum != self._checksum:
            raise UnknownFormat(
                "the snapshot has fields that this build lacks, or lacks some of its own: another build wrote it; run that one"
            )

    def _take(self, section: snapshot.Section) -> None:
        if self._trailer is not None:
            raise snapshot.damaged("it goes on after its trailer")
        if self._machine is None:
            if section.id != snapshot.HEADER_ID:
                raise snapshot.damaged(f"it begins with section {section.id}, not with its header")
            header = snapshot.decode_header(section.rows)
            self._machine = Machine(header.settings, header.scalars, self._supported_level)
        elif section.id == snapshot.TRAILER_ID:
            self._trailer = snapshot.decode_trailer(section.rows)
        elif section.id in self._machine.containers:
            self._rows += self._machine.containers[section.id].load(section.rows)
        else:
            raise snapshot.damaged(f"section {section.id} is unknown")
