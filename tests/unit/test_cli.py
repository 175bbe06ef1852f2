"""The doors: what they list, what they load, which exit codes leave them, and what becomes of errors and closed pipes."""

import os
import select
import subprocess
import sys
from io import FileIO
from pathlib import Path

import click
import msgspec
import pytest

import coordctl.__main__ as coordctl
from coordctl import commands
from coordctl.report import exits, running
from coordctl.results import schemas
from coordctl.results.schemas import SCHEMAS
from coordctl.results.wal import WalRecord, WalVerified
from coordnode import __version__, streams
from coordnode.errors import DiskFailed, HistoryError
from coordnode.ids import ClusterId, Index, MemberId, Term, WriteId
from coordnode.raft.entry import Config, Entry, HardState, SnapshotMeta
from coordnode.raft.ready import Write
from coordnode.storage.block import Identity
from coordnode.storage.disk import RealDisk
from coordnode.storage.recovery import Genesis, create_folder, open_folder
from coordnode.storage.wal import Settings

SOURCE = Path(__file__).resolve().parents[2] / "src"


def run(module: str, *arguments: str, optimised: bool = False, **environment: str) -> subprocess.CompletedProcess[str]:
    interpreter = [sys.executable, *(["-O"] if optimised else []), "-m", module]
    variables = {**os.environ, "PYTHONPATH": str(SOURCE), **environment}
    return subprocess.run([*interpreter, *arguments], capture_output=True, text=True, env=variables, timeout=300, check=False)


def in_shell(words: str, module: str = "coordctl") -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "PYTHONPATH": str(SOURCE)}
    command = f'exec "{sys.executable}" -m {module} {words}'
    return subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=variables, timeout=300, check=False)


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["coordctl", *arguments])
    return coordctl.main()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A member's folder with five entries."""
    path = tmp_path / "n1"
    identity = Identity(ClusterId(77), MemberId(5))
    settings = Settings(segment_bytes=64 * 1024, spares_max=1, free_bytes_min=0)
    meta = SnapshotMeta(Index(0), Term(0), MemberId(5), 0, Config((MemberId(5),)), Index(0))
    disk = RealDisk(str(path))
    disk.make_root()
    create_folder(disk, identity, Genesis(meta, [b"genesis"]), settings)
    found = open_folder(disk, identity, settings)
    entries = [Entry(Term(1), Index(index), 0, b"entry %d" % index) for index in range(1, 6)]
    hard_state = HardState(Term(1), MemberId(5), found.hard_state.boot, False)
    found.wal.commit([Write(WriteId(1), hard_state, None, Index(0), entries, [], Term(1), Index(5))])
    found.wal.idle()
    found.wal.close()
    disk.unlock()
    return path


# --- the entry points ----------------------------------------------------------------------------------------------


def test_the_table_lists_what_exists_and_nothing_else() -> None:
    there = {path.stem for path in Path(commands.__path__[0]).glob("*.py") if "\ndef main(" in path.read_text()}
    assert set(coordctl.VERBS) == there


def test_help_lists_the_verbs_and_exit_codes(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, "--help") == 0
    text = capsys.readouterr().out
    assert all(f"  {verb} " in text and line in text for verb, line in coordctl.VERBS.items())
    assert "64 usage" in text


@pytest.mark.parametrize("verb", [verb for verb in coordctl.VERBS if verb != "wal"])
def test_each_verb_explains_its_exit_codes(verb: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, verb, "--help") == 0
    assert "Exit codes: 0" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    "arguments",
    [[], ["nonsense"], ["version", "--nonsense"], ["-o", "xml", "version"], ["wal", "dump"], ["wal", "undo"], ["wal"], ["canary"]],
)
def test_usage_is_64(arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, *arguments) == 64
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("coordctl: ")
    assert "Usage:" not in captured.err


def test_a_near_miss_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    call(monkeypatch, "versoin")
    assert capsys.readouterr().err == "coordctl: no verb versoin; did you mean version?\n          see coordctl --help\n"


@pytest.mark.parametrize(
    "arguments", [["-o", "json", "version"], ["--output=json", "version"], ["version", "-o", "json"], ["-o", "json", "--debug", "version"]]
)
def test_global_flags_before_and_after(arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, *arguments) == 0
    assert msgspec.json.decode(capsys.readouterr().out, type=SCHEMAS["version"]).version == __version__  # type: ignore[attr-defined]


def test_leading_flags_do_not_cross_the_double_dash() -> None:
    assert coordctl._join_global(["-o", "json"], ["x", "--", "y"]) == ["x", "-o", "json", "--", "y"]


def test_the_entry_point_loads_next_to_nothing() -> None:
    script = "import sys; before = set(sys.modules); import coordctl.__main__; print(*sorted(set(sys.modules) - before))"
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment).stdout.split()
    ours = [name for name in loaded if name.startswith("coord")]
    assert ours == ["coordctl", "coordctl.__main__", "coordnode", "coordnode.light"]
    assert {*loaded} - {*ours} <= {"__future__", "_collections", "_operator", "gc"}


def test_schema_of_every_verb(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for verb in SCHEMAS:
        assert call(monkeypatch, "schema", verb) == 0
        assert "$ref" in msgspec.json.decode(capsys.readouterr().out)


def test_every_family_of_results_is_searched_for_schemas_and_no_verb_has_two() -> None:
    files = {path.stem for path in (SOURCE / "coordctl/results").glob("*.py")} - {"__init__", "schemas"}
    assert {family.__name__.removeprefix("coordctl.results.") for family in schemas.FAMILIES} == files
    verbs = [verb for verb, _ in schemas.printed()]
    assert sorted(set(verbs)) == sorted(verbs) == list(SCHEMAS)


def test_a_closed_pipe_is_no_error() -> None:
    command = f'"{sys.executable}" -m coordctl schema wal-verify | true; exit "${{PIPESTATUS[0]}}"'
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(SOURCE)}, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("redirection", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_stream_that_is_closed_is_no_error(redirection: str) -> None:
    assert in_shell(f"schema wal-verify {redirection}").returncode == 0
    refused = in_shell(f"nonsense {redirection}")
    assert refused.returncode == 64
    assert ("no verb nonsense" in refused.stderr) == ("2>" not in redirection)


def test_what_nobody_can_print_is_one_sentence() -> None:
    for words in ("schema wal-verify", "--help", "lock --help", "lock run --help", "status --help"):
        done = in_shell(f"{words} >/dev/full")
        assert done.returncode == 1
        assert done.stderr.startswith("coordctl: ")
        assert done.stderr.endswith("standard output: No space left on device\n")
        assert done.stderr.count("\n") == 1
    assert in_shell("nonsense 2>/dev/full").returncode == 64


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_reader_that_has_gone_changes_no_verdict(stream: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "coordctl", "health", "--endpoints", "127.0.0.1:1"]
    try:
        done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(SOURCE)}, check=False, **{stream: writing})  # type: ignore[call-overload]
    finally:
        os.close(writing)
    assert done.returncode == 3


def test_what_the_encoding_lacks_is_shown_as_its_number() -> None:
    done = run("coordctl", "--help", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\\u2026" in done.stdout


def test_a_pipe_that_does_not_wait_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with open(reading, "rb", buffering=0) as reader, streams._Patient(writing, "w") as raw:
        while FileIO.write(raw, bytes(4096)) is not None:
            pass

        def until_there_is_room(*_descriptors: object) -> None:
            reader.read(1 << 20)

        monkeypatch.setattr(select, "select", until_there_is_room)
        assert raw.write(b"whole") == 5
        assert reader.read(5) == b"whole"


def test_coordnode() -> None:
    assert run("coordnode", "version").stdout == f"coordnode {__version__}\n"
    assert run("coordnode", "--help").returncode == 0
    assert run("coordnode").returncode == 64
    assert run("coordnode", "nonsense").returncode == 64
    assert run("coordnode", "simulate").returncode == 64


def test_coordnode_on_streams_that_are_closed_or_full() -> None:
    for redirection in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
        assert in_shell(f"version {redirection}", "coordnode").returncode == 0
        assert in_shell(f"nonsense {redirection}", "coordnode").returncode == 64
    full = in_shell("version >/dev/full", "coordnode")
    assert (full.returncode, full.stderr) == (1, "coordnode: standard output: No space left on device\n")


def test_coordnode_refuses_to_run_without_assertions() -> None:
    for refused in (run("coordnode", "version", optimised=True), run("coordnode", "version", PYTHONOPTIMIZE="1")):
        assert refused.returncode == 64
        assert "assertions" in refused.stderr


# --- errors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "kind", "code", "words"),
    [
        (HistoryError("line 3: no"), exits.Kind.QUERY, 1, "coordctl: line 3: no"),
        (HistoryError("line 3: no"), exits.Kind.PROBE, 3, "coordctl: line 3: no"),
        (DiskFailed("the disk"), exits.Kind.PROBE, 3, "the disk"),
        (PermissionError(13, "Permission denied", "n1/wal"), exits.Kind.PROBE, 3, "n1/wal: Permission denied"),
        (KeyError("x"), exits.Kind.PROBE, 70, "this is a bug of coordctl"),
    ],
)
def test_errors_become_one_sentence(error: Exception, kind: exits.Kind, code: int, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    @click.command()
    def failing() -> None:
        raise error

    assert running.run(failing, [], "failing", kind) == code
    shown = capsys.readouterr().err
    assert words in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize("code", [None, exits.INTERRUPTED])
def test_an_interrupt_goes_on_to_who_may_die_of_it(code: int | None) -> None:
    @click.command()
    def interrupted() -> int:
        if code is None:
            raise click.Abort
        return code

    with pytest.raises(KeyboardInterrupt):
        running.run(interrupted, [], "interrupted", exits.Kind.PROBE)


def test_debug_adds_where(capsys: pytest.CaptureFixture[str]) -> None:
    @click.command()
    def failing() -> None:
        raise HistoryError("no")

    assert running.run(failing, ["--debug"], "failing", exits.Kind.QUERY) == 1
    assert "Traceback" in capsys.readouterr().err


# --- wal -----------------------------------------------------------------------------------------------------------


def test_wal_verify_a_whole_folder(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, "wal", "verify", str(folder), "-o", "json") == 0
    found = msgspec.json.decode(capsys.readouterr().out, type=WalVerified)
    assert (found.cluster, found.member, found.entries, found.last_index, found.damages) == (77, 5, 5, 5, [])
    assert call(monkeypatch, "wal", "verify", str(folder)) == 0
    assert capsys.readouterr().out.startswith("OK  member 5 of cluster 77")


def test_wal_verify_names_rot(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (segment,) = [path for path in (folder / "wal").glob("*.seg") if b"entry 3" in path.read_bytes()]
    segment.write_bytes(segment.read_bytes().replace(b"entry 3", b"entry X"))
    assert call(monkeypatch, "wal", "verify", str(folder), "-o", "json") == 2
    found = msgspec.json.decode(capsys.readouterr().out, type=WalVerified)
    assert (found.outcome, found.exit_code) == ("rot", 2)
    assert found.damages[0].path == f"wal/{segment.name}"
    assert call(monkeypatch, "wal", "verify", str(folder)) == 2
    assert "what to do:" in capsys.readouterr().out


def test_wal_dump(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, "wal", "dump", str(folder), "--from", "2", "--to", "4", "--data", "-o", "json") == 0
    records = [msgspec.json.decode(line, type=WalRecord) for line in capsys.readouterr().out.splitlines()]
    entries = [(record.index, record.holds, record.data) for record in records if record.kind == "entry"]
    assert entries == [(index, "batch", b"entry %d" % index) for index in (2, 3, 4)]
    assert call(monkeypatch, "wal", "dump", str(folder)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:3] == ["WHERE", "KIND", "TERM"]
    assert sum(" batch " in line for line in lines) >= 5


def test_wal_of_what_is_no_folder_of_a_member(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, "wal", "verify", str(tmp_path)) == 3
    assert "is not a member's folder" in capsys.readouterr().err
    assert call(monkeypatch, "wal", "dump", str(tmp_path)) == 1


@pytest.mark.parametrize("verb", ["status", "health"])
def test_what_is_typed_first_when_something_is_wrong_loads_nothing_that_it_does_not_need(verb: str) -> None:
    script = f"import sys, coordctl.commands.{verb}; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert {"coordnode.services.machine", "http.server", "asyncio", "paramiko", "multiprocessing"} & set(loaded) == set()


WORKS = """
import sys, time, click
from coordctl.report import exits, running, screen
from coordnode import streams
streams.prepare()

@click.command()
def work():
    for step in range(3):
        screen.line(f"step {step}")
        screen.flush()
        time.sleep(0.2)
    screen.note("done")
    return 2

sys.exit(running.run(work, [], sys.argv[1], getattr(exits.Kind, sys.argv[2])))
"""


@pytest.mark.parametrize(
    ("name", "kind", "works"), [("work", "ACTION", True), ("work", "PROBE", True), ("work", "QUERY", False), ("canary run", "PROBE", False)]
)
def test_work_outlives_who_reads_along_and_a_stream_does_not(name: str, kind: str, works: bool) -> None:
    """As in `… | head -1`: a run that was cut short must not look like one that went well."""
    with subprocess.Popen([sys.executable, "-c", WORKS, name, kind], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"step 0\n"
        process.stdout.close()
        assert process.stderr is not None
        said = process.stderr.read()
        assert (process.wait(60) == 2) == works, said
    assert (b"done" in said) == works
