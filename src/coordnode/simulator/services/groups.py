"""Groups: sessions join, change and leave a few, and clients put views together from reads and watches."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from coordnode.checking import shown
from coordnode.checking.group_views import GroupViews
from coordnode.checking.group_views import Member as Truth
from coordnode.client.actions import Finished, WatchEvents, WatchFailed, WatchGapSeen
from coordnode.client.views import Assembly, View
from coordnode.services.commands import (
    GROUPS,
    HAS,
    HAS_NOT,
    IS,
    IS_NOT,
    Command,
    Failure,
    FindMembers,
    GetGroup,
    GroupChanged,
    GroupPage,
    GroupView,
    JoinGroup,
    LeaveGroup,
    ListGroups,
    Member,
    MemberPage,
    ReadOperation,
    Require,
    Result,
    UpdateMember,
    decode_member,
)
from coordnode.simulator import marks
from coordnode.simulator.client import SimClient
from coordnode.simulator.reference import EventRow
from coordnode.simulator.services.service import SimService, Stage, Step
from coordnode.simulator.vocabulary import Words, other, other_read

NAMES = (b"group/0", b"group/1")
MEMBERS = 5
WATCH_CHANCE = 0.05


def truth(member: Member) -> Truth:
    return member.name, int(member.session), member.data, member.labels, member.weight, int(member.joined)


class _Watched:
    """What one client makes of one group."""

    def __init__(self, group: bytes) -> None:
        self.group = group
        self.assembly = Assembly(group)
        self.view: View | None = None
        self.call = 0  # the read that it begins with
        self.watch = 0  # the core's number; 0: none yet
        self.number = 0  # the recording's

    def is_now(self, view: View | None) -> None:
        if view is not None:
            self.view = view


class SimGroups(SimService):
    WORDS: ClassVar[Mapping[type, Words]] = {
        JoinGroup: other("join"),
        UpdateMember: other("update"),
        LeaveGroup: other("leave"),
        GetGroup: other_read("view"),
        ListGroups: other_read("groups"),
        FindMembers: other_read("find"),
    }

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self._chance = stage.chance
        self._views = GroupViews()
        self._watched: dict[int, _Watched] = {}  # by client
        self._reads: dict[tuple[int, int], bytes] = {}  # by client and call: of which group
        self._searches: dict[tuple[int, int], ReadOperation] = {}  # likewise: over all of them

    def steps(self) -> Mapping[Step, int]:
        return {self._join: 5, self._update: 3, self._leave: 2, self._view: 2, self._find: 2}

    # --- the steps -------------------------------------------------------------------------------------------------

    def _group(self) -> bytes:
        return NAMES[int(self._chance.random() * len(NAMES))]

    def _member(self) -> bytes:
        return b"m%d" % int(self._chance.random() * MEMBERS)

    def _join(self, client: SimClient) -> None:
        chance = self._chance.random
        session = self.stage.usable_session(client)
        if session:
            name = b"" if chance() < 0.1 else self._member()
            labels = (("zone", "eu" if chance() < 0.5 else "us"),) if chance() < 0.8 else ()
            self.stage.call(client, JoinGroup(self._group(), name, b"%d" % self.stage.begun, labels, int(chance() * 4)), session=session)

    def _update(self, client: SimClient) -> None:
        chance = self._chance.random
        session = self.stage.usable_session(client)
        if session:
            data = None if chance() < 0.5 else b"%d" % self.stage.begun
            weight = None if chance() < 0.5 else int(chance() * 4)
            self.stage.call(client, UpdateMember(self._group(), self._member(), data, None, weight), session=session)

    def _leave(self, client: SimClient) -> None:
        session = self.stage.usable_session(client)
        if session:
            self.stage.call(client, LeaveGroup(self._group(), self._member()), session=session)

    def _view(self, client: SimClient) -> None:
        group = self._group()
        self._reads[client.number, self.stage.call(client, GetGroup(group), stale=self._chance.random() < 0.3)] = group

    def _find(self, client: SimClient) -> None:
        chance = self._chance.random
        require = Require("zone", (IS, IS_NOT, HAS, HAS_NOT)[int(chance() * 4)], "eu")
        found: ReadOperation = FindMembers(b"group/", [require], limit=int(chance() * 4)) if chance() < 0.7 else ListGroups(b"group/")
        self._searches[client.number, self.stage.call(client, found)] = found

    def _on_found(self, operation: ReadOperation, result: object) -> None:
        if isinstance(operation, FindMembers) and isinstance(result, MemberPage):
            seen = (tuple([(each.group, truth(each.member)) for each in result.members]), result.more)
            requires = [(each.key, each.relation, each.value) for each in operation.requires]
            shown.must_be(f"who meets {requires}", seen, shown.members(self._views, requires, operation.limit))
        elif isinstance(operation, ListGroups) and isinstance(result, GroupPage):
            listed = (tuple([(each.name, int(each.view), each.members) for each in result.groups]), result.more)
            shown.must_be("the list of groups", listed, shown.groups(self._views))

    # --- views that clients put together ---------------------------------------------------------------------------

    def before_step(self, client: SimClient) -> None:
        watched = self._watched.get(client.number)
        if watched is None:
            if self._chance.random() < WATCH_CHANCE:
                watched = self._watched[client.number] = _Watched(self._group())
                watched.call = self.stage.call(client, GetGroup(watched.group))
                self._reads[client.number, watched.call] = watched.group
        elif watched.watch and self._chance.random() < 0.005:
            client.core.unwatch(watched.watch)
            self.stage.recording.unwatched(watched.number)
            del self._watched[client.number]

    def on_finished(self, client: SimClient, finished: Finished) -> None:
        result = finished.result
        search = self._searches.pop((client.number, finished.call), None)
        if search is not None and self.stage.recording.is_newest(finished.index):
            self._on_found(search, result)
        read = self._reads.pop((client.number, finished.call), None)
        if read is not None and isinstance(result, GroupView):
            self._views.read(read, int(result.revision), int(result.view), tuple(map(truth, result.members)))
        watched = self._watched.get(client.number)
        if watched is None or watched.call != finished.call:
            return
        watched.call = 0
        if not isinstance(result, GroupView):
            del self._watched[client.number]
            return
        if watched.view is not None:
            self.stage.marks.reach(marks.VIEW_READ_ANEW)
        watched.is_now(watched.assembly.on_read(result))
        start = int(result.revision) + 1
        watched.watch = client.core.watch(watched.group, watched.group + b"\0", start, client.clock.own_ms(), space=GROUPS)
        watched.number = self.stage.recording.watching(watched.group, watched.group + b"\0", start, GROUPS)

    def on_watch(self, client: SimClient, seen: WatchEvents | WatchGapSeen | WatchFailed) -> None:
        watched = self._watched.get(client.number)
        if watched is None or watched.watch != seen.watch:
            return
        recording = self.stage.recording
        if isinstance(seen, WatchEvents):
            recording.watched(client, watched.number, seen)
            for change in seen.changes:
                watched.is_now(watched.assembly.on_change(change))
            assert watched.view is not None
            members = tuple(map(truth, watched.view.members))
            self._views.assembled(watched.group, int(watched.view.number), members, int(seen.up_to))
            return
        if isinstance(seen, WatchGapSeen):
            recording.gap(watched.number, seen.floor)
        else:
            recording.unwatched(watched.number)
            del self._watched[client.number]
            return
        # As the client's watch does: read anew, and go on from there.
        watched.watch = 0
        watched.call = self.stage.call(client, GetGroup(watched.group))
        self._reads[client.number, watched.call] = watched.group
        client.poll()

    # --- what must have happened -----------------------------------------------------------------------------------

    def on_effect(self, place: tuple[int, int], cluster_ms: int, command: Command, result: Result) -> None:
        views = self._views
        views.begin()
        operation = command.operation
        session = int(command.session)
        if not isinstance(operation, JoinGroup | UpdateMember | LeaveGroup):
            return
        if isinstance(result, Failure):
            views.refused(session, operation.group, operation.member, result.code)
            return
        assert isinstance(result, GroupChanged)
        view, now = int(result.view), int(result.revision)
        if isinstance(operation, JoinGroup):
            about = (operation.data, operation.labels, operation.weight)
            views.joined(session, operation.group, operation.member, about, result.member, view, now)
        elif isinstance(operation, UpdateMember):
            about_now = (operation.data, operation.labels, operation.weight)
            views.updated(session, operation.group, operation.member, about_now, view, now)
        else:
            views.left(session, operation.group, operation.member, view, now)

    def on_session_end(self, session: int, cluster_ms: int) -> bool:
        return self._views.ended(session)

    def on_changes(self, changes: Sequence[tuple[int, Sequence[EventRow]]]) -> None:
        for revision, rows in changes:
            events = [(row[0], row[1], truth(decode_member(row[2]))) for row in rows if row[5] == GROUPS]
            if events:
                self._views.told(revision, events)
