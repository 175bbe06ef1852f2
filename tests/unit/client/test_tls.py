"""A certificate and its key are two files: who reads while they are replaced looks again."""

import ssl
from typing import cast

import pytest

from coordnode.client import tls
from coordnode.errors import BadRequest


class Context:
    """Of whose pairs the first do not fit."""

    def __init__(self, misfits: int, reason: str = "KEY_VALUES_MISMATCH") -> None:
        self.misfits = misfits
        self.reason = reason

    def load_verify_locations(self, path: str) -> None:
        pass

    def load_cert_chain(self, certificate: str, key: str) -> None:
        if self.misfits:
            self.misfits -= 1
            error = ssl.SSLError(1, "no pair")
            error.reason = self.reason
            raise error


def load(context: Context) -> None:
    tls.loaded(cast("ssl.SSLContext", context), "folder")


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "PAIR_WAITS_S", (0.0, 0.0))


def test_a_pair_that_is_being_replaced_is_read_again() -> None:
    for misfits in range(3):
        load(Context(misfits))


def test_files_that_never_fit_are_refused_by_name() -> None:
    with pytest.raises(BadRequest, match=r"folder: certificate\.pem and key\.pem cannot be used: KEY_VALUES_MISMATCH"):
        load(Context(3))


def test_what_waiting_cannot_mend_is_not_waited_for() -> None:
    context = Context(2, "NO_START_LINE")
    with pytest.raises(BadRequest, match="NO_START_LINE"):
        load(context)
    assert context.misfits == 1
