"""What users' own tests get: a fixture that is there once the package is installed."""

import os
import subprocess
import sys
from pathlib import Path

USERS_TEST = """
def test_counts(coordnode_cluster):
    assert coordnode_cluster.counters.add("visits") == 1

def test_begins_empty(coordnode_cluster, coordnode_endpoints):
    assert coordnode_cluster.counters.get("visits") == 0
    assert coordnode_endpoints.startswith("127.0.0.1:")
"""


def test_users_get_a_fresh_member_for_each_test(tmp_path: Path) -> None:
    (tmp_path / "test_users.py").write_text(USERS_TEST, encoding="utf-8")
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--basetemp={tmp_path / 'base'}", f"--rootdir={tmp_path}"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
    left = [path for path in (tmp_path / "base").rglob("*") if path.is_file()]
    assert left == [], "a member's files are left behind"


def test_it_costs_projects_that_do_not_use_it_nothing() -> None:
    code = "import sys, coordctl.pytest_plugin; print([name for name in sys.modules if name.startswith(('coordnode', 'msgspec'))])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
