"""What a member once had come to: kept beside its log, so that a later start can tell a state that fell back. Pure."""

from typing import NamedTuple

from coordnode.ids import Index, Revision


class Known(NamedTuple):
    """With everything up to `applied` applied, the state was at `revision`. As only what is committed is applied, this holds
    for every member and for ever."""

    applied: Index = Index(0)
    revision: Revision = Revision(0)


NOTHING = Known()
