"""`build`: everything a host needs beside Python and sshd, as one archive for its Python and machine.

Our own package is taken from where it runs here. What it needs is taken from the installation that it runs with, when the host's
Python and machine are the same: what was tested is what is sent, and no network is needed. For others pip downloads the wheels of the
very same versions from the operator's index.
"""

import gzip
import hashlib
import importlib.metadata
import io
import json
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property, partial
from typing import Any

from coordctl.facts import pairs
from coordctl.onhost import start, supervisor
from coordctl.results.deploy import Built
from coordnode import __version__, errors
from coordnode.errors import BadRequest, CoordError

NEEDED = {"msgspec": "msgspec", "uvloop": "uvloop", "xxhash": "xxhash"}  # package -> module, of what a member loads
TARGET = re.compile(r"cp3[0-9]{2}-[a-z]+-[a-z0-9_]+", re.ASCII)
PIP_SECONDS_MAX = 300.0


class NoBuild(CoordError):
    """A host's Python and machine, and why there is no build for them."""

    definite = True


class Build:
    def __init__(self, version: str, target: str, archive: bytes | Callable[[], bytes], speaks: dict[str, Any]) -> None:
        """`archive`: itself, or what makes it. Most commands only want to know which version it would be."""
        self.version = version  # names what is in it: another content is another version
        self.target = target  # Python and machine: cp311-linux-x86_64
        self.speaks = speaks  # as facts/pairs has it
        self._archive = archive

    @cached_property
    def archive(self) -> bytes:
        return self._archive if isinstance(self._archive, bytes) else self._archive()

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.archive).hexdigest()


def target_here() -> str:
    return f"cp{sys.version_info[0]}{sys.version_info[1]}-{sysconfig.get_platform()}"


def build(target: str) -> Build:
    """Packed once somebody wants what is in it."""
    if TARGET.fullmatch(target) is None:
        raise BadRequest(f"{target!r} is no target: give Python and machine, such as {target_here()}")
    files = dict(_own_files())
    files |= dict(libraries(target, NEEDED))
    digests = {path: hashlib.sha256(content).hexdigest() for path, content in sorted(files.items())}
    version = f"{__version__}-{hashlib.sha256(json.dumps([target, digests]).encode()).hexdigest()[:10]}"
    speaks = pairs.as_manifest(pairs.OURS)
    manifest = {"format": 1, "version": version, "target": target, "speaks": speaks, "modules": sorted(NEEDED.values()), "files": digests}
    return Build(version, target, partial(_packed, {**files, "manifest.json": json.dumps(manifest, indent=1).encode()}), speaks)


def opened(path: str) -> Build:
    """A build that was made before, by this coordctl or another, as it lies in a file."""
    archive = _content(path)
    try:
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            inner = tar.extractfile("manifest.json")
            manifest = json.load(inner) if inner is not None else {}
        return Build(str(manifest["version"]), str(manifest["target"]), archive, manifest["speaks"])
    except (tarfile.TarError, EOFError, OSError, ValueError, KeyError, TypeError):
        raise BadRequest(f"{path} is no build: make one with `coordctl build`") from None


def built(target: str, folder: str) -> Built:
    made = build(target or target_here())
    path = os.path.join(folder, f"coordnode-{made.version}-{made.target}.tar.gz")
    with open(path, "wb") as file:
        file.write(made.archive)
    return Built(version=made.version, target=made.target, path=path, bytes=len(made.archive), sha256=made.sha256)


def _own_files() -> Iterator[tuple[str, bytes]]:
    root = os.path.dirname(os.path.abspath(errors.__file__))
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(one for one in folders if one != "__pycache__")
        for name in sorted(names):
            if name.endswith((".py", ".typed")):
                path = os.path.join(folder, name)
                yield os.path.join("lib", "coordnode", os.path.relpath(path, root)), _content(path)
    for module in (start, supervisor):
        yield os.path.basename(str(module.__file__)), _content(str(module.__file__))


def libraries(target: str, packages: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """The files of these packages, of the versions that are here, for that Python and machine."""
    return _installed(packages) if target == target_here() else _downloaded(target, packages)


def _content(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _installed(packages: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    for package in packages:
        distribution = importlib.metadata.distribution(package)
        for file in distribution.files or ():
            path = file.as_posix()
            if not path.startswith("..") and "__pycache__" not in path:
                yield f"lib/{path}", _content(str(distribution.locate_file(file)))


def _downloaded(target: str, packages: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    python, system, machine = target.split("-", 2)
    if system != "linux":
        raise NoBuild(f"hosts with {system} are not supported, only Linux")
    wanted = [f"{package}=={importlib.metadata.version(package)}" for package in packages]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"]
        command += ["--dest", folder, "--implementation", "cp", "--python-version", f"3.{python[3:]}", "--abi", python]
        for tag in ("manylinux_2_28", "manylinux_2_17", "manylinux2014"):
            command += ["--platform", f"{tag}_{machine}"]
        try:
            done = subprocess.run([*command, *wanted], capture_output=True, text=True, timeout=PIP_SECONDS_MAX, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NoBuild(f"no wheels for {target}: pip: {error}") from None
        if done.returncode:
            words = (done.stderr.strip().splitlines() or ["pip gave no reason"])[-1]
            raise NoBuild(f"no wheels for {target} ({', '.join(wanted)}): {words}")
        for name in sorted(os.listdir(folder)):
            with zipfile.ZipFile(os.path.join(folder, name)) as wheel:
                for entry in wheel.infolist():
                    if not entry.is_dir():
                        yield f"lib/{entry.filename}", wheel.read(entry)


def _packed(files: dict[str, bytes]) -> bytes:
    """The same bytes for the same files, whenever and wherever it is made."""
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w") as tar:
        for path, content in sorted(files.items()):
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            entry.mode = 0o644
            tar.addfile(entry, io.BytesIO(content))
    return gzip.compress(inner.getvalue(), compresslevel=6, mtime=0)
