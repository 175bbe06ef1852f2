"""What every operation and every result is, and the result that any operation may have. Pure.

Tags are never reused, neither by operations nor by results nor by notices; each service has a range of its own for all three:
kv 1-9, sessions 10-19, leading 20-29, locks 30-39, elections 40-49, groups 50-59, queues 60-79, shards 80-89, barriers 90-94,
counters 95-99, journals 100-119, auth 120-139.
"""

import msgspec


class OperationBase(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=True):
    pass


class ResultBase(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=True):
    pass


class NoticeBase(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=True):
    """The value of an event in the space of notices."""


class Failure(ResultBase, frozen=True, array_like=True, gc=False, tag=6):
    """The command was applied and changed nothing: `code` is one of errors.BY_CODE, which says whether that is definite."""

    code: int
    sentence: str
