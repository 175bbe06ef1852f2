"""Loads our own modules by their place: where one is, its package says, and what Python has compiled of it lies beside it.

The usual finders know many kinds of module and look for each: of all that a command that starts fast does, that is a twelfth of the
instructions and a fifth of the calls of the system. What is not plainly there and up to date is left to them.
"""

from __future__ import annotations

import os
import sys
from _frozen_importlib import ModuleSpec
from _frozen_importlib_external import MAGIC_NUMBER, SourceFileLoader
from marshal import loads

from coordnode.light import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import CodeType

PACKAGES = ("coordctl.", "coordnode.")
CODE_AT = 16  # in a compiled file: behind the magic number, flags (0: checked by time and size), time and size of the source
COMPILED_BYTES_MAX = 1 << 24
_CHECKED_BY_TIME = MAGIC_NUMBER + bytes(4)
_CACHED = f".{sys.implementation.cache_tag}.pyc"


class Loader(SourceFileLoader):
    """With the code at hand, once."""

    def __init__(self, name: str, path: str, code: CodeType) -> None:
        super().__init__(name, path)
        self._code: CodeType | None = code

    def get_code(self, fullname: str) -> CodeType | None:
        code, self._code = self._code, None
        return code or super().get_code(fullname)


class Finder:
    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: object = None) -> ModuleSpec | None:
        if path is None or not name.startswith(PACKAGES):
            return None
        folder, own = path[0], name.rpartition(".")[2]
        found = _look(folder, own)
        is_package = found is None
        if found is None:
            folder = f"{folder}/{own}"
            found = _look(folder, "__init__")
            if found is None:
                return None
        source, cached, code = found
        spec = ModuleSpec(name, Loader(name, source, code), origin=source, is_package=is_package)
        spec.has_location = True
        spec.cached = cached
        if spec.submodule_search_locations is not None:
            spec.submodule_search_locations.append(folder)
        return spec


def _look(folder: str, own: str) -> tuple[str, str, CodeType] | None:
    source, cached = f"{folder}/{own}.py", f"{folder}/__pycache__/{own}{_CACHED}"
    try:
        found = os.stat(source)
        file = os.open(cached, os.O_RDONLY)
    except OSError:
        return None
    try:
        data = os.read(file, COMPILED_BYTES_MAX)
    finally:
        os.close(file)
    made_of = (int(found.st_mtime) & 0xFFFFFFFF).to_bytes(4, "little") + (found.st_size & 0xFFFFFFFF).to_bytes(4, "little")
    if data[:CODE_AT] != _CHECKED_BY_TIME + made_of:
        return None
    return source, cached, loads(memoryview(data)[CODE_AT:])


def begin() -> None:
    if sys.pycache_prefix is None and os.sep == "/":
        sys.meta_path.insert(0, Finder)
