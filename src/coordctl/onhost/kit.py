"""Makes what chaos runs on a host, out of an archive: beside its place, then there as a whole. Older ones go when nobody needs them."""

import hashlib
import io
import json
import os
import shutil
import sys
import tarfile


def main(said: dict[str, object]) -> None:
    chaos, name, archive = str(said["chaos"]), str(said["name"]), os.path.expanduser(str(said["archive"]))
    kits = chaos + "/kits"
    os.makedirs(kits, mode=0o700, exist_ok=True)
    os.chmod(chaos, 0o700)
    with open(archive, "rb") as file:
        content = file.read()
    os.unlink(archive)
    if hashlib.sha256(content).hexdigest() != said["sha256"]:
        raise SystemExit("the archive arrived damaged: run it again")
    place, beside = f"{kits}/{name}", f"{kits}/{name}.{os.getpid()}"
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        tar.extractall(beside, filter="data") if hasattr(tarfile, "data_filter") else tar.extractall(beside)
    if os.path.isdir(place):  # by another's work meanwhile: it may be in use
        shutil.rmtree(beside)
    else:
        os.rename(beside, place)
    _leave_drop(chaos, place)
    if not [one for one in os.listdir(chaos) if one.endswith(".fault.json")]:  # else an older one's reapers may be at work
        for other in os.listdir(kits):
            if other != name:
                shutil.rmtree(f"{kits}/{other}", ignore_errors=True)
    print(json.dumps({"kits": os.listdir(kits)}))


def _leave_drop(chaos: str, place: str) -> None:
    """What ends all that is broken here, for whoever takes the member away."""
    base = os.path.dirname(chaos)
    with open(chaos + "/drop.part", "w", encoding="utf-8") as file:
        file.write(f"#!/bin/sh\ncd /\nexport PYTHONPATH='{place}:{base}/current/lib'\n")
        file.write(f"exec '{sys.executable}' -sSP -m coordctl.chaos.hosted '{base}' drop\n")
    os.chmod(chaos + "/drop.part", 0o700)
    os.replace(chaos + "/drop.part", chaos + "/drop")
