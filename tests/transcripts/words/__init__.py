"""How the stories of services speak of each service beside keys and sessions. A new one is its own file and one line here.

`parse` makes an operation of a verb and its words; `show` says what a result is, `show_event` what a watch is told. None: another
service's.
"""

from collections.abc import Callable
from typing import NamedTuple

from coordnode.services.commands import Event, Result
from tests.transcripts.words import auth, barriers, elections, groups, journals, locks, queues, shards


class Words(NamedTuple):
    parse: Callable[[str, list[str]], object | None]
    show: Callable[[Result], list[str] | None]
    show_event: Callable[[Event], str | None]


_ALL = (groups, shards, barriers, queues, locks, elections, journals, auth)
SERVICES = tuple([Words(each.parse, each.show, each.show_event) for each in _ALL])
