"""Assignments over the simulated groups: created, resized, deleted; owners let go in time, too late, or not at all."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from coordnode.checking import shown
from coordnode.checking.shard_owners import Move, ShardOwners, Table
from coordnode.client.actions import Finished, WatchEvents, WatchFailed, WatchGapSeen
from coordnode.services.commands import (
    GROUPS,
    MEMBER_LEFT,
    NOTICES,
    SHARDS,
    AssignmentPage,
    AssignmentView,
    Command,
    ConfigureAssignment,
    CreateAssignment,
    DeleteAssignment,
    Done,
    Failure,
    GetAssignment,
    ListAssignments,
    OwnedShard,
    ReleaseShard,
    Result,
    Wake,
    decode_assignment_changed,
    decode_member,
)
from coordnode.services.state import Settings
from coordnode.simulator import marks
from coordnode.simulator.client import SimClient
from coordnode.simulator.reference import EventRow
from coordnode.simulator.services.groups import NAMES as GROUP_NAMES
from coordnode.simulator.services.service import SimService, Stage, Step
from coordnode.simulator.vocabulary import Words, other, other_read

NAMES = (b"jobs/0", b"jobs/1")
SHARDS_MAX = 7
NOTICES_CHANCE = 0.05


def table_of(view: AssignmentView) -> Table:
    rows = [(row.shard, row.member, int(row.session), int(row.token), row.revoke_left_ms is not None) for row in view.owned]
    return tuple(rows)


def moves_of(value: bytes) -> tuple[bytes, list[Move]]:
    changed = decode_assignment_changed(value)
    return changed.name, [Move(each.shard, each.kind, each.member, int(each.session), int(each.token)) for each in changed.changes]


class SimShards(SimService):
    WORDS: ClassVar[Mapping[type, Words]] = {
        CreateAssignment: other("assign"),
        ConfigureAssignment: other("configure"),
        DeleteAssignment: other("unassign"),
        ReleaseShard: other("release"),
        GetAssignment: other_read("assignment"),
        ListAssignments: other_read("assignments"),
    }

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self._chance = stage.chance
        self._is_wake = False  # the command that on_changes speaks of
        self._owners = ShardOwners(Settings().wake_items_max)
        self._reads: dict[tuple[int, int], bytes] = {}  # by client and call: of which assignment
        self._lists: dict[tuple[int, int], None] = {}  # by client and call
        self._seen: dict[bytes, list[OwnedShard]] = {}  # who was the owner when anybody looked last
        self._notices: dict[int, tuple[int, int]] = {}  # by client: watch, and the recording's number of it

    def steps(self) -> Mapping[Step, int]:
        return {self._create: 2, self._configure: 1, self._delete: 1, self._release: 6, self._read: 4, self._list: 1}

    # --- the steps -------------------------------------------------------------------------------------------------

    def _name(self) -> bytes:
        return NAMES[int(self._chance.random() * len(NAMES))]

    def _count(self) -> int:
        return 1 + int(self._chance.random() * SHARDS_MAX)

    def _create(self, client: SimClient) -> None:
        name = self._name()
        revoke_ms = (50, 400, 3_000)[int(self._chance.random() * 3)]
        self.stage.write(client, CreateAssignment(name, GROUP_NAMES[NAMES.index(name)], self._count(), revoke_ms))

    def _configure(self, client: SimClient) -> None:
        self.stage.write(client, ConfigureAssignment(self._name(), self._count()))

    def _delete(self, client: SimClient) -> None:
        if self._chance.random() < 0.3:
            self.stage.write(client, DeleteAssignment(self._name()))

    def _release(self, client: SimClient) -> None:
        """Of its own, mostly; by tokens that may be of the past."""
        name = self._name()
        seen = self._seen.get(name, [])
        numbers = {int(session): number for number, session in client.sessions.items()}
        own = [row for row in seen if int(row.session) in numbers and (row.revoke_left_ms is not None or self._chance.random() < 0.1)]
        session = self.stage.usable_session(client)
        if own:
            row = own[int(self._chance.random() * len(own))]
            self.stage.call(client, ReleaseShard(name, row.shard, row.token), session=numbers[int(row.session)])
        elif seen and session and self._chance.random() < 0.2:
            row = seen[int(self._chance.random() * len(seen))]
            self.stage.call(client, ReleaseShard(name, row.shard, row.token), session=session)
        else:
            self._read(client)

    def _read(self, client: SimClient) -> None:
        name = self._name()
        self._reads[client.number, self.stage.call(client, GetAssignment(name), stale=self._chance.random() < 0.2)] = name

    def _list(self, client: SimClient) -> None:
        self._lists[client.number, self.stage.call(client, ListAssignments(b"jobs/"))] = None

    # --- what clients hear -----------------------------------------------------------------------------------------

    def before_step(self, client: SimClient) -> None:
        if client.number in self._notices or self._chance.random() >= NOTICES_CHANCE:
            return
        number = self.stage.usable_session(client)
        if number:
            key = int(client.sessions[number]).to_bytes(8, "big")
            watch = client.core.watch(key, key + b"\0", 0, client.clock.own_ms(), space=NOTICES)
            self._notices[client.number] = watch, self.stage.recording.watching(key, key + b"\0", 0, NOTICES)

    def on_watch(self, client: SimClient, seen: WatchEvents | WatchGapSeen | WatchFailed) -> None:
        watch, number = self._notices.get(client.number, (0, 0))
        if watch != seen.watch:
            return
        recording = self.stage.recording
        if isinstance(seen, WatchEvents):
            recording.watched(client, number, seen)
            return
        if isinstance(seen, WatchGapSeen):
            recording.gap(number, seen.floor)
        else:
            recording.unwatched(number)
        del self._notices[client.number]

    def tokens(self) -> list[tuple[bytes, int]]:
        return self._owners.tokens()

    def on_finished(self, client: SimClient, finished: Finished) -> None:
        was_list = (client.number, finished.call) in self._lists
        self._lists.pop((client.number, finished.call), None)
        if was_list and isinstance(finished.result, AssignmentPage) and self.stage.recording.is_newest(finished.index):
            rows = [(each.name, each.group, each.shards, each.owned, each.revoking) for each in finished.result.assignments]
            shown.must_be("the list of assignments", (tuple(rows), finished.result.more), shown.assignments(self._owners))
        name = self._reads.pop((client.number, finished.call), None)
        if name is None or not isinstance(finished.result, AssignmentView):
            return
        self._seen[name] = finished.result.owned
        self._owners.read(name, int(finished.result.revision), table_of(finished.result))

    # --- what must have happened -----------------------------------------------------------------------------------

    def on_effect(self, place: tuple[int, int], cluster_ms: int, command: Command, result: Result) -> None:
        owners = self._owners
        operation = command.operation
        self._is_wake = isinstance(operation, Wake)
        owners.begin(cluster_ms, self._is_wake)
        if isinstance(operation, ReleaseShard):
            code = result.code if isinstance(result, Failure) else 0
            if code == 0:
                self.stage.marks.reach(marks.SHARD_RELEASED)
            owners.released(int(command.session), operation.name, operation.shard, int(operation.token), code)
        if not isinstance(result, Done) or not result.changed:
            return
        if isinstance(operation, CreateAssignment):
            owners.configured(operation.name, operation.group, operation.shards, operation.revoke_ms)
        elif isinstance(operation, ConfigureAssignment):
            owners.configured(operation.name, None, operation.shards, operation.revoke_ms)
        elif isinstance(operation, DeleteAssignment):
            owners.deleted(operation.name)

    def on_session_end(self, session: int, cluster_ms: int) -> bool:
        return self._owners.ended(session)

    def on_changes(self, changes: Sequence[tuple[int, Sequence[EventRow]]]) -> None:
        for revision, rows in changes:
            for row in rows:
                if row[5] == GROUPS:
                    member = decode_member(row[2])
                    weight = None if row[0] == MEMBER_LEFT else member.weight
                    self._owners.member(row[1], member.name, int(member.session), weight)
            moved = [moves_of(row[2]) for row in rows if row[5] == SHARDS]
            notices = [(row[4], *moves_of(row[2])) for row in rows if row[5] == NOTICES and row[0] == SHARDS]
            if self._is_wake and moved:
                self.stage.marks.reach(marks.SHARD_OUT_OF_TIME)
            if moved or notices:
                self._owners.told(revision, moved, notices)
