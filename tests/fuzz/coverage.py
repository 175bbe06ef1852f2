"""The coverage-guided form: atheris (a development extra) mutates towards lines of ours that were not reached yet.

libFuzzer ends the process that it runs in, so one process loads and instruments everything and forks for each decoder. What reached
something new is kept, a few short inputs of it in tests/fuzz/corpus: a file a decoder, each line an input in base64. The door replays it.
"""

import base64
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

CORPUS = Path(__file__).with_name("corpus")
KEPT_MAX = 24  # inputs of each decoder
KEPT_BYTES_MAX = 400  # of one of them
INPUT_BYTES_MAX = 4096
SECONDS_MAX = 20  # for one input: what takes longer hangs
RSS_MIB_MAX = 1024
_STATUS = re.compile(r"#(\d+)\s+\w+\s+cov: (\d+)")


class Guided(NamedTuple):
    name: str
    executions: int
    edges: int  # of our code, as libFuzzer counts them
    kept: int
    trouble: str  # empty: no crash, no hang, no growth


def corpus_of(name: str) -> list[bytes]:
    path = CORPUS / f"{name}.txt"
    return [base64.b64decode(line, validate=True) for line in path.read_text().split()] if path.exists() else []


def guided(executions: dict[str, int], seed: int) -> Iterator[Guided]:
    """One decoder after the other."""
    with tempfile.TemporaryDirectory(prefix="coord-fuzz-") as folder:
        for name in executions:
            found = Path(folder, name)
            found.mkdir()
            for number, data in enumerate(corpus_of(name)):
                (found / f"kept{number}").write_bytes(data)
        wanted = [f"{name}={count}" for name, count in executions.items()]
        command = [sys.executable, "-m", "tests.fuzz.coverage", folder, str(seed), *wanted]
        told = Path(folder, "told")
        with told.open("w") as file, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=file, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                name, code = line.split()
                yield _found(Path(folder), name, int(code))
        assert process.returncode == 0, told.read_text()[-1_500:]


def _found(folder: Path, name: str, code: int) -> Guided:
    said = (folder / f"{name}.log").read_text(errors="replace")
    told = _STATUS.findall(said)
    ran, edges = (int(number) for number in told[-1]) if told else (0, 0)
    troubles = sorted(folder.glob(f"{name}.trouble-*"))
    trouble = ""
    if code or troubles:
        trouble = f"exit {code} for {troubles[0].read_bytes() if troubles else b''!r}: {said[-1_500:]}"
    return Guided(name, ran, edges, _keep(name, folder / name), trouble)


def _keep(name: str, found: Path) -> int:
    """Of what reached something new a few, from the shortest to the longest that may stay."""
    inputs = sorted(
        {path.read_bytes() for path in found.iterdir() if path.stat().st_size <= KEPT_BYTES_MAX}, key=lambda data: (len(data), data)
    )
    kept = inputs[:: -(-len(inputs) // KEPT_MAX) or 1]
    CORPUS.mkdir(exist_ok=True)
    (CORPUS / f"{name}.txt").write_text("".join(base64.b64encode(data).decode() + "\n" for data in kept))
    return len(kept)


def main() -> None:
    """Of the process that is instrumented."""
    import atheris  # type: ignore[import-not-found, unused-ignore]

    with atheris.instrument_imports(include=["coordnode", "coordctl"]):
        import tests.fuzz.decoders  # noqa: F401

    folder, seed, *wanted = sys.argv[1:]
    for one in wanted:
        name, executions = one.split("=")
        pid = os.fork()
        if pid == 0:
            _fuzz(atheris, name, int(executions), int(seed), Path(folder))
        _, status = os.waitpid(pid, 0)
        print(name, os.waitstatus_to_exitcode(status), flush=True)


def _fuzz(atheris: object, name: str, executions: int, seed: int, folder: Path) -> None:
    """Of a process that was forked for it, and does not return from it."""
    from coordnode.errors import CoordError
    from tests.fuzz.decoders import DECODERS

    log = os.open(folder / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    seeds, decode = DECODERS[name]
    for number, data in enumerate(seeds):
        (folder / name / f"seed{number}").write_bytes(data)

    def one(data: bytes) -> None:
        with suppress(CoordError):
            decode(data)

    flags = [f"-runs={executions}", f"-seed={seed}", f"-max_len={INPUT_BYTES_MAX}", f"-timeout={SECONDS_MAX}"]
    flags += [f"-rss_limit_mb={RSS_MIB_MAX}", f"-artifact_prefix={folder}/{name}.trouble-"]
    atheris.Setup(["fuzz", *flags, str(folder / name)], one)  # type: ignore[attr-defined]
    atheris.Fuzz()  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
