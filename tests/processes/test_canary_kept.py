"""What a canary leaves for others: its verdict by the share that fails, JUnit, Prometheus, `canary status`, and the service."""

import configparser
import shlex
import shutil
import socket
import subprocess
import urllib.request
import xml.etree.ElementTree as ET

from tests.processes.local import Home
from tests.processes.members import free_port, own_hosts
from tests.processes.runner.jobs import until
from tests.processes.test_commands import valid

SUCCEEDED = 'coordctl_canary_last_success_timestamp_seconds{probe="write",member="n2"} '


def asked(host: str, port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://{host}:{port}{path}", timeout=30) as answer:
        return str(answer.read().decode())


def test_what_a_canary_tells_others(home: Home) -> None:
    home.ctl("up")
    assert home.json("canary", "status", code=3)["last_unix_ms"] is None
    quick = ("canary", "run", "--interval", "100ms", "--timeout", "10s")
    report = home.folder / "canary.xml"
    ran = valid(home.ctl(*quick, "--count", "3", "--junit", str(report), "-o", "json"))
    assert (ran["failed_ratio"], ran["failed_ratio_low"], 0.3 < float(str(ran["failed_ratio_high"])) < 0.7) == (0, 0, True)
    cases = {case.get("name"): list(case) for case in ET.parse(report).getroot()}
    through = [f"{probe} through {name}" for probe in ("write", "read", "watch") for name in ("n1", "n2", "n3")]
    assert set(cases) == {"verdict", "lock", "election", "queue", *through}
    assert not any(cases.values())
    # Three rounds without a failure do not show that fewer than one in a hundred fail.
    few = valid(home.ctl(*quick, "--count", "3", "--fail-on", "1%", "-o", "json", code=3))
    assert "too few to tell it from 1.00%" in str(few["sentence"])
    assert home.run(*quick, "--count", "1", "--fail-on", "1").returncode == 64
    seen = home.json("canary", "status")
    assert (seen["outcome"], seen["windows"][0]["rounds"], seen["windows"][0]["failed"]) == ("ok", 6, 0)  # type: ignore[index]

    (host,) = own_hosts(1)
    port = free_port(host)
    with home.start(*quick, "--metrics", f"{host}:{port}", "-q") as running:

        def is_there() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex((host, port)) == 0 and SUCCEEDED in asked(host, port, "/metrics")

        until(is_there)
        text = asked(host, port, "/metrics")
        running.send_signal(2)
        assert running.wait(60) == 130
    assert SUCCEEDED in text
    for probe, member in (("lock", ""), ("election", ""), ("queue", ""), ("watch", "n3")):
        assert f'coordctl_canary_failures_total{{probe="{probe}",member="{member}"}} 0' in text

    home.kill("n3")
    worse = valid(home.ctl(*quick, "--count", "3", "--fail-on", "broken", "--junit", str(report), "-o", "json"))
    assert (worse["outcome"], worse["exit_code"]) == ("degraded", 0)
    assert valid(home.ctl(*quick, "--count", "8", "--fail-on", "20%", "-o", "json", code=1))["outcome"] == "degraded"
    after = home.json("canary", "status", code=1)
    assert "n3" in str(after["last_failure"])


def test_the_service_is_what_was_typed(home: Home) -> None:
    home.ctl("up", "--nodes", "1")
    made = home.json("canary", "install", "--interval", "100ms", "--print")
    assert "COORD_AUTH_TOKEN_FILE" not in str(made["unit"])
    with_token = home.json("canary", "install", "--print", COORD_AUTH_TOKEN_FILE="/etc/token")
    assert 'Environment="COORD_AUTH_TOKEN_FILE=/etc/token"' in str(with_token["unit"])
    assert str(made["path"]).endswith("/coordctl-canary-local.service")
    unit = configparser.ConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(str(made["unit"]))
    command = [*shlex.split(unit["Service"]["ExecStart"]), "--count", "2", "--timeout", "10s"]
    done = subprocess.run(command, env=home.environment, cwd="/", capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout[:2]) == (0, b"OK"), done.stderr
    if shutil.which("systemd-analyze"):
        path = home.folder / "coordctl-canary-local.service"
        path.write_text(str(made["unit"]))
        checked = subprocess.run(["systemd-analyze", "verify", str(path)], capture_output=True, text=True, timeout=60, check=False)
        assert path.name not in checked.stderr, checked.stderr
