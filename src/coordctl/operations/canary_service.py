"""The service that keeps a canary running."""

import os
import re
import subprocess
import sys
from collections.abc import Sequence

from coordctl.results.canary import CanaryInstalled
from coordnode.errors import CoordError

SYSTEMCTL_SECONDS_MAX = 60.0

UNIT = """\
[Unit]
Description=coordctl canary of {cluster}
After=network-online.target
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
ExecStart={command}
{environment}Restart=always
RestartSec=5
KillSignal=SIGINT
NoNewPrivileges=yes
PrivateTmp=yes

[Install]
WantedBy={target}
"""


def unit(cluster: str, arguments: Sequence[str], *, of_root: bool) -> str:
    """For systemd: what this very command is started with, and where it keeps what it knows of clusters."""
    kept = (
        "HOME",
        "PATH",
        "PYTHONPATH",
        "XDG_STATE_HOME",
        "XDG_CONFIG_HOME",
        "COORD_TLS",
        "COORD_AUTH_TOKEN_FILE",
        "COORD_ENDPOINTS",
        "COORD_CLUSTER",
    )
    environment = "".join(f"Environment={_quoted(f'{name}={os.environ[name]}')}\n" for name in kept if os.environ.get(name))
    words = [sys.executable, "-m", "coordctl", "canary", "run", *arguments, "--quiet"]
    command = " ".join(_quoted(word.replace("$", "$$")) if _SPECIAL.search(word) else word for word in words)
    return UNIT.format(
        cluster=cluster, command=command, environment=environment, target="multi-user.target" if of_root else "default.target"
    )


_SPECIAL = re.compile(r"[^\w@+=:,./-]")


def _quoted(word: str) -> str:
    """As systemd reads it again: %% is %."""
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%") + '"'


def unit_path(cluster: str, *, of_root: bool) -> str:
    folder = "/etc/systemd/system" if of_root else os.path.expanduser("~/.config/systemd/user")
    return os.path.join(folder, f"coordctl-canary-{cluster}.service")


class NoService(CoordError):
    """There is nothing here that could keep it running, or it would not."""

    definite = True


def install(cluster: str, arguments: Sequence[str], *, is_printed: bool) -> CanaryInstalled:
    """Writes and starts it; what is as it should be is left alone."""
    of_root = os.geteuid() == 0
    text, path = unit(cluster, arguments, of_root=of_root), unit_path(cluster, of_root=of_root)
    if is_printed:
        return CanaryInstalled(outcome="printed", cluster=cluster, path=path, unit=text)
    _check_systemd()
    if _content(path) == text and _systemctl("is-active", os.path.basename(path), of_root=of_root, must=False) == "active":
        return CanaryInstalled(outcome="unchanged", cluster=cluster, path=path, unit=text)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".part", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(path + ".part", path)
    name = os.path.basename(path)
    _systemctl("daemon-reload", of_root=of_root)
    _systemctl("enable", "--quiet", name, of_root=of_root)
    _systemctl("restart", name, of_root=of_root)
    if _systemctl("is-active", name, of_root=of_root, must=False) != "active":
        raise NoService(f"{name} was started and does not run: see journalctl -u {name}")
    return CanaryInstalled(outcome="installed", cluster=cluster, path=path, unit=text)


def remove(cluster: str) -> CanaryInstalled:
    of_root = os.geteuid() == 0
    path = unit_path(cluster, of_root=of_root)
    if _content(path) is None:
        return CanaryInstalled(outcome="unchanged", cluster=cluster, path=path, unit="")
    _check_systemd()
    _systemctl("disable", "--quiet", "--now", os.path.basename(path), of_root=of_root)
    os.unlink(path)
    _systemctl("daemon-reload", of_root=of_root)
    return CanaryInstalled(outcome="removed", cluster=cluster, path=path, unit="")


def _check_systemd() -> None:
    if not os.path.isdir("/run/systemd/system"):
        raise NoService("there is no systemd here: let another supervisor run what `coordctl canary install --print` shows as ExecStart")


def _content(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError:
        return None


def _systemctl(*words: str, of_root: bool, must: bool = True) -> str:
    command = ["systemctl", *([] if of_root else ["--user"]), *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SYSTEMCTL_SECONDS_MAX, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoService(f"{' '.join(command)}: {error}") from None
    if must and done.returncode:
        raise NoService(f"{' '.join(command)}: {done.stderr.strip() or f'code {done.returncode}'}")
    return done.stdout.strip()
