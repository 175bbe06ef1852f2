"""Becomes the member: notes what it is started with, so that a deployment knows whether what runs is what is wanted."""

import hashlib
import json
import os
import sys

READ = ("config/node.toml", "config/tls/ca.pem", "config/tls/certificate.pem")


def main(base: str) -> None:
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


if __name__ == "__main__":
    main(sys.argv[1])
