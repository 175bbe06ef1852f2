"""Modules that are found by their place are what the usual finders make of them; whatever is not plainly right is left to these."""

import os
import py_compile
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import cache_from_source, module_from_spec
from pathlib import Path

import pytest

from coordctl.loading import Finder

NAME = "coordctl.made"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return written(tmp_path / "made.py", "WORTH = 1\n")


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    py_compile.compile(str(path), doraise=True)
    return path


def found(folder: Path) -> ModuleSpec:
    spec = Finder.find_spec(NAME, [str(folder)])
    assert spec is not None
    return spec


def worth(spec: ModuleSpec) -> int:
    module = module_from_spec(spec)
    assert spec.loader is not None
    spec.loader.exec_module(module)
    return int(module.WORTH)


def test_a_module_is_as_the_usual_finder_makes_it(source: Path) -> None:
    spec, usual = found(source.parent), PathFinder.find_spec("made", [str(source.parent)])
    assert usual is not None
    assert (spec.origin, spec.cached, spec.has_location) == (usual.origin, usual.cached, usual.has_location)
    assert (spec.submodule_search_locations, spec.parent) == (None, "coordctl")
    assert isinstance(spec.loader, type(usual.loader))
    assert worth(spec) == 1
    assert module_from_spec(spec).__file__ == str(source)


def test_a_package_is_searched_for_its_modules(tmp_path: Path) -> None:
    inside = written(tmp_path / "made" / "__init__.py", "WORTH = 2\n")
    spec = found(tmp_path)
    assert (spec.origin, spec.submodule_search_locations) == (str(inside), [str(inside.parent)])
    assert worth(spec) == 2


def test_a_module_that_is_loaded_again_is_as_its_source_is_now(source: Path) -> None:
    spec = found(source.parent)
    assert worth(spec) == 1
    source.write_text("WORTH = 1 + 2\n", encoding="utf-8")
    assert worth(spec) == 3


def changed(source: Path) -> None:
    source.write_text("WORTH = 10\n", encoding="utf-8")


def touched(source: Path) -> None:
    os.utime(source, (1_000_000_000, 1_000_000_000))


def of_another_python(source: Path) -> None:
    cached = Path(cache_from_source(str(source)))
    cached.write_bytes(b"\0\0\r\n" + cached.read_bytes()[4:])


def checked_by_its_content(source: Path) -> None:
    py_compile.compile(str(source), doraise=True, invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)


def cut_off(source: Path) -> None:
    Path(cache_from_source(str(source))).write_bytes(b"")


def not_compiled(source: Path) -> None:
    Path(cache_from_source(str(source))).unlink()


def gone(source: Path) -> None:
    source.unlink()


@pytest.mark.parametrize("what", [changed, touched, of_another_python, checked_by_its_content, cut_off, not_compiled, gone])
def test_what_is_not_plainly_right_is_left_to_the_usual_finders(source: Path, what: object) -> None:
    assert callable(what)
    what(source)
    assert Finder.find_spec(NAME, [str(source.parent)]) is None


def test_others_modules_are_none_of_ours(source: Path) -> None:
    assert Finder.find_spec("made", [str(source.parent)]) is None
    assert Finder.find_spec("other.made", [str(source.parent)]) is None
    assert Finder.find_spec("coordctl", None) is None
