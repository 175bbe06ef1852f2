"""What a host is like, and what of a cluster is there already: asked in one go, and nothing is changed by it."""

import fcntl
import hashlib
import json
import os
import platform
import pwd
import resource
import shutil
import socket
import subprocess
import sys
import sysconfig
import time

SYNCS = 40


def main(said: dict[str, object]) -> None:
    base = os.path.expanduser(
        str(said["folder"]) or ("/var/lib/coordnode/" if os.geteuid() == 0 else "~/.coordnode/") + str(said["cluster"])
    )
    found = {
        "unix_ns": time.time_ns(),
        "hostname": socket.gethostname(),
        "python": sys.executable,
        "version": platform.python_version(),
        "abi": f"cp{sys.version_info[0]}{sys.version_info[1]}{getattr(sys, 'abiflags', '')}",
        "platform": sysconfig.get_platform(),
        "libc": " ".join(platform.libc_ver()).strip(),
        "uid": os.geteuid(),
        "user": pwd.getpwuid(os.geteuid()).pw_name,
        "base": base,
        "has_systemd": os.geteuid() == 0 and os.path.isdir("/run/systemd/system"),
        "has_cron": shutil.which("crontab") is not None,
        "has_useradd": shutil.which("useradd") is not None,
        "has_account": _has_account(str(said["account"])),
        "files_max": resource.getrlimit(resource.RLIMIT_NOFILE)[1],
        "versions": _names(base + "/versions"),
        "current": _link(base + "/current"),
        "speaks": {name: (_json(f"{base}/versions/{name}/manifest.json") or {}).get("speaks") for name in _names(base + "/versions")},  # type: ignore[attr-defined]
        "upgrade": _json(base + "/upgrade.json"),
        "operator": _json(base + "/operator.lock"),
        "digests": {path: _digest(os.path.join(base, path)) for path in list(said["files"])},  # type: ignore[call-overload]
        "unit": _digest(str(said["unit"])),
        "crontab": _crontab(str(said["account"])),
        "marker": _json(base + "/member.json"),
        "has_data": bool(_names(base + "/data")),
        "former": _names(base + "/former"),
        "running": _running(base, str(said["service"])),
        "boots": _boots(base, str(said["service"]), str(said["account"])),
        "port_taken": _taken(str(said["address"]), int(str(said["port"]))),
        **_disk(base),
    }
    print(json.dumps(found))


def _has_account(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _link(path: str) -> str:
    try:
        return os.path.basename(os.readlink(path))
    except OSError:
        return ""


def _digest(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()
    except OSError:
        return ""


def _json(path: str) -> object:
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return None


def _said(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=False).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def _crontab(account: str) -> str:
    if shutil.which("crontab") is None:
        return ""
    return _said("crontab", "-l") if os.geteuid() != 0 else _said("crontab", "-u", account, "-l")


def _running(base: str, service: str) -> object:
    """What the member that runs was started with; null: none runs."""
    if os.geteuid() == 0 and os.path.isdir("/run/systemd/system"):
        if _said("systemctl", "is-active", service) != "active":
            return None
    else:
        try:
            with open(base + "/run/supervisor", encoding="utf-8") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return None  # nobody holds it
        except FileNotFoundError:
            return None
        except OSError:
            pass
    return _json(base + "/run/started.json") or {}


def _boots(base: str, service: str, account: str) -> bool:
    """Whether it will run again after a reboot."""
    if os.geteuid() == 0 and os.path.isdir("/run/systemd/system"):
        return _said("systemctl", "is-enabled", service) == "enabled"
    return base + "/current/supervisor.py" in _crontab(account)


def _taken(address: str, port: int) -> str:
    """Why the port cannot be listened at; "": it can."""
    try:
        family, kind, _, _, name = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(name)
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _disk(base: str) -> dict[str, object]:
    """Of the folder above that exists: nothing is made."""
    folder = base
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    space = os.statvfs(folder)
    found: dict[str, object] = {"free_bytes": space.f_bavail * space.f_frsize, "can_write": os.access(folder, os.W_OK | os.X_OK)}
    path = f"{folder}/.coordctl-{os.getpid()}"
    times = []
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        return {**found, "sync_ms": None, "sync_trouble": error.strerror}
    try:
        for number in range(SYNCS):
            os.pwrite(descriptor, b"x" * 4096, number * 4096)
            began = time.monotonic()
            os.fdatasync(descriptor)
            times.append((time.monotonic() - began) * 1000)
    except OSError as error:
        return {**found, "sync_ms": None, "sync_trouble": error.strerror}
    finally:
        os.unlink(path)
        os.close(descriptor)
    return {**found, "sync_ms": round(sorted(times)[len(times) // 2], 3), "sync_trouble": ""}
