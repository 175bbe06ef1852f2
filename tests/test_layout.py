"""Holds the table of who may import whom, and what a pure room may not touch. Each rule is shown red on a small tree first."""

import ast
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parent.parent / "src"

EVERYONE = {"address", "limits", "errors", "formats", "ids", "light", "ranges"}
RAFT_TYPES = {"raft.blobs", "raft.entry", "raft.messages", "raft.ready"}
SERVICE_TYPES = {"services.commands", "services.dialogue", "services.callers"}

# Room of coordnode -> the rooms (or single modules) of coordnode that it may import, besides itself and EVERYONE.
COORDNODE: dict[str, set[str]] = {
    "address": set(),
    "limits": set(),
    "errors": set(),
    "formats": set(),
    "ids": set(),
    "light": set(),
    "ranges": set(),
    "streams": set(),
    "raft": set(),
    "services": {"raft.blobs", "raft.entry"},
    "replica": {"raft", "services"},
    "wire": RAFT_TYPES | SERVICE_TYPES,
    "checking": set(),
    "storage": {"wire", "services.commands.records", *RAFT_TYPES, "replica.effects", "replica.events", "replica.known"},
    "net": {"wire", "client.tls", *RAFT_TYPES, *SERVICE_TYPES},
    "archives": {"services", "storage", *RAFT_TYPES},
    "annals": {"services", "storage.reader", *RAFT_TYPES},
    "driver": {"replica", "wire", *RAFT_TYPES, *SERVICE_TYPES},
    "config": set(),
    "harm": {"storage", "client.clock"},
    "client": {"wire", "raft.entry", *SERVICE_TYPES},
    "api": {"client.requests", *SERVICE_TYPES},
    "simulator": {"raft", "services", "replica", "wire", "checking", "storage", "driver", "client", "config"},
    "node": {"raft", "services", "replica", "wire", "storage", "archives", "harm", "net", "driver", "client", "api", "config"},
    "__main__": {"node", "simulator", "config", "streams"},
}

# What coordctl sees of coordnode.
# config: an inventory's settings are those of its members, checked by the same table.
COORDNODE_FOR_COORDCTL = {
    "address",
    "annals",
    "archives",
    "client",
    "checking",
    "simulator",
    "storage.reader",
    "harm",
    "config",
    "errors",
    "formats",
    "ids",
    "light",
    "ranges",
    "streams",
}

# Room of coordctl -> the rooms of coordctl that it may import.
COORDCTL: dict[str, set[str]] = {
    "__main__": {"commands", "flags"},
    "commands": {
        "__main__",
        "operations",
        "report",
        "results",
        "inventory",
        "authority",
        "runner",
        "hot",
        "local",
        "flags",
        "chaos",
        "load",
    },
    "operations": {
        *("local", "steps", "facts", "transport", "chaos", "logs", "canary", "load", "rolling", "engines"),
        *("inventory", "authority", "onhost", "results"),
    },
    "steps": {"facts", "onhost", "transport", "inventory", "results"},
    "facts": {"onhost", "results"},
    "rolling": {"facts"},
    "transport": {"inventory", "results"},
    "runner": {"hot", "local"},
    "chaos": {"steps", "facts", "transport", "engines", "inventory", "results", "local", "onhost.start"},
    "logs": {"facts", "transport", "results"},
    "canary": {"engines", "results"},
    "load": set(),
    "engines": {"hot", "local", "runner"},
    "hot": {"local"},
    "local": {"inventory"},  # members that somebody else runs are known by their inventory
    "inventory": {"flags"},
    "authority": set(),
    "onhost": set(),
    "flags": set(),
    "results": set(),
    "report": {"results", "flags"},
    "pytest_plugin": {"operations", "local"},
}

PURE_IN_CLIENT = (
    "actions",
    "addresses",
    "agenda",
    "calls",
    "connection",
    "core",
    "inboxes",
    "lease",
    "ownership",
    "link",
    "renewal",
    "requests",
    "route",
    "sessions",
    "subscriptions",
    "views",
)
PURE = ("raft", "services", "replica", "wire", "checking", "api", *[f"client/{name}.py" for name in PURE_IN_CLIENT])
PURE_IN_LOGS = (
    *("align", "causal", "comparing", "evidence", "explain", "lines", "lives", "mining", "rates", "replicated"),
    *("rules", "member_rules", "host_rules", "cluster_rules"),
)
PURE_IN_COORDCTL = ("rolling", "facts/pairs.py", "onhost/redaction.py", *[f"logs/{name}.py" for name in PURE_IN_LOGS])
REPLICATED = ("raft", "services")
PRINTS = (
    *("coordctl/report", "coordctl/onhost", "coordctl/__main__.py"),
    *("coordnode/__main__.py", "coordnode/streams.py", "coordnode/simulator", "coordnode/node"),
)

IMPURE_MODULES = frozenset(
    {
        *("asyncio", "concurrent", "multiprocessing", "queue", "sched", "signal", "subprocess", "threading", "uvloop"),
        *("glob", "io", "mmap", "os", "pathlib", "shutil", "sys", "tempfile"),
        *("http", "select", "selectors", "socket", "socketserver", "ssl", "urllib"),
        *("datetime", "locale", "logging", "platform", "secrets", "time", "uuid"),
    }
)
IMPURE_CALLS = frozenset({"open", "input", "print", "hash", "id", "breakpoint", "exec", "eval", "__import__"})
ORDERED_BY = frozenset({"list", "tuple", "enumerate", "iter", "zip", "map", "filter", "reversed", "dict", "next"})


def files(root: Path, *places: str) -> Iterator[tuple[str, ast.Module]]:
    """Every module below these places of `root`, as (path relative to root, parsed)."""
    for place in places:
        path = root / place
        found = sorted(path.rglob("*.py")) if path.is_dir() else [path] if path.exists() else []
        for file in found:
            yield file.relative_to(root).as_posix(), parsed(file)


@cache
def parsed(file: Path) -> ast.Module:
    """Once for all rules, and no longer than they take."""
    return ast.parse(file.read_text(encoding="utf-8"))


@pytest.fixture(scope="module", autouse=True)
def _forget() -> Iterator[None]:
    yield
    parsed.cache_clear()


def imports(module: ast.Module, package: str) -> Iterator[tuple[int, str]]:
    """(line, dotted name below `package`) for each import of it; `from p.a import b` gives a.b."""
    for node in statements(module):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == package:
                    yield node.lineno, alias.name.partition(".")[2]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative imports hide the room"
            if node.module is not None and node.module.split(".")[0] == package:
                inner = node.module.partition(".")[2]
                for alias in node.names:
                    yield node.lineno, f"{inner}.{alias.name}" if inner else alias.name


def statements(module: ast.Module) -> Iterator[ast.stmt]:
    """All, however deep: a tenth of what `ast.walk` finds."""
    waiting: list[ast.AST] = [module]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.stmt):
            yield node
        for field in ("body", "orelse", "finalbody", "handlers", "cases"):
            inner = getattr(node, field, ())
            waiting += inner if isinstance(inner, list) else ()


def room_of(path: str) -> str:
    """The room of a file, from its path below the package: raft/core.py -> raft, driver.py -> driver."""
    return path.split("/")[0].removesuffix(".py")


def is_allowed(name: str, allowed: set[str]) -> bool:
    return any(name == entry or name.startswith(entry + ".") for entry in allowed)


# --- the rules: each takes a source folder and says what is wrong there --------------------------------------------


def wrong_imports(root: Path) -> list[str]:
    wrong = []
    for path, module in files(root, "coordnode"):
        room = room_of(path.removeprefix("coordnode/"))
        if room == "__init__":
            continue
        if room not in COORDNODE:
            wrong.append(f"{path}: the table knows no room {room}")
            continue
        for line, name in imports(module, "coordnode"):
            if not is_allowed(name, COORDNODE[room] | EVERYONE | {room, "__version__"}):
                wrong.append(f"{path}:{line}: {room} may not import {name}")
        wrong += [f"{path}:{line}: coordnode never imports coordctl" for line, _ in imports(module, "coordctl")]
    for path, module in files(root, "coordctl"):
        room = room_of(path.removeprefix("coordctl/"))
        if room == "__init__":
            continue
        if room not in COORDCTL:
            wrong.append(f"{path}: the table knows no room {room}")
            continue
        for line, name in imports(module, "coordctl"):
            if not is_allowed(name, COORDCTL[room] | {room}):
                wrong.append(f"{path}:{line}: {room} may not import {name}")
        for line, name in imports(module, "coordnode"):
            if not is_allowed(name, COORDNODE_FOR_COORDCTL | {"__version__"}):
                wrong.append(f"{path}:{line}: coordctl may not see {name}")
    return wrong


def impure(root: Path) -> list[str]:
    wrong = []
    for path, module in (*files(root / "coordnode", *PURE), *files(root / "coordctl", *PURE_IN_COORDCTL)):
        for node in ast.walk(module):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
                if node.module == "random" and any(alias.name != "Random" for alias in node.names):
                    wrong.append(f"{path}:{node.lineno}: chance comes in as a random.Random")
            wrong += [f"{path}:{node.lineno}: imports {name}" for name in names if name.split(".")[0] in IMPURE_MODULES]  # type: ignore[attr-defined]
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "random" and node.attr != "Random":
                wrong.append(f"{path}:{node.lineno}: chance comes in as a random.Random, not random.{node.attr}")
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in IMPURE_CALLS:
                wrong.append(f"{path}:{node.lineno}: calls {node.func.id}()")
    return wrong


def sets_walked(root: Path) -> list[str]:
    """Iteration over a set display, set(...), or a name that this file declares or fills as a set."""
    wrong = []
    for path, module in files(root / "coordnode", *PURE):
        known, order_free = _set_names(module), _order_free(module)
        for node in ast.walk(module):
            walked: list[ast.expr] = []
            if isinstance(node, ast.For | ast.comprehension):
                walked = [node.iter]
            elif isinstance(node, ast.Starred):
                walked = [node.value]
            elif (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ORDERED_BY) or (
                isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("join", "extend")
            ):
                walked = list(node.args)
            if isinstance(node, ast.Starred | ast.comprehension) and node in order_free:
                continue
            wrong += [f"{path}:{expression.lineno}: walks a set" for expression in walked if _is_set(expression, known)]
    return wrong


def _name_of(node: ast.expr) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return node.attr
    return None


def _set_names(module: ast.Module) -> frozenset[str]:
    names = []
    for node in ast.walk(module):
        if isinstance(node, ast.AnnAssign | ast.arg) and node.annotation is not None:
            annotation = ast.unparse(node.annotation)
            if annotation.split("[")[0] in ("set", "frozenset", "AbstractSet"):
                names.append(node.arg if isinstance(node, ast.arg) else _name_of(node.target))
        elif isinstance(node, ast.Assign) and _is_set(node.value, frozenset()):
            names.extend(_name_of(target) for target in node.targets)
    return frozenset(name for name in names if name is not None)


def _is_set(node: ast.expr, known: frozenset[str]) -> bool:
    if isinstance(node, ast.Set | ast.SetComp):
        return True
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id in ("set", "frozenset")
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr | ast.BitAnd | ast.Sub | ast.BitXor):
        return _is_set(node.left, known) or _is_set(node.right, known)
    name = _name_of(node)
    return name is not None and name in known


def _order_free(module: ast.Module) -> set[ast.AST]:
    """Stars and comprehensions that only feed something whose result does not depend on the order."""
    order_free = frozenset({"sorted", "set", "frozenset", "len", "sum", "min", "max", "any", "all"})
    found: set[ast.AST] = set()
    for node in ast.walk(module):
        if isinstance(node, ast.Set):
            found.update(node.elts)
        if isinstance(node, ast.SetComp):
            found.update(node.generators)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in order_free:
            for argument in node.args:
                if isinstance(argument, ast.GeneratorExp | ast.ListComp):
                    found.update(argument.generators)
    return found


def floats(root: Path) -> list[str]:
    wrong = []
    for path, module in files(root / "coordnode", *REPLICATED):
        for node in ast.walk(module):
            if isinstance(node, ast.Constant) and isinstance(node.value, float):
                wrong.append(f"{path}:{node.lineno}: a float")
            elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
                wrong.append(f"{path}:{node.lineno}: / makes a float")
            elif isinstance(node, ast.Name) and node.id == "float":
                wrong.append(f"{path}:{node.lineno}: float")
    return wrong


def prints(root: Path) -> list[str]:
    wrong = []
    for path, module in files(root, "coordctl", "coordnode"):
        if path.startswith(PRINTS):
            continue
        for node in ast.walk(module):
            is_print = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
            is_stream = isinstance(node, ast.Attribute) and node.attr in ("stdout", "stderr", "echo", "secho")
            if is_print or (is_stream and isinstance(node.value, ast.Name) and node.value.id in ("sys", "click")):  # type: ignore[attr-defined]
                wrong.append(f"{path}:{node.lineno}: prints")  # type: ignore[attr-defined]
    return wrong


DIGITS_OF_BYTES = ("coordctl/operations/fencing.py", "coordnode/api/queues.py")  # which are those of ASCII and no others


def digits_that_are_no_number(root: Path) -> list[str]:
    """ "²".isdigit() is true, and int("²") raises ValueError."""
    wrong = []
    for path, module in files(root, "coordctl", "coordnode"):
        calls = [node for node in ast.walk(module) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
        guarded = {node.lineno for node in calls if node.func.attr == "isascii"}  # type: ignore[attr-defined]
        if path not in DIGITS_OF_BYTES:
            wrong += [
                f"{path}:{node.lineno}: isdigit() may be no number: isdecimal()"
                for node in calls
                if node.func.attr == "isdigit" and node.lineno not in guarded  # type: ignore[attr-defined]
            ]
    return wrong


def undocumented(root: Path) -> list[str]:
    """Every file begins with a docstring; every room is a package whose __init__ has one."""
    wrong = [f"{path}: does not say what it owns" for path, module in files(root, "coordnode", "coordctl") if not ast.get_docstring(module)]
    for package in ("coordnode", "coordctl"):
        for folder in sorted((root / package).rglob("*")):
            if folder.is_dir() and any(folder.glob("*.py")) and not (folder / "__init__.py").exists():
                wrong.append(f"{folder.relative_to(root).as_posix()}: a room without __init__.py")
    return wrong


RULES: list[tuple[Callable[[Path], list[str]], dict[str, str], str]] = [
    (wrong_imports, {"coordnode/raft/core.py": "from coordnode.services import commands"}, "raft may not import services.commands"),
    (wrong_imports, {"coordnode/wire/frames.py": "import coordnode.raft.core"}, "wire may not import raft.core"),
    (wrong_imports, {"coordnode/simulator/world.py": "from coordnode import net"}, "simulator may not import net"),
    (wrong_imports, {"coordnode/cellar/wine.py": ""}, "the table knows no room cellar"),
    (wrong_imports, {"coordnode/node/inbox.py": "import coordctl.report"}, "coordnode never imports coordctl"),
    (wrong_imports, {"coordctl/operations/wal.py": "from coordnode.storage import wal"}, "coordctl may not see storage.wal"),
    (wrong_imports, {"coordctl/report/table.py": "from coordctl.operations import wal"}, "report may not import operations.wal"),
    (impure, {"coordnode/raft/core.py": "import time"}, "imports time"),
    (impure, {"coordnode/client/core.py": "from os import urandom"}, "imports os"),
    (impure, {"coordnode/raft/core.py": "import random\nx = random.random()"}, "not random.random"),
    (impure, {"coordnode/raft/core.py": "from random import choice"}, "chance comes in"),
    (impure, {"coordnode/services/kv.py": "x = hash('a')"}, "calls hash()"),
    (impure, {"coordctl/logs/mining.py": "import os"}, "imports os"),
    (impure, {"coordnode/checking/models.py": "def f():\n    open('x')"}, "calls open()"),
    (sets_walked, {"coordnode/raft/core.py": "for x in {1, 2}:\n    pass"}, "walks a set"),
    (sets_walked, {"coordnode/raft/core.py": "a = [x for x in set(b)]"}, "walks a set"),
    (sets_walked, {"coordnode/raft/core.py": "a: set[int] = b\nc = list(a)"}, "walks a set"),
    (
        sets_walked,
        {"coordnode/raft/core.py": "class A:\n    def f(self):\n        self.a = set()\n        return [*self.a]"},
        "walks a set",
    ),
    (sets_walked, {"coordnode/raft/core.py": "def f(a: frozenset[int]):\n    for x in a - {1}:\n        pass"}, "walks a set"),
    (floats, {"coordnode/services/kv.py": "x = 0.5"}, "a float"),
    (floats, {"coordnode/raft/core.py": "x = 1 / 2"}, "makes a float"),
    (prints, {"coordctl/operations/wal.py": "print(1)"}, "prints"),
    (prints, {"coordnode/storage/wal.py": "import sys\nsys.stderr.write('x')"}, "prints"),
    (digits_that_are_no_number, {"coordctl/flags.py": "def f(a):\n    return int(a) if a.isdigit() else 0"}, "may be no number"),
    (undocumented, {"coordnode/raft/core.py": "x = 1"}, "does not say what it owns"),
    (undocumented, {"coordnode/raft/core.py": '"""Owns x."""'}, "a room without __init__.py"),
]


@pytest.mark.parametrize(
    ("rule", "tree", "complaint"), RULES, ids=[f"{rule.__name__}-{number}" for number, (rule, _, _) in enumerate(RULES)]
)
def test_each_rule_can_be_broken(rule: Callable[[Path], list[str]], tree: dict[str, str], complaint: str, tmp_path: Path) -> None:
    for path, text in tree.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    assert any(complaint in wrong for wrong in rule(tmp_path)), rule(tmp_path)


def test_order_free_uses_of_sets_are_allowed(tmp_path: Path) -> None:
    (tmp_path / "coordnode/raft").mkdir(parents=True)
    (tmp_path / "coordnode/raft/core.py").write_text(
        "a: set[int] = set()\nb = sorted({*a, 1})\nc = any(x for x in a)\nd = 1 in a or len(a)\n"
    )
    assert sets_walked(tmp_path) == []


@pytest.mark.parametrize(
    "rule", [wrong_imports, impure, sets_walked, floats, prints, digits_that_are_no_number, undocumented], ids=lambda rule: rule.__name__
)
def test_the_source_keeps_the_rules(rule: Callable[[Path], list[str]]) -> None:
    assert rule(SOURCE) == []


def test_the_table_draws_no_circle_between_rooms() -> None:
    """raft.entry and its kind are leaves: only whole rooms could close a circle."""

    def reaches(room: str, target: str) -> bool:
        return any(entry == target or reaches(entry, target) for entry in COORDNODE.get(room, set()) if "." not in entry)

    assert [room for room in COORDNODE if reaches(room, room)] == []


def test_top_level_files_are_the_known_ones() -> None:
    known = {
        "__init__.py",
        "__main__.py",
        "address.py",
        "config.py",
        "limits.py",
        "errors.py",
        "formats.py",
        "ids.py",
        "light.py",
        "ranges.py",
        "streams.py",
        "driver.py",
    }
    assert {path.name for path in (SOURCE / "coordnode").glob("*.py")} <= known
    known = {"__init__.py", "__main__.py", "flags.py", "pytest_plugin.py"}
    assert {path.name for path in (SOURCE / "coordctl").glob("*.py")} <= known
