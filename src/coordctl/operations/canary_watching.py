"""What a canary tells others: Prometheus, `canary status`, and the service that keeps one running."""

import http.server
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence

from coordctl.canary.budget import Past, Share, of_window
from coordctl.canary.judgement import OUTCOMES, Tally
from coordctl.local import canaries
from coordctl.local.clusters import split
from coordctl.results.canary import CanaryInstalled, CanaryStatus, CanaryWindow
from coordnode.errors import BadRequest, CoordError

WINDOWS_MS = (("10m", 600_000), ("1h", 3_600_000))
OVERDUE_TIMES = 3  # intervals without a round: nobody looks any more
OVERDUE_SECONDS_MIN = 30.0
SYSTEMCTL_SECONDS_MAX = 60.0
OBJECTIVE = 0.999  # of rounds that are well


# --- Prometheus ----------------------------------------------------------------------------------------------------


def exposition(tally: Tally) -> str:
    lines = []

    def family(name: str, kind: str, about: str, values: Sequence[tuple[str, float]]) -> None:
        lines.extend([f"# HELP coordctl_canary_{name} {about}", f"# TYPE coordctl_canary_{name} {kind}"])
        lines.extend(f"coordctl_canary_{name}{{{labels}}} {value}" for labels, value in values)

    series = [(f'probe="{probe}",member="{member}"', found) for (probe, member), found in tally.series.items()]
    family(
        "rounds_total", "counter", "rounds, by what came of them", [(f'outcome="{kind}"', count) for kind, count in tally.rounds.items()]
    )
    family("samples_total", "counter", "probes that could be tried", [(labels, one.count) for labels, one in series])
    family("failures_total", "counter", "of these, those that failed", [(labels, one.failed) for labels, one in series])
    family("unreached_total", "counter", "probes that could not be tried", [(labels, one.unreached) for labels, one in series])
    succeeded = [(labels, one.last_success_unix_ms / 1_000) for labels, one in series if one.last_success_unix_ms is not None]
    family("last_success_timestamp_seconds", "gauge", "when it last succeeded", succeeded)
    latencies = [(f'{labels},quantile="{part}"', one.latency_ms(part)) for labels, one in series for part in (0.5, 0.99)]
    family("latency_seconds", "gauge", "of the newest that succeeded", [(labels, ms / 1_000) for labels, ms in latencies if ms is not None])
    return "\n".join(lines) + "\n"


class Exposed:
    """Answers /metrics at an address for as long as it is open. Raises BadRequest when it cannot."""

    def __init__(self, address: str, text: Callable[[], str]) -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                is_there = self.path == "/metrics"
                body = text().encode() if is_there else b"there is nothing at this path; there is /metrics\n"
                self.send_response(200 if is_there else 404)
                self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Whoever asks every few seconds is nobody's news."""

        host, _, port = split(address, "--metrics")[0].address.rpartition(":")
        try:
            self._server = http.server.ThreadingHTTPServer((host.strip("[]"), int(port)), Handler)
        except OSError as error:
            raise BadRequest(f"--metrics {address} cannot be listened at: {error.strerror}") from None
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


# --- status --------------------------------------------------------------------------------------------------------


def status(cluster: str) -> CanaryStatus:
    kept = canaries.read(cluster)
    now_ms = time.time_ns() // 1_000_000
    if kept is None or not kept.rounds:
        sentence = f"no canary has run here for {cluster}: start one with `coordctl canary install`, or `canary run`"
        return CanaryStatus(
            outcome="unknown",
            exit_code=3,
            cluster=cluster,
            sentence=sentence,
            windows=[],
            last_unix_ms=None,
            last_failure_unix_ms=None,
            last_failure="",
        )
    past = [Past(*one) for one in kept.rounds]
    shares = [(name, of_window(past, now_ms, window_ms)) for name, window_ms in WINDOWS_MS]
    newest = past[-1]
    failure = next((one for one in reversed(past) if one.level in (1, 2)), None)
    overdue_ms = max(OVERDUE_SECONDS_MIN, OVERDUE_TIMES * kept.interval_seconds) * 1_000
    if now_ms - newest.unix_ms > overdue_ms:
        level, sentence = 3, f"the last round was {(now_ms - newest.unix_ms) / 1_000:.0f} s ago: the canary does not run"
    else:
        recent = [one for one in past if now_ms - one.unix_ms <= overdue_ms]
        level = max(one.level for one in recent) if all(one.level < 3 for one in recent) else newest.level
        sentence = _sentence(shares[0][1], newest)
    return CanaryStatus(
        outcome=OUTCOMES[level],
        exit_code=level,
        cluster=cluster,
        sentence=sentence,
        windows=[_window(name, one) for name, one in shares],
        last_unix_ms=newest.unix_ms,
        last_failure_unix_ms=failure.unix_ms if failure is not None else None,
        last_failure=failure.sentence if failure is not None else "",
    )


def _sentence(found: Share, newest: Past) -> str:
    words = f"{1 - found.ratio:.1%} of {found.seen} rounds in 10 m were well"
    return words + (f"; now: {newest.sentence}" if newest.level else "")


def _window(name: str, found: Share) -> CanaryWindow:
    budget = (1 - OBJECTIVE) * found.seen
    return CanaryWindow(
        window=name,
        rounds=found.seen,
        failed=found.failed,
        ratio_low=round(found.low, 6),
        ratio_high=round(found.high, 6),
        budget_used=round(found.failed / budget, 3) if budget else 0.0,
    )


# --- a service -----------------------------------------------------------------------------------------------------

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
    kept = ("HOME", "PATH", "PYTHONPATH", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "COORD_TLS", "COORD_ENDPOINTS", "COORD_CLUSTER")
    environment = "".join(f'Environment="{name}={os.environ[name]}"\n' for name in kept if os.environ.get(name))
    words = [sys.executable, "-m", "coordctl", "canary", "run", *arguments, "--quiet"]
    command = " ".join(f'"{word}"' if " " in word else word.replace("%", "%%") for word in words)
    return UNIT.format(
        cluster=cluster, command=command, environment=environment, target="multi-user.target" if of_root else "default.target"
    )


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
