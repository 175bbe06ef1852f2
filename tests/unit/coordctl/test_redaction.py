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
        (b"token coord_4f0c8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c3d2e1f0a9b8c7d", b"token ***"),
        (b"exec psql --password hunter2 -h db", b"exec psql --password *** -h db"),
        (b'{"argv":["psql","--password","hunter2"]}', b'{"argv":["psql","--password","***"]}'),
        (b"mysql -phunter2 -u root", b"mysql -p*** -u root"),
        (b"dial redis://:hunter2@cache:6379/0", b"dial redis://:***@cache:6379/0"),
        (b"postgres://bob:hun/ter2@db/x", b"postgres://bob:***@db/x"),
        (b"postgres://bob:p@ss@db/x", b"postgres://bob:***@db/x"),
        (b"GET /cb?access_token=hunter2&x=1", b"GET /cb?access_token=***&x=1"),
        (b"refresh_token=hunter2abc", b"refresh_token=***"),
        (b"COORD_TOKEN=hunter2", b"COORD_TOKEN=***"),
        (b"X-Vault-Token: s.hunter2hunter2", b"X-Vault-Token: ***"),
        (b"Cookie: session=hunter2; other=hunter3", b"Cookie: ***"),
        (b'{"msg":"{\\"password\\":\\"hunter2\\"}","peer":7}', b'{"msg":"{\\"password\\":\\"***\\"}","peer":7}'),
        (b"Authorization: Token hunter2", b"Authorization: Token ***"),
        (b"Authorization: Negotiate YIIhunter2", b"Authorization: Negotiate ***"),
        (b'Authorization: Digest username="bob", response="66aa"', b"Authorization: Digest ***"),
        (b'{"Authorization":["Basic aHVudGVyMjpw"],"peer":7}', b'{"Authorization":["Basic ***"],"peer":7}'),
        (b'curl -H "Authorization: Token hunter2" http://host', b'curl -H "Authorization: Token ***" http://host'),
        (b'password="a b" user=bob', b'password="***" user=bob'),
        (b"password=b'hunter2'", b"password=b'***'"),
        (b"password: hunter2,rest", b"password: ***"),
        (b"MYSQL_PWD=hunter2", b"MYSQL_PWD=***"),
        (b"saw ASIAIOSFODNN7EXAMPLE", b"saw ***"),
        (b"saw xoxb-123456789012-hunter2", b"saw ***"),
        (b"saw glpat-hunter2hunter2hunter2", b"saw ***"),
        (b"saw github_pat_11AAAAAAA_hunter2hunter2hunter2", b"saw ***"),
        (b"-----BEGIN PGP PRIVATE KEY BLOCK-----", b"***"),
        (b"before -----BEGIN RSA PRIVATE KEY----- MIIE", b"before ***"),
    ],
)
def test_secrets_are_hidden(raw: bytes, kept: bytes) -> None:
    redactor = Redactor()
    assert redactor.line(raw) == kept
    assert redactor.hidden == 1


@pytest.mark.parametrize(
    "raw",
    [
        b'{"event":"elected","term":3}',
        b"COORD_TOKEN=1856223411208193",
        b'{"key":"color","token":7}',
        b"tokens 1-9 were granted",
        b"granted token=17 and fencing token 5",
        b'{"msg":"{\\"token\\":17}","password":null}',
        b"auth: invalid token: expired",
        b"PWD=/home/bob OLDPWD=/",
        b"GET http://127.0.0.1:2379/v3?mail=a@b",
        b"digest 66aa12bc66aa12bc, chain 7f3c9d2e7f3c9d2e",
    ],
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


def test_what_stands_before_a_private_key_is_looked_through_too() -> None:
    redactor = Redactor()
    assert redactor.line(b"password=hunter2 -----BEGIN PRIVATE KEY-----") == b"password=*** ***"
    assert redactor.hidden == 2


def test_of_several_secrets_in_a_list_none_stays() -> None:
    redactor = Redactor()
    assert redactor.line(b'{"Authorization":["Basic a","Basic b"],"x":1}') == b'{"Authorization":["Basic ***","Basic ***"],"x":1}'
    assert redactor.hidden == 2


def test_what_was_hidden_on_a_host_is_not_counted_again() -> None:
    redactor = Redactor()
    lines = [b'{"password":"***"}', b"Authorization: Basic ***", b"x://a:***@b", b"--password ***"]
    assert [redactor.line(line) for line in lines] == lines
    assert redactor.hidden == 0
