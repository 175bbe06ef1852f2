"""Alert rules and dashboard ask for nothing that members do not tell, and each alert names a page that exists."""

import json
import re
from http.client import HTTPConnection
from pathlib import Path

from coordctl.local.clusters import host_and_port
from tests.processes.local import Home

ROOT = Path(__file__).resolve().parents[2]
ALERTS = (ROOT / "monitoring" / "alerts.yml").read_text(encoding="utf-8")
DASHBOARD = json.loads((ROOT / "monitoring" / "dashboard.json").read_text(encoding="utf-8"))
NAME = re.compile(r"\bcoordnode_\w+")


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
    assert [name for name in NAME.findall(re.sub(r"#.*", "", ALERTS)) if name not in names] == []
    bounds = set(re.findall(r'le="([^"]+)"', text))
    assert set(re.findall(r'le="([^"]+)"', ALERTS)) <= bounds


def test_each_alert_has_its_page() -> None:
    alerts = re.findall(r"- alert: (\w+)", ALERTS)
    pages = re.findall(r"runbook: (\S+)", ALERTS)
    assert len(alerts) == len(pages) > 10
    assert len(set(alerts)) == len(alerts)
    assert [page for page in pages if not (ROOT / page).is_file()] == []
