"""`python -m tests.sbom > sbom.json`: what the product and its tests are made of, as CycloneDX, from the packages that are pinned."""

import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

from coordnode import __version__

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements-dev.txt"


class Pinned(NamedTuple):
    name: str
    version: str
    hashes: list[str]  # sha256 of its files
    wanted_by: list[str]  # packages, and `coordctl` itself


def pinned() -> list[Pinned]:
    found = []
    for entry in re.split(r"\n(?=[a-z0-9])", LOCK.read_text(encoding="utf-8")):
        if entry.startswith("#"):
            continue
        name, _, version = entry.split()[0].partition("==")
        via = re.findall(r"^    #(?: via)? +([a-z0-9][a-z0-9._-]*)", entry, re.MULTILINE)
        found.append(Pinned(name, version, re.findall(r"--hash=sha256:([0-9a-f]{64})", entry), via))
    return found


def needed_to_run(packages: list[Pinned]) -> set[str]:
    """What `pip install coordctl` brings along."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = {re.split(r"[<>=; ]", one)[0].lower() for one in project["dependencies"]}
    while more := {one.name for one in packages if needed & {*one.wanted_by}} - needed:
        needed |= more
    return needed


def document() -> dict[str, Any]:
    packages = pinned()
    needed = needed_to_run(packages)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": "coordctl", "version": __version__}},
        "components": [
            {
                "type": "library",
                "name": one.name,
                "version": one.version,
                "purl": f"pkg:pypi/{one.name}@{one.version}",
                "scope": "required" if one.name in needed else "excluded",
                "hashes": [{"alg": "SHA-256", "content": content} for content in one.hashes],
            }
            for one in packages
        ],
    }


if __name__ == "__main__":
    json.dump(document(), sys.stdout, indent=1)
    sys.stdout.write("\n")
