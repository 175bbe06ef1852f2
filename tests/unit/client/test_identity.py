"""Who a client says it is: operators read it beside a lock that is held."""

import os
import pwd

import pytest

from coordnode.client.identity import who


def test_a_name_even_where_the_environment_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER", "ops")
    assert who().startswith("ops@")
    assert who().endswith(f", pid {os.getpid()}")
    monkeypatch.delenv("USER")
    monkeypatch.delenv("LOGNAME", raising=False)
    assert who().startswith(pwd.getpwuid(os.getuid()).pw_name + "@")
    monkeypatch.setattr(os, "getuid", lambda: 2**31 - 7)
    assert who().startswith(f"{2**31 - 7}@")


def test_a_user_whose_name_is_no_text_introduces_itself_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER", "j\udcfcrgen")
    assert who().startswith("j?rgen@")
