"""The resource's side of a lock: remembers the highest token that was admitted, durably, and admits none below it."""

import fcntl
import os
from contextlib import suppress

from coordnode.errors import BadRequest, CoordError, DiskFailed, Unknown

TOKEN_MAX = 2**53 - 1
CONTENT_BYTES_MAX = 64


class Undecided(CoordError):
    """What is in the file is not what we wrote."""

    definite = True


def admit(path: str, token: int) -> int:
    """The highest token admitted so far, this one included: the token is admitted if that is not higher. Durable before it returns."""
    if not 0 < token <= TOKEN_MAX:
        raise BadRequest(f"{token} is no token: tokens go from 1 to {TOKEN_MAX}")
    folder = os.open(os.path.dirname(os.path.abspath(path)), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)  # not the file's own lock: that would stay with the file that is replaced
        highest = _read(path)
        if token > highest:
            _replace(path, folder, token)
        return max(token, highest)
    finally:
        os.close(folder)


def _read(path: str) -> int:
    try:
        with open(path, "rb") as file:
            content = file.read(CONTENT_BYTES_MAX)
    except FileNotFoundError:
        return 0
    digits = content.removesuffix(b"\n")
    if not digits.isdigit() or content == digits or not 0 < int(digits) <= TOKEN_MAX:
        raise Undecided(f"{path} holds no token, but {content!r}: nobody is admitted; put the highest known token there, and a newline")
    return int(digits)


def _replace(path: str, folder: int, token: int) -> None:
    beside = f"{path}.{os.getpid()}.tmp"
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            os.write(descriptor, b"%d\n" % token)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(beside, path)
    except OSError as error:
        with suppress(OSError):
            os.unlink(beside)
        raise DiskFailed(f"{path} could not be written ({error.strerror}): nobody is admitted") from None
    try:
        os.fsync(folder)
    except OSError as error:
        raise Unknown(f"{path} was written, but may not survive a power cut ({error.strerror}): try again") from None
