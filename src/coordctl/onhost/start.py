"""Becomes the member: notes what it is started with, so that a deployment knows whether what runs is what is wanted.

Not while chaos keeps it down: a file says until when, so that it starts although whoever wrote that is gone.
"""

import hashlib
import json
import os
import sys
import time

READ = ("config/node.toml", "config/tls/ca.pem", "config/tls/certificate.pem")
KEPT_DOWN = "kept-down-"
LOOK_SECONDS = 0.05


def main(base: str) -> None:
    while is_kept_down(base):
        time.sleep(LOOK_SECONDS)
    digest = hashlib.sha256()
    for path in READ:
        try:
            with open(os.path.join(base, path), "rb") as file:
                digest.update(file.read())
        except FileNotFoundError:
            digest.update(b"none")
    version = os.path.realpath(base + "/current")
    started = {"version": os.path.basename(version), "config": digest.hexdigest()}
    os.makedirs(base + "/run", exist_ok=True)
    with open(base + "/run/started.json.tmp", "w", encoding="utf-8") as file:
        json.dump(started, file)
    os.replace(base + "/run/started.json.tmp", base + "/run/started.json")
    environment = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "PYTHONPATH": version + "/lib", "LANG": "C.UTF-8"}
    command = [sys.executable, "-sSP", "-m", "coordnode", "run", "--config", base + "/config/node.toml"]
    os.execve(sys.executable, command, environment)


def is_kept_down(base: str) -> bool:
    """Until a moment on the clock that goes on in suspend; a reboot ends it, too. What cannot be read keeps nobody down."""
    try:
        orders = [name for name in os.listdir(base + "/run") if name.startswith(KEPT_DOWN) and not name.endswith(".tmp")]
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot = file.read().strip()
    except OSError:
        return False
    for name in orders:
        try:
            with open(os.path.join(base, "run", name), encoding="utf-8") as file:
                order = json.load(file)
            if order["boot"] == boot and time.clock_gettime(time.CLOCK_BOOTTIME) * 1000 < order["deadline_ms"]:
                return True
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return False


if __name__ == "__main__":
    main(sys.argv[1])
