"""The models there are, by the name that `--model` takes. The store of coordnode itself, which is replayed, is in store.py. Pure."""

from typing import Final

from coordnode.checking.barrier_model import Barrier
from coordnode.checking.claim_models import FencedLock, Leadership, ReaderWriterLock, Semaphore, ShardOwners
from coordnode.checking.group_model import Group
from coordnode.checking.journal_model import Journal
from coordnode.checking.models import CasRegister, Counter, KeyValue, Mutex, Register
from coordnode.checking.queue_model import WorkQueue
from coordnode.checking.session_model import Sessions
from coordnode.checking.set_models import LastReadSet, SetFull

_GIVEN: Final = (Register, CasRegister, KeyValue, Counter, LastReadSet, SetFull)
_EMPTY: Final = (Mutex, FencedLock, ReaderWriterLock, Semaphore, Leadership, Sessions, Group, ShardOwners, Barrier, WorkQueue, Journal)

MODELS: Final = {kind.name: kind for kind in (*_GIVEN, *_EMPTY)}

BEGIN_EMPTY: Final = tuple([kind.name for kind in _EMPTY])
"""Those that begin in one way only."""
