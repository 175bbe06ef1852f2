"""Every playbook on the members of a fleet, over SSH, one after the other, and what came of it.

    PYTHONPATH=src:. .venv/bin/python -m tests.hosts.playbooks [--only NAME …] [--init systemd|plain]

Needs root: hosts are network namespaces with an sshd each. Those that want five members get a fleet of their own.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import get_args

from tests.hosts import fleet
from tests.hosts.fleet import Hosts, Init
from tests.hosts.operator import Operator
from tests.processes.playbooks import playbooks, run_all

SETTINGS = """[settings]
fault-injection = "true"
snapshot-entries = "300"
keep-entries = "100"
"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.hosts.playbooks")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME")
    parser.add_argument("--init", choices=get_args(Init), default="systemd" if fleet.has_systemd() else "plain")
    asked = parser.parse_args()
    if reason := fleet.why_not():
        parser.error(reason)
    began, not_green = time.monotonic(), 0
    wanted = playbooks(asked.only)
    for nodes in (3, 5):
        some = [one for one in wanted if max(3, one.members_min) == nodes]
        if not some:
            continue
        with tempfile.TemporaryDirectory(prefix="playbooks-") as folder, Hosts.opened(nodes, asked.init) as hosts:
            operator = Operator(Path(folder), hosts)
            operator.environment["TMPDIR"] = folder
            operator.write(top=SETTINGS)
            operator.trust()
            operator.ctl("deploy", "--reason", "all playbooks are run")
            not_green += run_all(operator, some, "-c", "fleet", details=len(wanted) == 1)
            operator.close()
    print(f"{len(wanted)} playbooks over SSH, {not_green} not green, {time.monotonic() - began:.0f} s")
    return 1 if not_green else 0


if __name__ == "__main__":
    sys.exit(main())
