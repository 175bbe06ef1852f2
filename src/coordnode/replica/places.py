"""Which watches want a change of a key: found by the key and by its prefixes, so that many thousands of others cost it nothing. Pure.

Ranges that are neither are tried one by one, each once for all that watch it.
"""

from coordnode.ids import Revision
from coordnode.ranges import prefix_end
from coordnode.services.dialogue import WatchAsk


class Watch:
    __slots__ = ("ask", "since")

    def __init__(self, ask: WatchAsk, since: Revision) -> None:
        self.ask = ask
        self.since = since  # when it began, it was told of everything up to here

    def matches(self, space: int, key: bytes) -> bool:
        ask = self.ask
        return space == ask.space and key >= ask.start and (not ask.end or key < ask.end)


Watches = dict[int, Watch]  # by request
Watchers = dict[int, Watches]  # by connection
_Range = tuple[int, bytes, bytes]  # (space, start, end)


class Places:
    def __init__(self) -> None:
        self._of_key: dict[tuple[int, bytes], Watchers] = {}  # (space, key)
        self._of_prefix: dict[tuple[int, int], dict[bytes, Watchers]] = {}  # (space, how long it is)
        self._of_range: dict[_Range, Watchers] = {}

    def add(self, connection: int, watch: Watch) -> None:
        ask = watch.ask
        if ask.end == ask.start + b"\0":
            watchers = self._of_key.setdefault((ask.space, ask.start), {})
        elif ask.end == prefix_end(ask.start):
            watchers = self._of_prefix.setdefault((ask.space, len(ask.start)), {}).setdefault(ask.start, {})
        else:
            watchers = self._of_range.setdefault((ask.space, ask.start, ask.end), {})
        watchers.setdefault(connection, {})[ask.request] = watch

    def remove(self, connection: int, watch: Watch) -> None:
        ask = watch.ask
        if ask.end == ask.start + b"\0":
            key = ask.space, ask.start
            if _is_left_empty(self._of_key[key], connection, ask.request):
                del self._of_key[key]
        elif ask.end == prefix_end(ask.start):
            length = ask.space, len(ask.start)
            of_length = self._of_prefix[length]
            if _is_left_empty(of_length[ask.start], connection, ask.request):
                del of_length[ask.start]
                if not of_length:
                    del self._of_prefix[length]
        else:
            place = ask.space, ask.start, ask.end
            if _is_left_empty(self._of_range[place], connection, ask.request):
                del self._of_range[place]

    def watchers(self, space: int, key: bytes) -> list[Watchers]:
        found = []
        of_key = self._of_key.get((space, key))
        if of_key is not None:
            found.append(of_key)
        for (of_space, length), of_length in self._of_prefix.items():
            if of_space == space and (of_prefix := of_length.get(key[:length])) is not None:
                found.append(of_prefix)
        for (of_space, start, end), of_range in self._of_range.items():
            if of_space == space and start <= key and (not end or key < end):
                found.append(of_range)
        return found

    def clear(self) -> None:
        self._of_key.clear()
        self._of_prefix.clear()
        self._of_range.clear()


def _is_left_empty(watchers: Watchers, connection: int, request: int) -> bool:
    watches = watchers[connection]
    del watches[request]
    if not watches:
        del watchers[connection]
    return not watchers
