"""Inventories: what is right is read as it was meant; every mistake is named with its line and the remedy, all at once."""

from pathlib import Path

import pytest

from coordctl.inventory import pins, places
from coordctl.inventory.lines import line_of, lines_of
from coordctl.inventory.model import ENGINES, Run, Ssh
from coordctl.inventory.pins import HostKey
from coordctl.inventory.reading import HOST, RUN, SSH, TLS, TOP, parse, read
from coordctl.inventory.template import template
from coordnode.errors import BadRequest

RIGHT = """\
name = "payments"
environment = "prod"
port = 7100

[ssh]
user = "ops"
sudo = true

[settings]
tick = "50ms"

[hosts.n1]
address = "10.0.0.11"
zone = "a"
[hosts.n2]
address = "db2.example"
port = 7200
zone = "b"
labels = ["ssd", "rack=7"]
ssh = { user = "root", port = 2222, jump = "ops@bastion:22" }
settings = { "snapshot-entries" = 9000, tick = "60ms" }
[hosts.n3]
address = "fd00::3"
zone = "c"
[hosts.n4]
address = "10.0.0.14"
role = "spare"
"""

ETCD = """\
name = "keys"
environment = "prod"
engine = "etcd"
[run]
unit = "etcd"
data = "/var/lib/etcd"
[hosts.n1]
address = "10.0.0.11"
[hosts.n2]
address = "10.0.0.12"
port = 3379
[hosts.n2.run]
start = "/opt/etcd/start --now"
pid-file = "/run/etcd.pid"
log = "/var/log/etcd.log"
peer-ports = [3380]
[hosts.n3]
address = "10.0.0.13"
run = { unit = "etcd@second.service" }
"""


def mistakes(text: str) -> list[str]:
    found = parse(text, "x.toml")
    assert (found.inventory is None) == bool(found.mistakes)
    return found.mistakes


def changed(old: str, new: str) -> list[str]:
    assert RIGHT.count(old) == 1
    return mistakes(RIGHT.replace(old, new))


def test_what_is_said_for_all_holds_for_each_that_says_nothing_else() -> None:
    found = parse(RIGHT, "/etc/payments.toml")
    inventory = found.inventory
    assert inventory is not None
    assert (found.mistakes, found.remarks) == ([], [])
    assert [host.endpoint for host in inventory.hosts] == ["10.0.0.11:7100", "db2.example:7200", "[fd00::3]:7100", "10.0.0.14:7100"]
    assert inventory.hosts[0].ssh == Ssh(user="ops", sudo=True)
    assert inventory.hosts[1].ssh == Ssh(user="root", port=2222, jump="ops@bastion:22", sudo=True)
    assert inventory.hosts[1].settings == {"tick": "60ms", "snapshot-entries": "9000"}
    assert [host.name for host in inventory.voters()] == ["n1", "n2", "n3"]
    assert inventory.beside("known_hosts") == "/etc/payments.known_hosts"


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ('name = "payments"', 'name = "Pay ments"', 1, "name = 'Pay ments': give up to 32 of a-z, 0-9 and '-'"),
        ('name = "payments"', "", 1, "name is missing: what the cluster is called"),
        ('environment = "prod"', 'environment = "production"', 2, "choose from dev, staging, prod"),
        ("port = 7100", "port = 71000", 3, "port = 71000: give a port from 1 to 65535, without quotes"),
        ("port = 7100", 'port = "7100"', 3, "without quotes"),
        ("port = 7100", "prot = 7100", 3, "no key prot; did you mean port?"),
        ("sudo = true", 'sudo = "yes"', 7, "sudo = 'yes': give true or false, without quotes"),
        ("sudo = true", "passwd = 1", 7, "no key passwd in [ssh]"),
        ('tick = "50ms"', "tick = 50", 10, "tick = 50: give a number with a unit"),
        ('tick = "50ms"', 'tock = "50ms"', 10, "no setting tock; did you mean tick?"),
        ('tick = "50ms"', 'listen = "0.0.0.0:1"', 10, "listen is not set here: it is said by address and port of the host"),
        ("[hosts.n3]", "[hosts.N_3]", 22, "the host's name 'N_3'"),
        ('address = "db2.example"', 'addres = "db2.example"', 16, "no key addres in [hosts.n2]; did you mean address?"),
        ('address = "db2.example"', "", 15, 'n2 has no address: how members and clients reach it, such as address = "10.0.0.11"'),
        ('address = "db2.example"', 'address = "10.0.0.300"', 16, "give an IP address or a host name, without a port"),
        ('address = "db2.example"', 'address = "0.0.0.0"', 16, "give the host's own address"),
        ('address = "fd00::3"', 'address = "10.0.0.11"', 23, "n3 has the address and port of n1"),
        ('role = "spare"', 'role = "votter"', 27, "choose from voter, learner, spare; did you mean voter?"),
        ('labels = ["ssd", "rack=7"]', "labels = [1]", 19, "give a list of short words"),
        ('jump = "ops@bastion:22"', 'jmp = "x"', 20, "no key jmp in [hosts.n2.ssh]; did you mean jump?"),
        ('"snapshot-entries" = 9000', '"snapshot-entries" = "many"', 21, "give a whole number"),
        ("[settings]", "[setings]", 9, "no key setings; did you mean settings?"),
    ],
)  # fmt: skip
def test_each_mistake_has_its_line_and_the_remedy(old: str, new: str, line: int, said: str) -> None:
    found = changed(old, new)
    assert any(one.startswith(f"x.toml:{line}: ") and said in one for one in found), found


def test_all_mistakes_are_told_at_once() -> None:
    found = mistakes('nam = "a"\nenvironment = "no"\n[hosts.n1]\naddres = "a"\n')
    assert len(found) == 5, found
    assert mistakes("a = [") == ["x.toml: this is not TOML: Invalid value (at end of document)"]
    assert mistakes(f"a = {'[' * 5_000}") == ["x.toml: lists are nested too deeply: an inventory has none inside another"]
    assert "no host is a voter" in mistakes('name = "a"\nenvironment = "dev"\n')[0]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('role = "spare"', "", "4 voters survive the loss of 1, as 3 do"),
        ('zone = "b"', 'zone = "a"', "zone a has so many of the voters that its loss is an outage"),
        ("[ssh]", "[tls]\nenabled = false\n[ssh]", "without [tls] whoever reaches a port may read and change everything"),
    ],
)
def test_what_is_not_wrong_but_worth_a_thought(old: str, new: str, said: str) -> None:
    found = parse(RIGHT.replace(old, new), "x.toml")
    assert not found.mistakes
    assert [remark for remark in found.remarks if remark.startswith(said)], found.remarks


def test_what_init_writes_is_right_and_names_every_key() -> None:
    text = template("payments", "dev", ["10.0.0.1", "10.0.0.2", "10.0.0.3"])
    found = parse(text, "x.toml")
    assert (found.mistakes, found.remarks) == ([], [])
    unsaid = [key for key in (*TOP, *SSH, *TLS, *HOST) if f"{key} =" not in text and key != "config"]
    assert unsaid == []


@pytest.mark.parametrize("engine", [one for one in ENGINES if one != "coordnode"])
def test_what_init_writes_of_another_engine_is_right_and_names_every_key(engine: str) -> None:
    text = template("payments", "dev", ["10.0.0.1", "10.0.0.2", "10.0.0.3"], engine)
    found = parse(text, "x.toml")
    assert (found.mistakes, found.remarks) == ([], [])
    assert found.inventory is not None
    assert found.inventory.engine == engine
    unsaid = [key for key in (*TOP, *SSH, *RUN, *HOST) if f"{key} =" not in text and key not in ("config", "role")]
    assert unsaid == []
    all_said = parse(text.replace("unit =", "# unit =").replace("# start =", "start =").replace("# run =", "run ="), "x.toml")
    assert all_said.mistakes == []


def test_members_of_another_engine_have_its_ports_and_how_they_are_run() -> None:
    found = parse(ETCD, "x.toml")
    inventory = found.inventory
    assert inventory is not None
    assert (found.mistakes, found.remarks, inventory.tls) == ([], [], False)
    assert [host.endpoint for host in inventory.hosts] == ["10.0.0.11:2379", "10.0.0.12:3379", "10.0.0.13:2379"]
    assert [host.run for host in inventory.hosts] == [
        Run(unit="etcd", data="/var/lib/etcd", peer_ports=(2380,)),
        Run(
            start="/opt/etcd/start --now",
            pid_file="/run/etcd.pid",
            data="/var/lib/etcd",
            log="/var/log/etcd.log",
            peer_ports=(3380,),
        ),
        Run(unit="etcd@second.service", data="/var/lib/etcd", peer_ports=(2380,)),
    ]
    zookeeper = parse('name = "z"\nenvironment = "dev"\nengine = "zookeeper"\n[hosts.z1]\naddress = "10.0.0.1"\n', "x.toml")
    assert zookeeper.inventory is not None
    assert [(host.port, host.run.peer_ports) for host in zookeeper.inventory.hosts] == [(2181, (2888, 3888))]
    assert zookeeper.remarks == ["it is not said what starts z1, so chaos kills nothing there: give unit or start in [run]"]


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ('engine = "etcd"', 'engine = "etdc"', 3, "choose from coordnode, etcd, zookeeper; did you mean etcd?"),
        ('engine = "etcd"', "", 4, "run says how members are run that somebody else deployed, and coordctl runs coordnode's"),
        ('engine = "etcd"', 'engine = "coordnode"', 12, "run says how members are run that somebody else deployed"),
        ("[run]", "[tls]\nenabled = true\n[run]", 4, "tls is of coordnode's members: leave it out; certificates of etcd's clients"),
        ("[run]", "[settings]\n[run]", 4, "settings is of coordnode's members: leave it out; etcd's members have settings of their own"),
        ('address = "10.0.0.13"', 'address = "10.0.0.13"\nrole = "spare"', 19, "who votes is for etcd's members to say"),
        ('unit = "etcd"\n', 'unit = "etcd.service; rm"\n', 5, "give the name of a unit of systemd, such as etcd"),
        ('unit = "etcd"\n', 'unit = "etcd"\nstart = "x"\n', 6, "n1 has a unit and a start: give the one that starts its member"),
        ('data = "/var/lib/etcd"', 'data = "var/lib/etcd"', 6, "give the whole path of a folder, such as /var/lib/etcd"),
        ("[3380]", "3380", 16, "peer-ports = 3380: give a list of ports, such as [2380]"),
        ("[3380]", "[70000]", 16, "give a port from 1 to 65535"),
        ("[3380]", "[3379]", 16, "port 3379 of n2 is for its clients: give those on which members speak"),
        ("pid-file", "pidfile", 14, "no key pidfile in [hosts.n2.run]; did you mean pid-file?"),
        ('start = "/opt/etcd/start --now"', 'start = "a\\nb"', 13, "give a command in one line"),
    ],
)  # fmt: skip
def test_each_mistake_about_another_engine_has_its_line_and_the_remedy(old: str, new: str, line: int, said: str) -> None:
    assert ETCD.count(old) == 1
    found = mistakes(ETCD.replace(old, new))
    assert any(one.startswith(f"x.toml:{line}: ") and said in one for one in found), found


def test_what_somebody_else_runs_is_changed_by_nobody_here(tmp_path: Path) -> None:
    (tmp_path / "keys.toml").write_text(ETCD)
    path = str(tmp_path / "keys.toml")
    assert places.of_any_engine(path).engine == "etcd"
    with pytest.raises(BadRequest, match="keys has members of etcd, which somebody else deployed and runs: coordctl does not deploy"):
        places.chosen(path)


def test_lines_are_found_in_tables_of_every_form() -> None:
    lines = lines_of('a.b = 1\n\n["c d".e]\nf = { g = 1, "h i" = 2 }\n[[j]]\nk = 1\n')
    assert [lines[("a", "b")], lines[("c d", "e", "f", "h i")], lines[("j", "k")]] == [1, 4, 6]
    assert line_of(lines, ("c d", "e", "missing")) == 3


def test_pins_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = str(tmp_path / "x.known_hosts")
    assert pins.read(path) == {}
    keys = {"n1": HostKey("ssh-ed25519", b"one"), "jump/b": HostKey("ssh-rsa", b"two")}
    pins.write(path, keys)
    assert pins.read(path) == keys
    (tmp_path / "x.known_hosts").write_text("# mine\nn1 ssh-ed25519 ???\n")
    with pytest.raises(BadRequest, match=r"x\.known_hosts:2: a pinned key is NAME KIND BASE64"):
        pins.read(path)


def test_a_cluster_is_found_by_name_here_then_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, home = tmp_path / "here", tmp_path / "config" / "coordctl"
    here.mkdir()
    home.mkdir(parents=True)
    monkeypatch.chdir(here)
    environment = {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    with pytest.raises(BadRequest, match="no inventory is here: make one with `coordctl inventory init NAME ADDRESS"):
        places.path_of("", environment)
    (home / "payments.toml").write_text(RIGHT)
    (here / "pyproject.toml").write_text("[project]\n")
    assert places.path_of("", environment) == str(home / "payments.toml")
    (here / "orders.toml").write_text(RIGHT)
    assert places.names(environment) == ["orders", "payments"]
    with pytest.raises(BadRequest, match=r"there are several inventories \(orders, payments\): name one with -c"):
        places.path_of("", environment)
    with pytest.raises(BadRequest, match="did you mean orders"):
        places.path_of("order", environment)
    assert places.path_of("", {**environment, "COORD_CLUSTER": "orders"}) == str(here / "orders.toml")
    with pytest.raises(BadRequest, match="cannot be read: No such file"):
        read(places.path_of("./nowhere.toml", environment))
