"""Files beside the screen that a long run is to write in its end: whether they can be written is known before it begins."""

import os
import stat
import tempfile

from coordctl.report import screen
from coordnode.errors import BadRequest


def check_file(option: str, path: str) -> None:
    """Raises BadRequest. What is there stays as it is; what is no plain file, such as a pipe, is not touched before its time."""
    try:
        try:
            if not stat.S_ISREG(os.stat(path).st_mode) and not os.path.isdir(path):
                return
        except FileNotFoundError:
            with open(path, "xb"):
                os.unlink(path)
        else:
            with open(path, "ab"):
                pass
    except OSError as error:
        raise _refused(option, path, error) from None


def check_folder(option: str, path: str) -> None:
    """Raises BadRequest. It is there afterwards."""
    try:
        os.makedirs(path, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise _refused(option, path, error) from None


def _refused(option: str, path: str, error: OSError) -> BadRequest:
    return BadRequest(f"{option} {path}: it cannot be written: {error.strerror}: give another path; nothing was done yet")


def write(option: str, path: str, text: str) -> None:
    """What came out is on the screen already, and counts: that it cannot be written here, too, is only told."""
    try:
        with open(path, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError as error:
        screen.error(f"{option} {path} could not be written: {error.strerror}")
