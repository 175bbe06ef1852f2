"""A watch whose owner is slow holds a bounded amount, and loses nothing."""

import random

from coordnode.client.actions import Connect, Send, WatchEvents
from coordnode.client.core import ClientCore
from coordnode.client.inboxes import WAITING_BYTES_MAX, Inbox, Scope
from coordnode.ids import MemberId, Revision
from coordnode.services.commands import PUT_EVENT, Change, Event
from coordnode.services.dialogue import UnwatchAsk, WatchAsk, WatchPush

MEMBER = MemberId(1)
VALUE = bytes(1024 * 1024)


def change(revision: int) -> Change:
    return Change(Revision(revision), [Event(PUT_EVENT, b"k", VALUE, 1)])


def test_too_much_ends_the_subscription_until_it_was_taken() -> None:
    core = ClientCore([MEMBER], random.Random(1))
    inboxes: dict[int, Inbox] = {}
    inbox = Inbox(core, inboxes, Scope(b"", b""), 0, 0)
    assert any(isinstance(action, Connect) for action in core.poll(0))
    core.on_connected(MEMBER, 0)

    def asks() -> list[object]:
        sent: list[object] = []
        for action in core.poll(0):
            if isinstance(action, Send):
                sent.append(action.ask)
            elif isinstance(action, WatchEvents) and action.watch in inboxes:
                inboxes[action.watch].on_event(action)
        return sent

    (asked,) = asks()
    assert isinstance(asked, WatchAsk)
    revision = 0
    ended: list[object] = []
    while not ended:
        revision += 1
        core.on_answer(MEMBER, WatchPush(asked.request, [change(revision)], Revision(revision)), 0)
        ended = [*asks(), *asks()]
        assert revision * len(VALUE) < 2 * WAITING_BYTES_MAX
    assert ended == [UnwatchAsk(asked.request)]
    assert inboxes == {}
    taken = []
    while (found := inbox.take(0)) is not None:
        taken.append(found.revision)
    assert taken == list(range(1, revision + 1))
    (again,) = asks()
    assert isinstance(again, WatchAsk)
    assert again.start_revision == revision + 1
