"""Libraries in C that stand between a member and its system; each is compiled by the test that needs it."""

import shutil
import subprocess
from pathlib import Path

import pytest


def compiled(source: Path, folder: Path) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip(f"no C compiler (cc): {source.name} cannot be built here")
    library = folder / f"{source.stem}.so"
    flags = ["-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    subprocess.run([compiler, *flags, "-o", str(library), str(source), "-ldl", "-lpthread"], check=True)
    return library
