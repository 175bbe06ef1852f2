"""Alert rules and dashboard ask for nothing that members do not tell, and each alert names a page that exists."""

import json
import re
from http.client import HTTPConnection
from pathlib import Path

from coordctl.canary.judgement import Tally
from coordctl.canary.samples import OK, WRITE, Round, Sample
from coordctl.local.clusters import host_and_port
from coordctl.operations.canary_metrics import exposition
from tests.processes.local import Home

ROOT = Path(__file__).resolve().parents[2]
ALERTS = (ROOT / "monitoring" / "alerts.yml").read_text(encoding="utf-8")
DASHBOARD = json.loads((ROOT / "monitoring" / "dashboard.json").read_text(encoding="utf-8"))
NAME = re.compile(r"\bcoordnode_\w+")
WITH_CERTIFICATES = {"coordnode_certificate_seconds_left"}  # told only by members that have some: test_tls
OF_THE_CANARY = re.compile(r"\bcoordctl_canary_\w+")


def told(home: Home) -> str:
    """By the leader, which has all there is."""
    leader = home.json("status")["leader"]
    address = next(str(one["address"]) for one in home.members() if one["name"] == leader)
    connection = HTTPConnection(*host_and_port(address), timeout=30)
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def test_every_metric_that_is_asked_for_is_told(shared: Home) -> None:
    shared.ctl("kv", "put", "color", "blue")
    text = told(shared)
    names = {re.split(r"[{ ]", line)[0] for line in text.splitlines() if not line.startswith("#")}
    exprs = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    assert len(exprs) > 12
    assert [name for expr in exprs for name in NAME.findall(expr) if name not in names] == []
    assert {name for name in NAME.findall(re.sub(r"#.*", "", ALERTS)) if name not in names} == WITH_CERTIFICATES
    bounds = set(re.findall(r'le="([^"]+)"', text))
    exact = set(re.findall(r'le="([^"]+)"', ALERTS))
    assert exact <= bounds
    assert not [bound for bound in exact if float(bound).is_integer()]  # Prometheus 3 writes 2 as 2.0
    either = re.findall(r'le=~"([^"]+)"', ALERTS)
    assert either
    for pattern in either:
        assert [bound for bound in bounds if re.fullmatch(pattern.replace(r"\\", "\\"), bound)]


def test_every_metric_of_the_canary_that_is_asked_for_is_told() -> None:
    tally = Tally()
    tally.add(Round((Sample(WRITE, "n1", OK, 1.0),), ()), 1)
    text = exposition(tally)
    asked = set(OF_THE_CANARY.findall(ALERTS))
    assert asked == {"coordctl_canary_rounds_total", "coordctl_canary_last_success_timestamp_seconds"}
    assert [name for name in asked if f"\n{name}{{" not in text] == []
    assert 'or absent(coordctl_canary_last_success_timestamp_seconds{probe="write"})' in ALERTS  # which a canary that never wrote has not
    outcomes = {word for found in re.findall(r'outcome[=!]=?~?"([^"]+)"', ALERTS) for word in found.split("|")}
    assert outcomes <= set(re.findall(r'outcome="(\w+)"', text))


def test_each_alert_has_its_page() -> None:
    alerts = re.findall(r"- alert: (\w+)", ALERTS)
    pages = re.findall(r"runbook: (\S+)", ALERTS)
    assert len(alerts) == len(pages) > 10
    assert len(set(alerts)) == len(alerts)
    assert [page for page in pages if not (ROOT / page).is_file()] == []
