"""What modules take from typing and contextlib that a command loads at its start, without loading these: that takes as long as all else.

To a type checker each is the original, whose meaning it keeps as far as it goes. Annotations in such modules are text, and what
only they name is imported `if TYPE_CHECKING`. Pure.
"""

from __future__ import annotations

from _operator import itemgetter  # of C: the module around it costs more than this one

TYPE_CHECKING = False  # type checkers know the name, and take it for true

if TYPE_CHECKING:
    from contextlib import suppress as suppress
    from typing import NamedTuple as NamedTuple
    from typing import NewType as NewType
    from typing import Protocol as Protocol
else:
    Protocol = object

    def NewType(_name: str, kind: type) -> type:
        return kind

    class suppress:
        def __init__(self, *errors: type[BaseException]) -> None:
            self._errors = errors

        def __enter__(self) -> None:
            pass

        def __exit__(self, kind: type[BaseException] | None, _error: object, _traceback: object) -> bool:
            return kind is not None and issubclass(kind, self._errors)

    _BY_PLACE = [property(itemgetter(place)) for place in range(20)]  # one for all classes: they are made in half the time

    class _Named(type):
        def __new__(meta, name, bases, members):
            fields = tuple(members.get("__annotations__", ()))
            defaults = {field: members[field] for field in fields if field in members}
            made = {**members, **dict(zip(fields, _BY_PLACE, strict=False))}
            made.update(__slots__=(), __match_args__=fields, _fields=fields, _defaults=defaults)
            assert len(fields) <= len(_BY_PLACE)
            return super().__new__(meta, name, bases, made)

    class NamedTuple(tuple, metaclass=_Named):
        def __new__(cls, *values, **named):
            if named or len(values) != len(cls._fields):
                values = cls._completed(values, named)
            return tuple.__new__(cls, values)

        @classmethod
        def _completed(cls, values, named):
            given = dict(zip(cls._fields, values, strict=False))
            known = {**cls._defaults, **given, **named}
            if len(values) > len(cls._fields) or given.keys() & named.keys() or known.keys() != set(cls._fields):
                raise TypeError(f"{cls.__name__} is made of {', '.join(cls._fields)}, not of {values} and {named}")
            return [known[field] for field in cls._fields]

        def _replace(self, **changed):
            return type(self)(**{**self._asdict(), **changed})

        def _asdict(self):
            return dict(zip(self._fields, self, strict=True))

        def __repr__(self):
            return f"{type(self).__name__}({', '.join(f'{field}={value!r}' for field, value in self._asdict().items())})"
