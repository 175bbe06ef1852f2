"""Which code this is: for records that a machine writes."""

import hashlib
import platform
import subprocess

from coordnode import __version__
from tests.processes.local import SOURCE


def build() -> dict[str, str]:
    """The commit, and a digest of what really ran."""
    digest = hashlib.sha256()
    for path in sorted(SOURCE.rglob("*.py")):
        digest.update(path.relative_to(SOURCE).as_posix().encode() + path.read_bytes())
    commit = subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"], cwd=SOURCE, capture_output=True, text=True, check=False
    ).stdout.strip()
    return {"version": __version__, "commit": commit, "source": digest.hexdigest()[:16], "python": platform.python_version()}
