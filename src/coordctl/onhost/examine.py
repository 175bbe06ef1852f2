"""What keeps a member from working, or will: its host, service, process, files and ways to the others, looked at in one go for `doctor`.

Nothing stays that was not there before: only how long a disk takes is tried out, with a file that goes at once.
"""

import fcntl
import hashlib
import json
import os
import platform
import pwd
import shutil
import socket
import ssl
import struct
import subprocess
import threading
import time
import tomllib
from collections.abc import Callable

SYNCS = 20
SYNC_MS_SLOW = 20.0
SAMPLE_SECONDS = 0.6  # how long segments that are sent again are counted at least
WORDS_BYTES_MAX = 16_384
READ_AT_START = ("config/node.toml", "config/tls/ca.pem", "config/tls/certificate.pem")  # as start.py reads them
PLACES = (
    *("", "data", "data/wal", "data/snapshots", "data/identity", "log", "run", "versions"),
    *("config", "config/node.toml", "config/tls", "config/tls/key.pem", "config/tls/certificate.pem", "config/tls/ca.pem"),
)
_IDENTITY = struct.Struct("<8sIIQQ")  # magic, version, checksum, cluster, member


def main(said: dict[str, object]) -> None:
    began, sent_before = time.monotonic(), _segments()
    base = os.path.expanduser(
        str(said["folder"]) or ("/var/lib/coordnode/" if os.geteuid() == 0 else "~/.coordnode/") + str(said["cluster"])
    )
    data = str(said["data"]) or base + "/data"
    mark = str(said["mark"]) or base + "/config/node.toml"
    port = int(str(said["port"]))
    unix_ns, told = time.time_ns(), time.monotonic()
    pids = _pids(mark)
    config, config_trouble = _config(base + "/config/node.toml")
    found = {
        "unix_ns": unix_ns,
        "hostname": socket.gethostname(),
        "python": platform.python_version(),
        "base": base,
        "data": data,
        "account_uid": _uid(str(said["account"])),
        "disk": _disk(data),
        "places": {path: place for path in PLACES if (place := _place(os.path.join(base, path))) is not None},
        "config": config,
        "config_trouble": config_trouble,
        "certificate": _text(base + "/config/tls/certificate.pem"),
        "authority": _text(base + "/config/tls/ca.pem"),
        "identity": _identity(data + "/identity"),
        "marker": _json(base + "/member.json"),
        "current": os.path.basename(os.path.realpath(base + "/current")) if os.path.islink(base + "/current") else "",
        "started": _json(base + "/run/started.json"),
        "config_digest": _digest(base),
        "service": _service(base, str(said["service"]), str(said["account"])),
        "process": _process(pids[0], str(said["service"])) if pids else None,
        "members": len(pids),
        "holder": _holder(port, pids),
        "last_words": _last_words(base + "/log/member.out", str(said["service"])),
        "ways": _ways(dict(said["others"]), base + "/config/tls", bool(said["tls"]), list(said["seconds"])),  # type: ignore[call-overload]
    }
    time.sleep(max(0.0, began + SAMPLE_SECONDS - time.monotonic()))
    sent, again = (after - before for after, before in zip(_segments(), sent_before, strict=True))
    print(json.dumps({**found, "segments_sent": sent, "segments_again": again, "since_ms": (time.monotonic() - told) * 1000}))


# --- files ---------------------------------------------------------------------------------------------------------


def _uid(account: str) -> int:
    """-1: there is no such user."""
    try:
        return pwd.getpwnam(account).pw_uid if account else os.geteuid()
    except KeyError:
        return -1


def _place(path: str) -> "dict[str, object] | None":
    try:
        found = os.stat(path)
    except OSError:
        return None
    try:
        owner = pwd.getpwuid(found.st_uid).pw_name
    except KeyError:
        owner = str(found.st_uid)
    return {"mode": found.st_mode & 0o7777, "uid": found.st_uid, "owner": owner}


def _text(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.read(65_536)
    except (OSError, UnicodeDecodeError):
        return ""


def _json(path: str) -> object:
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return None


def _config(path: str) -> "tuple[dict[str, str], str]":
    try:
        with open(path, "rb") as file:
            return {key: str(value) for key, value in tomllib.load(file).items()}, ""
    except FileNotFoundError:
        return {}, "" if not os.path.exists(os.path.dirname(path)) else "it is missing"
    except (OSError, ValueError) as error:
        return {}, str(error)


def _digest(base: str) -> str:
    digest = hashlib.sha256()
    for path in READ_AT_START:
        try:
            with open(os.path.join(base, path), "rb") as file:
                digest.update(file.read())
        except OSError:
            digest.update(b"none")
    return digest.hexdigest()


def _identity(path: str) -> "list[int] | None":
    """The cluster and the member that the data say they are of."""
    try:
        with open(path, "rb") as file:
            magic, _, _, cluster, member = _IDENTITY.unpack(file.read(_IDENTITY.size))
    except (OSError, struct.error):
        return None
    return [cluster, member] if magic == b"coordid\x00" else None


def _last_words(path: str, service: str) -> "list[str]":
    """What was said besides events."""
    text = ""
    if service and os.path.isdir("/run/systemd/system"):
        text = _said("journalctl", "--no-pager", "-q", "-o", "cat", "-n", "30", "-u", service, "_COMM=python3")
    else:
        try:
            with open(path, "rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - WORDS_BYTES_MAX))
                text = file.read().decode(errors="replace")
        except OSError:
            pass
    return [line.strip()[:300] for line in text.splitlines() if line.strip() and not line.startswith("{")][-3:]


def _disk(folder: str) -> "dict[str, object]":
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    space = os.statvfs(folder)
    sync_ms, trouble = None, ""
    if not space.f_flag & os.ST_RDONLY:
        sync_ms, trouble = _sync(folder)
        if sync_ms is not None and sync_ms > SYNC_MS_SLOW:  # one spell of somebody else's writing says little
            sync_ms = min(sync_ms, _sync(folder)[0] or sync_ms)
    return {
        "free_bytes": space.f_bavail * space.f_frsize,
        "total_bytes": space.f_blocks * space.f_frsize,
        "free_files": space.f_favail,
        "total_files": space.f_files,
        "is_read_only": bool(space.f_flag & os.ST_RDONLY),
        "sync_ms": sync_ms,
        "sync_trouble": trouble,
    }


def _sync(folder: str) -> "tuple[float | None, str]":
    path = f"{folder}/.coordctl-{os.getpid()}"
    times = []
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        return None, error.strerror or str(error)
    try:
        for number in range(SYNCS):
            os.pwrite(descriptor, b"x" * 4096, number * 4096)
            began = time.monotonic()
            os.fdatasync(descriptor)
            times.append((time.monotonic() - began) * 1000)
    except OSError as error:
        return None, error.strerror or str(error)
    finally:
        os.unlink(path)
        os.close(descriptor)
    return round(sorted(times)[len(times) // 2], 3), ""


# --- service and process -------------------------------------------------------------------------------------------


def _said(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=False).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def _service(base: str, service: str, account: str) -> "dict[str, object]":
    if not service:
        return {"kind": "none", "is_wanted": True, "boots": True, "is_masked": False, "restarts": 0, "state": ""}
    if os.geteuid() == 0 and os.path.isdir("/run/systemd/system"):
        said = _said(
            "systemctl", "show", service, "-p", "ActiveState", "-p", "SubState", "-p", "UnitFileState", "-p", "NRestarts", "-p", "LoadState"
        )
        shown = dict(line.partition("=")[::2] for line in said.splitlines())
        return {
            "kind": "systemd",
            "is_wanted": shown.get("ActiveState") in ("active", "activating", "reloading"),
            "boots": shown.get("UnitFileState") == "enabled",
            "is_masked": shown.get("LoadState") == "masked",
            "restarts": int(shown.get("NRestarts") or 0),
            "state": f"{shown.get('ActiveState')} ({shown.get('SubState')})",
        }
    crontab = "" if shutil.which("crontab") is None else _said("crontab", *(["-u", account] if os.geteuid() == 0 else []), "-l")
    is_kept = _is_locked(base + "/run/supervisor")
    boots = base + "/current/supervisor.py" in crontab
    state = "kept by a supervisor" if is_kept else "no supervisor runs"
    return {"kind": "supervisor", "is_wanted": is_kept, "boots": boots, "is_masked": False, "restarts": 0, "state": state}


def _is_locked(path: str) -> bool:
    try:
        with open(path, encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def _pids(mark: str) -> "list[int]":
    """Processes that run this member."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdecimal():
            try:
                with open(f"/proc/{name}/cmdline", "rb") as file:
                    words = file.read().split(b"\0")
            except OSError:
                continue
            if b"coordnode" in words and b"run" in words and mark.encode() in words:
                found.append(int(name))
    return sorted(found)


def _process(pid: int, service: str) -> "dict[str, object] | None":
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        with open(f"/proc/{pid}/limits", encoding="ascii") as file:
            limits = {line[:26].strip(): line[26:].split()[0] for line in file.read().splitlines()[1:]}
        with open("/proc/uptime", encoding="ascii") as file:
            uptime = float(file.read().split()[0])
        uid = os.stat(f"/proc/{pid}").st_uid
        files = len(os.listdir(f"/proc/{pid}/fd"))
    except (OSError, IndexError, ValueError):
        return None
    age = uptime - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    bounds = [_number(limits.get("Max address space", "")), _group_memory(pid)]
    return {
        "pid": pid,
        "state": fields[0].decode(),
        "uid": uid,
        "age_s": max(0.0, age),
        "files_used": files,
        "files_max": _number(limits.get("Max open files", "")),
        "memory_max": min((bound for bound in bounds if bound is not None), default=None),
        "memory_used": int(fields[21]) * os.sysconf("SC_PAGE_SIZE"),
    }


def _number(text: str) -> "int | None":
    """None: unlimited."""
    return int(text) if text.isdecimal() else None


def _group_memory(pid: int) -> "int | None":
    """The least of what its control groups allow, from its own up."""
    try:
        with open(f"/proc/{pid}/cgroup", encoding="ascii") as file:
            lines = [line.strip().split(":", 2) for line in file]
    except OSError:
        return None
    bounds = []
    for _, controllers, path in lines:
        root, name = ("/sys/fs/cgroup", "memory.max") if not controllers else ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
        if controllers not in ("", "memory"):
            continue
        while path:
            bounds.append(_number(_text(f"{root}{path}/{name}").strip()))
            path = path.rpartition("/")[0]
    return min((bound for bound in bounds if bound is not None and bound < 1 << 60), default=None)


def _holder(port: int, ours: "list[int]") -> str:
    """Who else listens at the member's port; "": nobody."""
    nodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table, encoding="ascii") as file:
                for line in file.read().splitlines()[1:]:
                    fields = line.split()
                    if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                        nodes.add(f"socket:[{fields[9]}]")
        except OSError:
            continue
    for name in os.listdir("/proc") if nodes else ():
        if not name.isdecimal() or int(name) in ours:
            continue
        try:
            links = [os.readlink(f"/proc/{name}/fd/{one}") for one in os.listdir(f"/proc/{name}/fd")]
            if nodes.intersection(links):
                with open(f"/proc/{name}/cmdline", "rb") as file:
                    return f"pid {name}: {file.read().replace(bytes(1), b' ').decode(errors='replace').strip()[:80]}"
        except OSError:
            continue
    return ""


# --- the others ----------------------------------------------------------------------------------------------------


def _segments() -> "tuple[int, int]":
    """TCP segments sent by this host, and of these, sent again."""
    try:
        with open("/proc/net/snmp", encoding="ascii") as file:
            lines = [line.split() for line in file if line.startswith("Tcp:")]
        found = dict(zip(lines[0], lines[1], strict=True))
        return int(found["OutSegs"]), int(found["RetransSegs"])
    except (OSError, IndexError, KeyError, ValueError):
        return 0, 0


def _ways(others: "dict[str, list[object]]", tls: str, is_secured: bool, tries: "list[float]") -> "dict[str, dict[str, object]]":
    """Each member's port: reached, and answering something that takes more than one packet. `tries`: how long each may take."""
    found: dict[str, dict[str, object]] = {}
    context = _context(tls) if is_secured else None

    def look(name: str) -> None:
        host, port = others[name]
        for seconds in tries:
            found[name] = _way(str(host), int(str(port)), context, seconds)
            if found[name]["stage"] not in ("connect", "answer"):
                return

    threads = [threading.Thread(target=look, args=(name,)) for name in others]
    _each(threads, threading.Thread.start)
    _each(threads, threading.Thread.join)
    return found


def _each(threads: "list[threading.Thread]", act: "Callable[[threading.Thread], None]") -> None:
    for thread in threads:
        act(thread)


def _context(tls: str) -> "ssl.SSLContext | None":
    """As the member itself dials; None: its certificate cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        context.load_cert_chain(tls + "/certificate.pem", tls + "/key.pem")
    except (OSError, ssl.SSLError):
        return None
    return context


def _way(host: str, port: int, context: "ssl.SSLContext | None", seconds: float) -> "dict[str, object]":
    """`stage`: at which it failed: name, connect, refused, answer, tls; "": it did not."""
    began = time.monotonic()
    try:
        connection = socket.create_connection((host, port), seconds)
    except socket.gaierror as error:
        return {"stage": "name", "trouble": error.strerror or str(error)}
    except TimeoutError:
        return {"stage": "connect", "trouble": "no answer"}
    except OSError as error:
        stage = "refused" if isinstance(error, ConnectionRefusedError) else "connect"
        return {"stage": stage, "trouble": (error.strerror or str(error)).lower()}
    try:
        with connection:
            stream = context.wrap_socket(connection) if context is not None else connection
            stream.sendall(b"GET /status HTTP/1.1\r\nHost: coordnode\r\nConnection: close\r\n\r\n")
            while stream.recv(65_536):
                pass
    except TimeoutError:
        return {"stage": "answer", "trouble": "it is reached, and answers nothing"}
    except (OSError, ssl.SSLError) as error:
        return {"stage": "tls", "trouble": str(getattr(error, "reason", None) or error).lower()}
    return {"stage": "", "trouble": "", "ms": round((time.monotonic() - began) * 1000, 1)}
