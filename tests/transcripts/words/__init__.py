"""How the stories of services speak of each service beside keys and sessions. A new one is its own file and one line here.

`parse` makes an operation of a verb and its words; `show` says what a result is, `show_event` what a watch is told. None: another
service's.
"""

from collections.abc import Callable
from typing import NamedTuple

from coordnode.services.commands import Event, Result
from tests.transcripts.words import groups, queues, shards


class Words(NamedTuple):
    parse: Callable[[str, list[str]], object | None]
    show: Callable[[Result], list[str] | None]
    show_event: Callable[[Event], str | None]


SERVICES = (
    Words(groups.parse, groups.show, groups.show_event),
    Words(shards.parse, shards.show, shards.show_event),
    Words(queues.parse, queues.show, queues.show_event),
)
