"""What the pages name exists: files behind links, commands, dependencies, errors."""

import re
import tomllib
from pathlib import Path

import pytest

import coordctl.__main__ as coordctl
from coordnode import __version__, errors

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
    missing = [target for target in targets if not target.startswith("http") and not (page.parent / target).exists()]
    assert missing == []


def test_readme_names_only_commands_that_exist() -> None:
    typed = re.findall(r"^\$ (\w+) (\w+)", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    verbs = {verb for program, verb in typed if program == "coordctl"}
    assert verbs
    assert verbs <= set(coordctl.VERBS)
    assert {command for program, command in typed if program == "coordnode"} <= {"simulate", "version"}


def test_every_page_is_reached_from_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [page.name for page in PAGES[1:] if f"docs/{page.name}" not in readme] == []


def test_each_dependency_has_its_reason() -> None:
    wanted = PROJECT["project"]["dependencies"] + [
        one for extra in ("ssh", "chaos") for one in PROJECT["project"]["optional-dependencies"][extra]
    ]
    page = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    names = [re.split(r"[<>=; ]", one)[0] for one in wanted]
    assert [name for name in names if name not in page] == []


def test_the_version_has_one_home() -> None:
    assert PROJECT["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "coordnode.__version__"}
    assert re.fullmatch(r"\d+\.\d+\.\d+", __version__)


def test_the_tree_of_errors_is_drawn_as_it_is() -> None:
    drawn = dict(re.findall(r"── (\w+) +(\d+)", errors.__doc__ or ""))
    assert drawn == {kind.__name__: str(code) for code, kind in errors.BY_CODE.items()}


def test_the_door_of_ci_is_the_door_of_readme() -> None:
    assert "$ tests/run" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert "tests/run" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_the_codes_on_the_wire_are_those_of_the_page() -> None:
    page = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
    named = {name: int(code) for code, name in re.findall(r"^\| (\d+) \| ([A-Z]\w+) \|", page, re.MULTILINE)}
    assert named == {kind.__name__: code for code, kind in errors.BY_CODE.items() if code <= errors.FrameError.code}
    assert all(kind.definite == (code < 50) for code, kind in errors.BY_CODE.items() if code <= errors.FrameError.code)
