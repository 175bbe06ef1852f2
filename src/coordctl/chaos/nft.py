"""How nftables are told and asked on this host: by `nft`, as root. Each fault has a table of its own, with its id in the name."""

import json
import os
import shutil
import subprocess
from typing import Any

from coordctl.chaos.ledger import Entry
from coordctl.local.fleet import Failed

SECONDS_MAX = 10.0


def lacks(fault: str) -> str:
    """Why no rule can be made on this host, and the remedy; "": they can."""
    if os.geteuid() != 0:
        return f"{fault} is a rule of nftables, which root alone may make: have `sudo = true` below [ssh] of the inventory"
    if _path() is None:
        return f"{fault} is a rule of nftables, and there is no nft: install nftables"
    done = _nft("list", "tables")
    return "" if done.returncode == 0 else f"{fault} is a rule of nftables, and nft says: {_words(done)}"


def table_of(entry: Entry) -> str:
    return f"coordctl_chaos_{entry.id}"


def tell(rules: str) -> str:
    """What is wrong, or "": all of it was done at once."""
    done = _nft("-f", "-", told=rules)
    return f"nft refuses it: {_words(done)}" if done.returncode else ""


def tables(entry: Entry) -> list[str]:
    """The families in which it has a table."""
    done = _nft("-j", "list", "tables")
    if done.returncode:
        raise Failed(f"nft does not say which tables there are: {_words(done)}")
    found = [one["table"] for one in json.loads(done.stdout)["nftables"] if "table" in one]
    return [str(one["family"]) for one in found if one["name"] == table_of(entry)]


def take_away(entry: Entry) -> None:
    for family in tables(entry):
        done = _nft("delete", "table", family, table_of(entry))
        if done.returncode and family in tables(entry):  # else somebody else healed it meanwhile
            raise Failed(f"nft does not take its table away: {_words(done)}")


def counted(entry: Entry, family: str, counter: str) -> tuple[int, int]:
    """(packets, bytes)"""
    done = _nft("-j", "list", "counter", family, table_of(entry), counter)
    found: list[dict[str, Any]] = (
        [] if done.returncode else [one["counter"] for one in json.loads(done.stdout)["nftables"] if "counter" in one]
    )
    return sum(int(one["packets"]) for one in found), sum(int(one["bytes"]) for one in found)


def _path() -> str | None:
    return shutil.which("nft", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def _nft(*arguments: str, told: str = "") -> "subprocess.CompletedProcess[str]":
    return subprocess.run([_path() or "nft", *arguments], input=told, capture_output=True, text=True, timeout=SECONDS_MAX, check=False)


def _words(done: "subprocess.CompletedProcess[str]") -> str:
    return (done.stderr.strip().splitlines() or [f"code {done.returncode}"])[0]
