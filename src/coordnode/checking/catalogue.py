"""The models there are, by the name that `--model` takes. The store of coordnode itself, which is replayed, is in store.py. Pure."""

from typing import Final

from coordnode.checking.claim_models import FencedLock, Leadership, ReaderWriterLock, Semaphore
from coordnode.checking.models import CasRegister, Counter, KeyValue, LastReadSet, Mutex, Register, SetFull, WorkQueue

_PLAIN: Final = (Register, CasRegister, KeyValue, Counter, LastReadSet, SetFull, Mutex, WorkQueue)
_CLAIMS: Final = (FencedLock, ReaderWriterLock, Semaphore, Leadership)

MODELS: Final = {kind.name: kind for kind in (*_PLAIN, *_CLAIMS)}

BEGIN_EMPTY: Final = ("mutex", "queue", *[kind.name for kind in _CLAIMS])
"""Those that begin in one way only."""
