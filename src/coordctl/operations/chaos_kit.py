"""What chaos runs on hosts: our own programs as they are here, so that both sides speak the same.

What they need beside is the member's; where that is of another engine it comes along, for the host's Python and machine (`target`).
"""

import hashlib
import importlib.metadata
import io
import os
import tarfile
from collections.abc import Iterator
from functools import cache

from coordctl.chaos import hosted
from coordctl.operations import building
from coordnode import errors

NEEDED = ("msgspec",)
ABOVE = ("commands", "operations", "report")  # rooms that nothing on a host asks for


@cache
def name(target: str = "") -> str:
    """Another content has another one."""
    digest = hashlib.sha256()
    if target:
        digest.update(f"{target} {[importlib.metadata.version(package) for package in NEEDED]}\n".encode())
    for path, content in _files():
        digest.update(f"{path} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:12]


@cache
def archive(target: str = "") -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as tar:
        needed = building.libraries(target, NEEDED) if target else ()
        for path, content in [*_files(), *[(path.removeprefix("lib/"), content) for path, content in needed]]:
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(content), 0o644
            tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def _files() -> Iterator[tuple[str, bytes]]:
    for root in (os.path.dirname(os.path.dirname(os.path.abspath(hosted.__file__))), os.path.dirname(os.path.abspath(errors.__file__))):
        for folder, folders, names in os.walk(root):
            folders[:] = sorted(one for one in folders if one != "__pycache__" and not (folder == root and one in ABOVE))
            for file_name in sorted(names):
                if file_name.endswith(".py"):
                    path = os.path.join(folder, file_name)
                    with open(path, "rb") as file:
                        yield os.path.relpath(path, os.path.dirname(root)), file.read()
