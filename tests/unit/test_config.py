"""A member's settings: three sources, every mistake named with its place and remedy, fields checked against each other."""

from pathlib import Path

import pytest

from coordnode.config import KEYS, Listen, NodeConfig, load, told_settings
from coordnode.errors import ConfigRefused

FOLDER = ("--folder", "/data")


def refused(*arguments: str, environment: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigRefused) as error:
        load(arguments, environment or {})
    return error.value.sentence.splitlines()


def test_defaults_fit_together() -> None:
    config = load(FOLDER, {})
    assert config == NodeConfig(folder="/data")
    assert config.listen == Listen("127.0.0.1", 7001)


def test_later_sources_win(tmp_path: Path) -> None:
    file = tmp_path / "n1.toml"
    file.write_text('folder = "/file"\ntick = "20ms"\nname = "n1"\nsnapshot-entries = 70000\n')
    environment = {"COORDNODE_TICK": "30ms", "COORDNODE_SNAPSHOT_LOG": "32MiB", "PATH": "/bin"}
    config = load(["--config", str(file), "--tick=50ms", "--adopt", "--listen", "[::1]:0"], environment)
    assert (config.folder, config.name, config.tick_ms, config.snapshot_log_bytes) == ("/file", "n1", 50, 32 * 1024 * 1024)
    assert (config.adopt, config.listen, config.snapshot_entries) == (True, Listen("::1", 0), 70_000)
    assert load([f"--config={file}"], environment).tick_ms == 30
    assert str(config.listen) == "[::1]:0"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--tick", "40"], "--tick: tick = '40': give a number with a unit (ms, s, m, h), for example 40ms"),
        (["--segment", "16MB"], "--segment: segment = '16MB': give a number with a unit (B, KiB, MiB, GiB)"),
        (["--keep-entries", "-1"], "give a whole number"),
        (["--adopt=maybe"], "give true or false"),
        (["--name", "No Spaces"], "give up to 63 of a-z"),
        (["--listen", "7001"], "give host:port"),
        (["--listen", "::1:7001"], "in brackets"),
        (["--listen", "h:70000"], "give host:port"),
        (["--advertise", "0.0.0.0:7001"], "not all interfaces"),
        (["--advertise", "h:0"], "give the real port"),
        (["--log-file", ""], "give a path"),
        (["--tikc", "40ms"], "--tikc: there is no setting 'tikc'; did you mean 'tick'?"),
        (["--zzz"], "there is no setting 'zzz'; there are: folder"),
        (["--tick"], "--tick: a value is missing, as in --tick 40ms"),
        (["run"], "'run': only flags are known here"),
    ],
)
def test_a_wrong_value_is_named_with_its_place_and_the_remedy(arguments: list[str], sentence: str) -> None:
    (line,) = refused(*FOLDER, *arguments)
    assert sentence in line


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--tick", "4ms"], "--tick: a tick of 4 ms makes no sense"),
        (["--heartbeat-ticks", "5", "--election-ticks-min", "10"], "a heartbeat every 5 ticks and elections after 10 do not fit"),
        (["--heartbeat-ticks", "0"], "do not fit"),
        (["--election-ticks-min", "21"], "the default of election-ticks-max: election-ticks-max 21 must be larger"),
        (["--stuck-ticks", "13"], "--stuck-ticks: stuck-ticks must be larger than election-ticks-min, 13"),
        (["--segment", "1B"], "--segment: give 1MiB to 1GiB"),
        (["--segment", "512MiB"], "free-min must be at least two segments, 1024MiB"),
        (["--keep-entries", "50000"], "--keep-entries: keep-entries must be smaller than snapshot-entries, 50000"),
        (["--snapshot-entries", "99", "--keep-entries", "1"], "give at least 100"),
        (["--snapshot-log", "1KiB"], "give at least 1MiB"),
        (["--connections-max", "0"], "give 1 to 1000000"),
        (["--pending-max", "1MiB"], "the largest requests must fit"),
        (["--client-requests-max", "1000"], "give at least 1024: a single connection asks for so many at once"),
        (["--client-pending-max", "1MiB"], "give at least 2MiB: the largest request must fit"),
        (["--client-watches-max", "0"], "give 1 to 1000000"),
        (["--client-sessions-max", "2000000"], "give 1 to 1000000"),
        (["--http-listen", "127.0.0.1:7001"], "127.0.0.1:7001 speaks HTTP already"),
        (["--listen", "0.0.0.0:7001", "--accept", "plaintext"], "say with advertise how they reach this member"),
        (["--listen", "10.0.0.1:7001"], "--listen: 10.0.0.1:7001 can be reached from other machines, and without tls whoever reaches it"),
        (["--http-listen", "host.example:80"], "--http-listen: host.example:80 can be reached from other machines"),
        (["--accept", "everything"], "give one of plaintext"),
        (["--member", str(2**53)], "ids are below 2**53"),
    ],
)
def test_settings_that_do_not_fit_each_other_are_named(arguments: list[str], sentence: str) -> None:
    (line,) = refused(*FOLDER, *arguments)
    assert sentence in line


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    file = tmp_path / "n1.toml"
    file.write_text('# a comment\nfoldre = "/x"\n\ntick = 40\n[table]\nx = 1\n')
    lines = refused("--config", str(file), "--nmae", "x", environment={"COORDNODE_LISTEN": "x", "COORDNODE_FRIEND": "1"})
    assert [line.split(": ")[0] for line in lines] == [
        f"{file}:2",
        f"{file}:5",
        "the variable COORDNODE_FRIEND",
        "--nmae",
        f"{file}:4",
        "the variable COORDNODE_LISTEN",
        "no folder is given",
    ]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    assert "cannot be read: No such file" in refused(*FOLDER, "--config", str(tmp_path / "none"))[0]
    file = tmp_path / "n1.toml"
    file.write_text("tick = = 1\n")
    assert "this is not TOML" in refused(*FOLDER, "--config", str(file))[0]
    file.write_text(f"tick = {'[' * 5_000}\n")
    assert "nested too deeply" in refused(*FOLDER, "--config", str(file))[0]
    file.write_text("tick = 1.5\nlisten = [1]\n")
    assert all("give a plain value" in line for line in refused(*FOLDER, "--config", str(file)))
    assert refused("--config") == ["--config: a value is missing, as in --config FILE"]


def test_every_setting_says_what_it_is() -> None:
    for key in KEYS.values():
        assert key.help
        assert not key.help.endswith(".")


def test_members_with_the_same_settings_have_the_same_hash_wherever_they_run() -> None:
    one, other = (told_settings(NodeConfig(folder=where, name=where, listen=Listen(where, 1))) for where in ("a", "b"))
    assert one == other
    assert one["settings"] == {}
    different = told_settings(NodeConfig(folder="a", slow_commit_ms=50))
    assert different["config_hash"] != one["config_hash"]
    assert different["settings"] == {"slow_commit_ms": 50}


def test_nothing_is_broken_on_purpose_in_prod_and_links_lead_elsewhere_only_to_be_broken() -> None:
    assert "leave fault-injection out" in refused(*FOLDER, "--fault-injection", "--environment", "prod")[0]
    assert "add fault-injection" in refused(*FOLDER, "--dial", "5=127.0.0.1:9")[0]
    assert "give ID=HOST:PORT" in refused(*FOLDER, "--fault-injection", "--dial", "127.0.0.1:9")[0]
    assert "give one of dev, staging, prod" in refused(*FOLDER, "--environment", "production")[0]
    config = load([*FOLDER, "--fault-injection", "--dial", "5=127.0.0.1:9,6=[::1]:10", "--environment", "staging"], {})
    assert config.dial == ((5, "127.0.0.1:9"), (6, "[::1]:10"))
