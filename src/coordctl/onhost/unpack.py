"""Makes a version out of an archive: beside its place first, every file checked, everything loaded once; then it is there as a whole."""

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile


def main(said: dict[str, object]) -> None:
    base, version, archive = str(said["base"]), str(said["version"]), os.path.expanduser(str(said["archive"]))
    place = base + "/versions/" + version
    beside = place + ".part"
    shutil.rmtree(beside, ignore_errors=True)
    with open(archive, "rb") as file:
        content = file.read()
    if hashlib.sha256(content).hexdigest() != said["sha256"]:
        raise SystemExit("the archive arrived damaged: run it again")
    os.makedirs(beside)
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        tar.extractall(beside, filter="data") if hasattr(tarfile, "data_filter") else tar.extractall(beside)
    with open(beside + "/manifest.json", encoding="utf-8") as file:
        manifest = json.load(file)
    for path, digest in manifest["files"].items():
        try:
            with open(os.path.join(beside, path), "rb") as inner:
                found = hashlib.sha256(inner.read()).hexdigest()
        except OSError:
            raise SystemExit(f"the build lacks {path}: make it again with `coordctl build`") from None
        if found != digest:
            raise SystemExit(f"the build's {path} is damaged: make it again with `coordctl build`")
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
