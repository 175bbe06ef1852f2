"""What a host says of itself: the question's text, and a parser of the answer that believes no more than it must. Pure but for the text."""

import inspect
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from coordctl.onhost import gather, question, reach, redaction, verify

PYTHONS = ("python3", "python3.14", "python3.13", "python3.12", "python3.11")
NO_PYTHON = "no python:"

FIND_PYTHON = f"""\
found=
for python in {" ".join(PYTHONS)}; do
    if path=$(command -v "$python"); then
        if "$path" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then break; fi
        found="$found $($path -V 2>&1)"
    fi
    path=
done
if [ -z "$path" ]; then echo "{NO_PYTHON}$found"; exit 3; fi
"""


def program(module: ModuleType, said: dict[str, object], along: Sequence[ModuleType] = ()) -> str:
    """A script that runs a module's main with what it is told; `along`: modules of ours that it imports."""
    told = json.dumps(json.dumps(said))
    text = "".join(_carried(one) for one in along) + inspect.getsource(module)
    return f"set -eu\n{FIND_PYTHON}exec \"$path\" -sSP - <<'COORDCTL_END'\n{text}\nmain(json.loads({told}))\nCOORDCTL_END\n"


def _carried(module: ModuleType) -> str:
    name = module.__name__
    source = f"exec({inspect.getsource(module)!r}, module.__dict__)"
    return f"import sys, types\nmodule = sys.modules[{name!r}] = types.ModuleType({name!r})\n{source}\n"


def question_text(said: dict[str, object]) -> str:
    return program(question, said)


def reach_text(said: dict[str, object]) -> str:
    return program(reach, said)


def verify_text(said: dict[str, object]) -> str:
    return program(verify, said)


def gather_text(said: dict[str, object]) -> str:
    return program(gather, said, [redaction])


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    name: str  # in the inventory
    offset_ms: float  # its clock less ours
    offset_error_ms: float
    hostname: str
    python: str
    version: str
    target: str  # Python and machine, as builds name it
    libc: str
    uid: int
    user: str
    base: str
    has_systemd: bool
    has_cron: bool
    has_useradd: bool
    has_account: bool
    files_max: int
    versions: tuple[str, ...]
    current: str
    speaks: dict[str, dict[str, Any] | None] = field(default_factory=dict)  # of each version, what its build says of itself
    upgrade: dict[str, Any] | None = None  # the journal of the last one; None: there was none
    operator: dict[str, Any] | None = None  # who has the lock; None: nobody
    digests: dict[str, str]
    unit: str  # digest of the unit's file; "": there is none
    crontab: str
    marker: dict[str, Any] | None  # which member this host is; None: none yet
    has_data: bool
    former: tuple[str, ...]  # members that are none any more, whose data was put aside
    running: dict[str, Any] | None  # what the member was started with; None: it does not run
    boots: bool
    port_taken: str
    free_bytes: int
    can_write: bool
    sync_ms: float | None
    sync_trouble: str

    @property
    def is_root(self) -> bool:
        return self.uid == 0

    def place_of(self, sent: str) -> str:
        """Until it is used: whoever logs in may write there, whoever runs scripts may read; and no other host with the same home does."""
        name = f".coordctl-{self.name}-{sent}"
        return f"/var/tmp/{name}" if self.is_root else name


def parse(name: str, text: str, *, asked_unix_ns: int, answered_unix_ns: int) -> HostFacts:
    """Raises ValueError when it is no answer to the question."""
    found = json.loads(text.strip().splitlines()[-1])
    between_ns = answered_unix_ns - asked_unix_ns
    offset_ns = found["unix_ns"] - (asked_unix_ns + between_ns // 2)
    direct = {
        key: found[key]
        for key in (
            *("hostname", "python", "version", "libc", "uid", "user", "base", "has_systemd", "has_cron", "has_useradd", "has_account"),
            *("files_max", "current", "digests", "unit", "crontab", "marker", "has_data", "running", "boots", "port_taken"),
            *("speaks", "upgrade", "operator", "free_bytes", "can_write", "sync_ms", "sync_trouble"),
        )
    }
    return HostFacts(
        name=name,
        offset_ms=offset_ns / 1e6,
        offset_error_ms=between_ns / 2e6,
        target=f"{found['abi']}-{found['platform']}",
        versions=tuple(found["versions"]),
        former=tuple(found["former"]),
        **direct,
    )
