"""An inventory as values. Pure."""

from dataclasses import dataclass, field

ENVIRONMENTS = ("dev", "staging", "prod")
ROLES = ("voter", "learner", "spare")
COORDNODE, ETCD, ZOOKEEPER = ENGINES = ("coordnode", "etcd", "zookeeper")
PORTS = {COORDNODE: 7001, ETCD: 2379, ZOOKEEPER: 2181}
PEER_PORTS = {ETCD: (2380,), ZOOKEEPER: (2888, 3888)}  # coordnode's members speak with one another on the port that clients use
SSH_CONFIG = "~/.ssh/config"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ssh:
    """How a host is reached. What is not said here, ~/.ssh/config may say, and then what ssh does by itself."""

    host: str = ""  # a name of ~/.ssh/config, or where its sshd is; "": the host's address
    user: str = ""
    port: int = 0
    key: str = ""  # file of a private key; "": the agent's, and ssh's usual files
    jump: str = ""  # user@host:port to go through
    config: str = SSH_CONFIG
    sudo: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How a member of another engine is run on its host, by whoever deployed it. Where nothing is said, nothing is done there."""

    unit: str = ""  # of systemd
    start: str = ""  # a command line that starts it, where no unit does
    pid_file: str = ""  # "": its process is who listens at its port
    data: str = ""  # folder
    log: str = ""  # file; "": the journal of its unit
    peer_ports: tuple[int, ...] = ()  # on which members speak with one another

    @property
    def can_start(self) -> bool:
        return bool(self.unit or self.start)

    @property
    def service(self) -> str:
        """As systemd lists it; "": there is none."""
        return self.unit if not self.unit or self.unit.endswith(".service") else f"{self.unit}.service"


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    name: str
    address: str  # how members and clients reach it
    port: int = PORTS[COORDNODE]
    role: str = "voter"
    zone: str = ""
    labels: tuple[str, ...] = ()
    ssh: Ssh = Ssh()
    folder: str = ""  # everything of this cluster on that host; "": as its user's rights have it
    settings: dict[str, str] = field(default_factory=dict)  # of its member, the cluster's among them
    run: Run = Run()  # of another engine's

    @property
    def endpoint(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    path: str
    name: str
    environment: str
    hosts: tuple[Host, ...]
    tls: bool = True
    certificate_days: int = 397
    engine: str = COORDNODE  # any other: somebody else deployed its members, and runs them

    def voters(self) -> tuple[Host, ...]:
        """Those that found the cluster. Who belongs to it later is for the cluster to say."""
        return tuple(host for host in self.hosts if host.role == "voter")

    def host(self, name: str) -> Host | None:
        return next((host for host in self.hosts if host.name == name), None)

    def beside(self, suffix: str) -> str:
        """A file that belongs to this inventory: payments.toml → payments.SUFFIX."""
        return f"{self.path.removesuffix('.toml')}.{suffix}"
