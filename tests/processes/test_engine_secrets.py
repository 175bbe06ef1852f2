"""etcd and ZooKeeper with certificates and users: everything works as in the clear, and whoever is shut out reads why, in a sentence."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from coordctl.local import foreign
from tests.processes.conftest import is_here
from tests.processes.local import Home
from tests.processes.members import free_port, wait_until
from tests.processes.trust import HERE, Trust

SERVES_SECONDS = 120.0
LOGS = subprocess.DEVNULL
FORGOTTEN = "/usr/share/java/netty-codec.jar:/usr/share/java/netty-resolver.jar"  # by Debian's list of what ZooKeeper needs
SETTINGS = """tickTime=500
minSessionTimeout=1000
admin.enableServer=false
4lw.commands.whitelist=srvr
serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory
ssl.clientAuth=need
"""


class Guarded:
    """One member that wants certificates."""

    def __init__(self, home: Home, engine: str, name: str = "") -> None:
        self.home = home
        self.folder = home.folder / (name or engine)
        self.trust = Trust("ours")
        self.member = self.trust.folder(self.folder / "member", name="app")  # which is a user's name, too: nobody shall be taken for it
        self.client = self.trust.folder(self.folder / "client", name="client")
        self.address = f"{HERE}:{free_port(HERE)}"
        self.endpoints = {"etcd": "etcd://", "zookeeper": "zk://"}[engine] + self.address
        command = _etcd(self) if engine == "etcd" else _zookeeper(self)
        home.others.append(subprocess.Popen(command, stdout=LOGS, stderr=LOGS, cwd=self.folder))
        wait_until(lambda: self.run("kv", "ls").returncode == 1, "it serves", SERVES_SECONDS)

    def run(self, *arguments: str, tls: str | None = None, **environment: str) -> "subprocess.CompletedProcess[bytes]":
        told = {"COORD_ENDPOINTS": self.endpoints, "COORD_TLS": self.client if tls is None else tls, **environment}
        return self.home.run(*arguments, **told)

    def ctl(self, *arguments: str, tls: str | None = None, code: int = 0, **environment: str) -> str:
        """What it said, wherever, on one line."""
        done = self.run(*arguments, tls=tls, **environment)
        said = done.stdout.decode() + done.stderr.decode()
        assert done.returncode == code, said
        return " ".join(said.split())


def _etcd(guarded: Guarded) -> list[str]:
    here, among, own = f"https://{guarded.address}", f"http://{HERE}:{free_port(HERE)}", guarded.member
    return [
        *("etcd", "--name", "n1", "--data-dir", f"{guarded.folder}/data", "--logger", "zap", "--bcrypt-cost", "4"),
        *("--listen-client-urls", here, "--advertise-client-urls", here),
        *("--listen-peer-urls", among, "--initial-advertise-peer-urls", among, "--initial-cluster", f"n1={among}"),
        *("--client-cert-auth", "--trusted-ca-file", f"{own}/ca.pem"),
        *("--cert-file", f"{own}/certificate.pem", "--key-file", f"{own}/key.pem"),
    ]


def _zookeeper(guarded: Guarded) -> list[str]:
    own = Path(guarded.member)
    (own / "both.pem").write_bytes((own / "key.pem").read_bytes() + (own / "certificate.pem").read_bytes())
    stores = f"ssl.keyStore.location={own}/both.pem\nssl.trustStore.location={own}/ca.pem\n"
    port = guarded.address.partition(":")[2]
    settings = guarded.folder / "zoo.cfg"
    where = f"dataDir={guarded.folder}/data\nsecureClientPort={port}\nsecureClientPortAddress={HERE}\n"
    settings.write_text(SETTINGS + where + stores)
    return ["java", *foreign.JAVA, "-cp", f"{foreign.JAR}:{FORGOTTEN}", "org.apache.zookeeper.server.quorum.QuorumPeerMain", str(settings)]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    made = Home(tmp_path_factory.mktemp("guarded"))
    yield made
    made.close()


@pytest.fixture(scope="module", params=["etcd", "zookeeper"])
def guarded(place: Home, request: pytest.FixtureRequest) -> Guarded:
    if not is_here(request.param):
        pytest.skip(foreign.REMEDIES[request.param])
    return Guarded(place, request.param)


def test_with_certificates_everything_is_as_without(guarded: Guarded) -> None:
    guarded.ctl("kv", "put", "a", "b")
    assert guarded.ctl("kv", "get", "a") == "b"
    assert guarded.ctl("lock", "run", "x", "--", "echo", "done") == "done"
    assert "can lose 0" in guarded.ctl("health")
    assert guarded.ctl("canary", "run", "-q", "--count", "1", "--timeout", "10s").startswith("OK")


def test_who_is_shut_out_reads_why(guarded: Guarded) -> None:
    """It surely did not happen, so it is no doubt: a write, too."""
    ours, others, made = guarded.trust, Trust("others"), guarded.folder
    cases = {
        "": "it speaks TLS: COORD_TLS is to name a folder with ca.pem",
        ours.folder(made / "nobody"): "it wants a certificate of who asks: put certificate.pem and key.pem into",
        others.folder(made / "stranger", ours, name="client"): "stranger/certificate.pem",
        ours.folder(made / "unbelieving", others, name="client"): "its certificate is not believed by",
    }
    for tls, sentence in cases.items():
        said = guarded.ctl("kv", "put", "a", "b", tls=tls, code=77)
        assert f"no member lets us in ({guarded.address}:" in said
        assert sentence in said
        assert sentence in guarded.ctl("health", tls=tls, code=3)
    for tls, sentence in list(cases.items())[:2]:
        said = (guarded.ctl("lock", "run", "x", "--timeout", timeout, "--", "true", tls=tls, code=69) for timeout in ("1s", "20s"))
        assert any(sentence in one for one in said), "a second may not be enough to be shut out in"


def test_a_member_is_believed_at_its_address_only(guarded: Guarded) -> None:
    elsewhere = guarded.endpoints.replace(HERE, "localhost")
    assert "not valid for 'localhost'" in guarded.ctl("kv", "get", "a", code=77, COORD_ENDPOINTS=elsewhere)


def test_a_folder_that_cannot_be_used_is_named(guarded: Guarded) -> None:
    nowhere = str(guarded.folder / "nowhere")
    for command in (("kv", "get", "a"), ("lock", "run", "x", "--", "true")):
        assert f"{nowhere}: ca.pem: No such file or directory" in guarded.ctl(*command, tls=nowhere, code=64)


def test_users_of_etcd_are_who_their_password_says(place: Home) -> None:
    """A token that etcd has forgotten is followed by another one."""
    if not is_here("etcd"):
        pytest.skip(foreign.REMEDIES["etcd"])
    guarded = Guarded(place, "etcd", "users")
    named, guarded.client = guarded.client, guarded.trust.folder(guarded.folder / "unnamed", name="")

    def etcdctl(*words: str) -> None:
        own = guarded.client
        command = ["etcdctl", "--endpoints", f"https://{guarded.address}", "--user", "root:secret", "--cacert", f"{own}/ca.pem"]
        command += ["--cert", f"{own}/certificate.pem", "--key", f"{own}/key.pem", *words]
        subprocess.run(command, check=True, stdout=LOGS, stderr=LOGS, env={**place.environment, "ETCDCTL_API": "3"})

    app = _password(guarded, "app:wonder")
    guarded.ctl("kv", "put", "app/a", "b", COORD_AUTH_TOKEN_FILE=app)  # nobody is asked yet who he is
    for words in ("user add root:secret", "user grant-role root root", "user add app:wonder", "role add app", "user grant-role app app"):
        etcdctl(*words.split())
    for prefix in ("app/", "coordctl/"):
        etcdctl("role", "grant-permission", "app", "--prefix=true", "readwrite", prefix)
    etcdctl("auth", "enable")
    assert guarded.ctl("kv", "get", "app/a", COORD_AUTH_TOKEN_FILE=app) == "b"
    assert "etcd permits it not" in guarded.ctl("kv", "get", "other", COORD_AUTH_TOKEN_FILE=app, code=77)
    assert "authentication failed" in guarded.ctl("kv", "get", "app/a", COORD_AUTH_TOKEN_FILE=_password(guarded, "app:x"), code=77)
    assert "USER:PASSWORD" in guarded.ctl("kv", "get", "app/a", code=77)
    assert "USER:PASSWORD" in guarded.ctl("kv", "get", "app/a", COORD_AUTH_TOKEN_FILE=_password(guarded, "app"), code=64)
    assert "no certificate with a common name" in guarded.ctl("kv", "get", "app/a", tls=named, COORD_AUTH_TOKEN_FILE=app, code=77)
    told = {"COORD_ENDPOINTS": guarded.endpoints, "COORD_TLS": guarded.client, "COORD_AUTH_TOKEN_FILE": app}
    command = [sys.executable, "-m", "coordctl", "lock", "run", "x", "--ttl", "30s", "--", "sh", "-c", "echo on; read go; echo off"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env={**place.environment, **told}, **pipes) as held:  # type: ignore[call-overload]
        assert held.stdout.readline() == b"on\n"
        etcdctl("auth", "disable")  # which forgets all tokens
        etcdctl("auth", "enable")
        assert held.communicate(b"go\n") == (b"off\n", b"")
        assert held.returncode == 0
    assert guarded.ctl("lock", "show", "x", code=1, COORD_AUTH_TOKEN_FILE=app), "it was released"


@pytest.mark.parametrize("guarded", ["zookeeper"], indirect=True)
def test_what_a_user_makes_on_zookeeper_is_of_who_shows_the_same(guarded: Guarded) -> None:
    """A password, or the certificate that it was made with."""
    app, wrong = _password(guarded, "app:wonder"), _password(guarded, "app:x")
    other = guarded.trust.folder(guarded.folder / "other", name="other")
    guarded.ctl("kv", "put", "app/a", "b", COORD_AUTH_TOKEN_FILE=app)
    assert guarded.ctl("kv", "get", "app/a", tls=other, COORD_AUTH_TOKEN_FILE=app) == "b"
    assert guarded.ctl("lock", "run", "own", "--", "echo", "done", tls=other, COORD_AUTH_TOKEN_FILE=app) == "done"
    assert guarded.ctl("lock", "run", "others", "--", "echo", "done", tls=other, COORD_AUTH_TOKEN_FILE=wrong) == "done"
    for command in (("kv", "get", "app/a"), ("kv", "put", "app/b", "c")):
        assert "access lists" in guarded.ctl(*command, tls=other, COORD_AUTH_TOKEN_FILE=wrong, code=77)
    kept = guarded.ctl("lock", "acquire", "kept", COORD_AUTH_TOKEN_FILE=app)
    token = guarded.ctl("lock", "acquire", "ours", tls=other, COORD_AUTH_TOKEN_FILE=wrong)
    seen = guarded.ctl("lock", "ls", tls=other, COORD_AUTH_TOKEN_FILE=wrong)
    assert "ours" in seen and "kept" not in seen, "a line of another user is not shown, and keeps nothing else from being shown"
    guarded.ctl("lock", "release", "ours", token, tls=other, COORD_AUTH_TOKEN_FILE=wrong)
    guarded.ctl("lock", "release", "kept", kept, COORD_AUTH_TOKEN_FILE=app)


def _password(guarded: Guarded, said: str) -> str:
    path = guarded.folder / said.replace(":", "-")
    path.write_text(said + "\n")
    return str(path)
