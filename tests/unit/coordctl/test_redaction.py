"""Secrets leave no machine; what is needed to find a cause does."""

import pytest

from coordctl.onhost.redaction import Redactor


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        (b'{"password":"hunter2","peer":7}', b'{"password":"***","peer":7}'),
        (b"PGPASSWORD=hunter2 psql", b"PGPASSWORD=*** psql"),
        (b"api_key: abc123, then", b"api_key: ***, then"),
        (b"Authorization: Basic dXNlcjpwYXNz", b"Authorization: Basic ***"),
        (b"sent bearer abcdefgh123", b"sent bearer ***"),
        (b"http://ops:hunter2@host/x", b"http://ops:***@host/x"),
        (b"saw eyJhbGciOiJIUzI1.eyJzdWIiOiIx.abc", b"saw ***"),
        (b"key AKIAABCDEFGHIJKLMNOP used", b"key *** used"),
        (b"before -----BEGIN RSA PRIVATE KEY----- MIIE", b"before ***"),
    ],
)
def test_secrets_are_hidden(raw: bytes, kept: bytes) -> None:
    redactor = Redactor()
    assert redactor.line(raw) == kept
    assert redactor.hidden == 1


@pytest.mark.parametrize(
    "raw", [b'{"event":"elected","term":3}', b"COORD_TOKEN=1856223411208193", b'{"key":"color","token":7}', b"tokens 1-9 were granted"]
)
def test_what_is_no_secret_stays(raw: bytes) -> None:
    redactor = Redactor()
    assert redactor.line(raw) == raw
    assert redactor.hidden == 0


def test_a_private_key_of_many_lines_is_hidden_to_its_end() -> None:
    redactor = Redactor()
    lines = [b"-----BEGIN PRIVATE KEY-----", b"MIIEvQIBADANBg", b"kqhkiG9w0BAQEF", b"-----END PRIVATE KEY-----", b"after"]
    assert [redactor.line(line) for line in lines] == [b"***", b"***", b"***", b"***", b"after"]
    assert redactor.hidden == 1
