"""Makes a version out of an archive: beside its place first, every file checked, everything loaded once; then it is there as a whole.

One at a time: what a coordctl that was killed had begun here goes on without it, beside the next one's.
"""

import fcntl
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from typing import Any


def main(said: dict[str, object]) -> None:
    base, version, archive = str(said["base"]), str(said["version"]), os.path.expanduser(str(said["archive"]))
    versions = base + "/versions"
    os.makedirs(versions, exist_ok=True)
    fcntl.flock(os.open(versions, os.O_RDONLY), fcntl.LOCK_EX)  # until this process ends
    place = versions + "/" + version
    if is_whole(place):  # by another's work meanwhile: it may be in use
        if os.path.exists(archive):
            os.unlink(archive)
        return
    beside = place + ".part"
    shutil.rmtree(beside, ignore_errors=True)
    with open(archive, "rb") as file:
        content = file.read()
    if hashlib.sha256(content).hexdigest() != said["sha256"]:
        raise SystemExit("the archive arrived damaged: run it again")
    os.makedirs(beside)
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        tar.extractall(beside, filter="data") if hasattr(tarfile, "data_filter") else tar.extractall(beside)
    manifest = manifest_of(beside)
    if trouble := flaw(beside, manifest):
        raise SystemExit(f"the build {trouble}: make it again with `coordctl build`")
    loads = "import coordnode.node.command, " + ", ".join(manifest["modules"])
    done = subprocess.run(
        [sys.executable, "-sSP", "-c", loads], env={"PYTHONPATH": beside + "/lib"}, cwd="/", capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit("the build does not load here: " + (done.stderr.strip().splitlines() or ["no reason given"])[-1])
    # Whoever runs the member may not write there: what Python would keep beside its files is made now.
    subprocess.run([sys.executable, "-sSP", "-m", "compileall", "-q", beside + "/lib"], cwd="/", check=False, capture_output=True)
    shutil.rmtree(place, ignore_errors=True)
    os.replace(beside, place)
    os.unlink(archive)


def is_whole(place: str) -> bool:
    try:
        return not flaw(place, manifest_of(place))
    except (OSError, ValueError):
        return False


def manifest_of(folder: str) -> Any:
    with open(folder + "/manifest.json", encoding="utf-8") as file:
        return json.load(file)


def flaw(folder: str, manifest: Any) -> str:
    """What is not as the manifest says; empty: nothing."""
    for path, digest in manifest["files"].items():
        try:
            with open(os.path.join(folder, path), "rb") as inner:
                found = hashlib.sha256(inner.read()).hexdigest()
        except OSError:
            return f"lacks {path}"
        if found != digest:
            return f"has {path} damaged"
    return ""
