"""What a build holds is what a member loads: on a host nothing else is there."""

import hashlib
import importlib.metadata
import json
import subprocess
import sys

import pytest

from coordctl.operations import building
from coordctl.operations.building import NEEDED

LOADED = """
import json, sys
import coordnode.node.command, coordnode.node.member, coordnode.node.founding, coordnode.simulator.command
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def test_every_package_that_a_member_loads_is_in_its_build() -> None:
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    packages = importlib.metadata.packages_distributions()
    theirs = {name for name in json.loads(done.stdout) if name in packages and "coordctl" not in packages[name]}
    assert {"msgspec", "xxhash"} <= theirs
    # msgspec looks for typing_extensions and goes on without; setuptools looks in wherever Python starts.
    assert theirs - {"typing_extensions", "_distutils_hack"} <= set(NEEDED.values())


def test_a_build_is_packed_once_it_is_sent_and_not_to_know_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    packed: list[int] = []

    def pack(files: dict[str, bytes]) -> bytes:
        packed.append(len(files))
        return b"archive"

    monkeypatch.setattr(building, "_packed", pack)
    build = building.build(building.target_here())
    assert build.version.startswith(f"{building.__version__}-")
    assert packed == []
    assert [build.archive, build.archive] == [b"archive"] * 2
    assert len(packed) == 1
    assert build.sha256 == hashlib.sha256(b"archive").hexdigest()
