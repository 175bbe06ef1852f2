"""Groups, blocking: `cluster.group(name)` and `cluster.groups`; and the requests that their twins in aio_groups make, too.

with session.group("web").join(data="10.0.0.7:80", labels={"zone": "eu"}) as member:
    for view in cluster.group("web").watch():
        print(view.number, [each.name for each in view])
"""

from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Self

from coordnode.client.clock import now_ms
from coordnode.client.durations import Seconds, in_ms
from coordnode.client.inboxes import Inbox, Scope
from coordnode.client.pump import Pump
from coordnode.client.requests import Request, as_bytes, expect
from coordnode.client.views import Assembly, View, parse_require
from coordnode.errors import CoordError, HistoryGone
from coordnode.services.commands import (
    GROUPS,
    FindMembers,
    FoundMember,
    GetGroup,
    GroupChanged,
    GroupInfo,
    GroupPage,
    GroupView,
    JoinGroup,
    LeaveGroup,
    ListGroups,
    MemberPage,
    UpdateMember,
)

Name = str | bytes
Labels = Mapping[str, str]


def join_request(group: bytes, name: Name, data: Name, labels: Labels, weight: int) -> Request[GroupChanged]:
    operation = JoinGroup(group, as_bytes(name), as_bytes(data), tuple(sorted(labels.items())), weight)
    return Request(operation, lambda result: expect(result, GroupChanged))


def update_request(group: bytes, member: bytes, data: Name | None, labels: Labels | None, weight: int | None) -> Request[GroupChanged]:
    packed = None if labels is None else tuple(sorted(labels.items()))
    operation = UpdateMember(group, member, None if data is None else as_bytes(data), packed, weight)
    return Request(operation, lambda result: expect(result, GroupChanged))


def leave_request(group: bytes, member: bytes) -> Request[GroupChanged]:
    return Request(LeaveGroup(group, member), lambda result: expect(result, GroupChanged))


def view_request(group: bytes, stale: bool, min_revision: int = 0) -> Request[GroupView]:
    return Request(GetGroup(group), lambda result: expect(result, GroupView), stale, min_revision)


def page_request(prefix: bytes, after: bytes, stale: bool) -> Request[GroupPage]:
    return Request(ListGroups(prefix, after), lambda result: expect(result, GroupPage), stale)


def find_request(ask: FindMembers, stale: bool) -> Request[MemberPage]:
    return Request(ask, lambda result: expect(result, MemberPage), stale)


def first_search(prefix: Name, requires: tuple[str, ...]) -> FindMembers:
    return FindMembers(as_bytes(prefix), [parse_require(each) for each in requires])


def next_search(ask: FindMembers, page: MemberPage) -> FindMembers:
    return FindMembers(ask.prefix, ask.requires, page.at_group, page.at_member)


def scope_of(group: bytes) -> Scope:
    return Scope(group, group + b"\0", GROUPS)


class Groups:
    """All of them: to find a service by its name's prefix and its members' labels."""

    def __init__(self, pump: Pump, timeout_ms: int) -> None:
        self._pump = pump
        self._timeout_ms = timeout_ms

    def list(self, prefix: Name = b"", *, stale: bool = False, timeout: Seconds | None = None) -> Iterator[GroupInfo]:
        """In the order of names, page by page."""
        after, more = b"", True
        while more:
            page = self._pump.call(page_request(as_bytes(prefix), after, stale), self._limit(timeout))
            yield from page.groups
            more = page.more
            after = page.groups[-1].name if page.groups else b""

    def find(self, prefix: Name = b"", *requires: str, stale: bool = False, timeout: Seconds | None = None) -> Iterator[FoundMember]:
        """Members of all groups with that prefix that meet every condition: `zone=eu`, `zone!=eu`, `zone`, `!zone`."""
        ask, more = first_search(prefix, requires), True
        while more:
            page = self._pump.call(find_request(ask, stale), self._limit(timeout))
            yield from page.members
            more = page.more
            ask = next_search(ask, page)

    def _limit(self, timeout: Seconds | None) -> int:
        return self._timeout_ms if timeout is None else in_ms(timeout, "timeout")


class Group:
    """One of them, by its name. It is there while it has members."""

    def __init__(self, pump: Pump, timeout_ms: int, name: Name, session: int = 0) -> None:
        self._pump = pump
        self._timeout_ms = timeout_ms
        self._session = session
        self.name = as_bytes(name)

    def view(self, *, stale: bool = False, min_view: int = 0, timeout: Seconds | None = None) -> View:
        """Who is in it now, whole. `min_view`: this view, of which somebody else told you, or a later one."""
        view = Assembly(self.name).on_read(self._pump.call(view_request(self.name, stale, min_view), self._limit(timeout)))
        assert view is not None
        return view

    def watch(self) -> "GroupWatch":
        """The view as it is now, then every later one."""
        return GroupWatch(self._pump, self._timeout_ms, self.name)

    def join(
        self, name: Name = b"", *, data: Name = b"", labels: Labels | None = None, weight: int = 1, timeout: Seconds | None = None
    ) -> "Membership":
        """Only through `session.group`: the member goes when that session ends. Without a name it is called after the session's owner."""
        request = join_request(self.name, name, data, labels or {}, weight)
        joined = self._pump.call(request, self._limit(timeout), self._session)
        return Membership(self._pump, self._timeout_ms, self.name, self._session, joined)

    def _limit(self, timeout: Seconds | None) -> int:
        return self._timeout_ms if timeout is None else in_ms(timeout, "timeout")


class Membership:
    """What a session is in a group. Leaves it at the end of a `with`."""

    def __init__(self, pump: Pump, timeout_ms: int, group: bytes, session: int, joined: GroupChanged) -> None:
        self._pump = pump
        self._timeout_ms = timeout_ms
        self._session = session
        self._is_over = False
        self.group = group
        self.name = joined.member
        self.view = joined.view  # the newest that this member made

    def update(
        self, *, data: Name | None = None, labels: Labels | None = None, weight: int | None = None, timeout: Seconds | None = None
    ) -> None:
        """What is not said stays as it is; `labels` are replaced as a whole."""
        request = update_request(self.group, self.name, data, labels, weight)
        self.view = self._pump.call(request, self._limit(timeout), self._session).view

    def leave(self, *, timeout: Seconds | None = None) -> None:
        if not self._is_over:
            self._is_over = True
            self.view = self._pump.call(leave_request(self.group, self.name), self._limit(timeout), self._session).view

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Having been put out meanwhile is an error, unless another is on its way out already."""
        try:
            self.leave()
        except CoordError:
            if kind is None:
                raise

    def _limit(self, timeout: Seconds | None) -> int:
        return self._timeout_ms if timeout is None else in_ms(timeout, "timeout")


class GroupWatch:
    """Iterate over it for View after View, for ever; or take one with a time limit. None is left out but those a gap swallowed whole:
    after it the view is read anew, so that the newest is never missed."""

    def __init__(self, pump: Pump, timeout_ms: int, group: bytes) -> None:
        self._pump = pump
        self._timeout_ms = timeout_ms
        self._group = group
        self._assembly = Assembly(group)
        self._inbox: Inbox | None = None  # None: to be read first

    def take(self, timeout: Seconds | None = None) -> View | None:
        """The next view; None: there was none in this time."""
        until_ms = None if timeout is None else now_ms() + in_ms(timeout, "timeout")
        while True:
            view = self._read(until_ms) if self._inbox is None else self._changed(self._inbox)
            if view is not None:
                return view
            inbox = self._inbox
            if inbox is not None and not self._pump.wait_until(inbox.has_something, until_ms):
                return None

    def _read(self, until_ms: int | None) -> View | None:
        limit_ms = self._timeout_ms if until_ms is None else max(1, until_ms - now_ms())
        read = self._pump.call(view_request(self._group, stale=False), limit_ms)
        self._inbox = self._pump.watch(scope_of(self._group), read.revision + 1)
        return self._assembly.on_read(read)

    def _changed(self, inbox: Inbox) -> View | None:
        """Of what has come; None: nothing, or nothing new."""
        try:
            while (change := self._pump.take_change(inbox)) is not None:
                view = self._assembly.on_change(change)
                if view is not None:
                    return view
        except HistoryGone:
            self.close()
        return None

    def __iter__(self) -> Iterator[View]:
        while True:
            view = self.take()
            assert view is not None
            yield view

    def close(self) -> None:
        if self._inbox is not None:
            self._pump.end_watch(self._inbox)
            self._inbox = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
