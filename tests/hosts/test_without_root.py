"""A fleet of which nobody is root: as whoever runs the tests; where that is root, as another user, who sees none of root's own files."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hosts.fleet import ROOT

SUITE = Path(__file__).with_name("without_root.py")
NEEDED = ("/usr/sbin/sshd", "ssh-keygen")
UID = 61000
AS_ANOTHER = """
set -e
folder=$1
mount --bind "$folder/passwd" /etc/passwd
count=0
for path in $2; do  # what is needed and lies below a folder that is root's alone
    count=$((count + 1)); mkdir "$folder/$count"; mount --bind "$path" "$folder/$count"
done
mount -t tmpfs -o mode=755 none /root
count=0
for path in $2; do
    count=$((count + 1)); mkdir -p "$path"; mount --bind "$folder/$count" "$path"
done
cd "$3"
shift 3
code=0  # this shell stays: as the first process it has whatever lost its parent end for good
setpriv --reuid {uid} --regid {uid} --clear-groups --no-new-privs "$@" || code=$?
exit $code
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where another user may write, too."""
    made = Path(tempfile.mkdtemp(prefix="without-root-"))
    yield made
    shutil.rmtree(made)


def as_another(command: list[str], folder: Path) -> list[str]:
    (folder / "passwd").write_text(Path("/etc/passwd").read_text() + f"ops:x:{UID}:{UID}::{folder}:/bin/sh\n")
    os.chown(folder, UID, UID)
    needed = [path for path in dict.fromkeys((str(ROOT), sys.prefix, sys.base_prefix)) if path.startswith("/root/")]
    spaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    return [*spaces, "sh", "-c", AS_ANOTHER.format(uid=UID), "sh", str(folder), " ".join(needed), str(ROOT), *command]


def test_from_bare_hosts_through_changes_and_back_from_a_backup(folder: Path) -> None:
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if missing:
        pytest.skip(f"there is no {', '.join(missing)} here")
    command = [sys.executable, "-B", "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", f"--basetemp={folder}/runs", str(SUITE)]
    environment = {**os.environ, "HOME": str(folder), "TMPDIR": str(folder)}
    is_root = os.geteuid() == 0
    done = subprocess.run(
        as_another(command, folder) if is_root else command, capture_output=True, text=True, env=environment, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
