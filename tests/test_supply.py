"""What the product is made of: no code that turns text or strangers' bytes into code, and a list of packages that is pinned by hashes."""

import ast
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from coordctl.steps.member import UNIT
from tests.sbom import document, pinned

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted([*(ROOT / "src").rglob("*.py"), ROOT / "bin" / "coordctl"])
EXPOSURE_MAX = 20  # tenths, as systemd counts: 0 is none, 100 all
MODULES = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "jsonpickle", "imp"}
NAMES = {"eval", "exec", "compile"}
BETWEEN_OURS = {"runner/command.py", "runner/words.py"}  # what runner and guard, one program, say over a socket pair that nobody else has
ATTRIBUTES = {
    ("os", "system"),
    ("os", "popen"),
    ("tempfile", "mktemp"),
    ("yaml", "load"),
    ("yaml", "load_all"),
    ("yaml", "unsafe_load"),
    ("yaml", "full_load"),
    ("subprocess", "getoutput"),
    ("subprocess", "getstatusoutput"),
}


# Where none of these words stands, nothing of it can, and the file need not be parsed; but a name that is not ASCII may be one of them.
WORDS = re.compile(
    rf"(?<![.\w])(?:{'|'.join(NAMES)})\b|\b(?:{'|'.join([*MODULES, *[name for _, name in ATTRIBUTES], 'shell'])})\b",
)


def forbidden(text: str) -> Iterator[str]:
    if text.isascii() and not WORDS.search(text):
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            named = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            yield from (f"line {node.lineno}: import {name}" for name in named if name.split(".")[0] in MODULES)
            if isinstance(node, ast.ImportFrom):
                yield from (f"line {node.lineno}: {node.module}.{one.name}" for one in node.names if (node.module, one.name) in ATTRIBUTES)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and (node.value.id, node.attr) in ATTRIBUTES:
            yield f"line {node.lineno}: {node.value.id}.{node.attr}"
        elif isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name) and node.func.id in NAMES:
                yield f"line {node.lineno}: {node.func.id}()"
            for word in node.keywords:
                if word.arg == "shell" and not (isinstance(word.value, ast.Constant) and word.value.value is False):
                    yield f"line {node.lineno}: shell="


def test_nothing_makes_code_of_text_or_objects_of_bytes() -> None:
    found = {str(path.relative_to(ROOT)): list(forbidden(path.read_text(encoding="utf-8"))) for path in SOURCES}
    assert len(found) > 300
    marshalled = {path for path, lines in found.items() if lines and all("import marshal" in line for line in lines)}
    assert marshalled == {f"src/coordctl/{path}" for path in BETWEEN_OURS}
    assert {path: lines for path, lines in found.items() if lines and path not in marshalled} == {}


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from marshal import loads",
        "from os import system",
        "eval('1')",
        "exec('a = 1')",
        "subprocess.run('ls', shell=True)",
        "yaml.load(text)",
        "tempfile.mktemp()",
        "os.system('ls')",
    ],
)
def test_what_is_forbidden_is_found(line: str) -> None:
    assert list(forbidden(f"def f():\n    {line}\n"))


def test_every_package_for_development_is_pinned_with_its_hashes() -> None:
    """The first lines of requirements-dev.txt say how it is written anew. `tests/run` takes newer ones, too."""
    packages = pinned()
    assert [one for one in packages if not one.version or not one.hashes] == []
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = project["dependencies"] + [one for extra in ("ssh", "chaos", "dev") for one in project["optional-dependencies"][extra]]
    names = {re.split(r"[<>=;\[ ]", one)[0].lower() for one in wanted} - {"coordctl"}
    assert names <= {one.name for one in packages}


def test_the_bill_of_materials_tells_what_runs_from_what_tests() -> None:
    components = {one["name"]: one for one in document()["components"]}
    required = {name for name, one in components.items() if one["scope"] == "required"}
    assert {"msgspec", "xxhash", "click", "tabulate", "psutil", "pyyaml", "uvloop"} <= required
    assert {"pytest", "mypy", "paramiko", "cryptography"} <= components.keys() - required
    assert len(required) < 10, "few are needed to run"
    assert all(one["hashes"] and one["purl"].startswith("pkg:pypi/") for one in components.values())


def test_the_units_of_members_are_hardened(tmp_path: Path) -> None:
    unit = tmp_path / "coordnode-shop.service"
    unit.write_text(UNIT.format(cluster="shop", account="coordnode", python="/usr/bin/python3", base="/var/lib/coordnode/shop", home="yes"))
    hardened = {"NoNewPrivileges=yes", "CapabilityBoundingSet=", "ProtectSystem=strict", "SystemCallFilter=@system-service", "UMask=0077"}
    assert hardened <= {*unit.read_text().splitlines()}
    if shutil.which("systemd-analyze"):
        command = ["systemd-analyze", "security", "--no-pager", "--offline=true", f"--threshold={EXPOSURE_MAX}", str(unit)]
        judged = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert judged.returncode == 0, judged.stdout
