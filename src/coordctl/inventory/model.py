"""An inventory as values. Pure."""

from dataclasses import dataclass, field

ENVIRONMENTS = ("dev", "staging", "prod")
ROLES = ("voter", "learner", "spare")
PORT = 7001
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
class Host:
    name: str
    address: str  # how members and clients reach it
    port: int = PORT
    role: str = "voter"
    zone: str = ""
    labels: tuple[str, ...] = ()
    ssh: Ssh = Ssh()
    folder: str = ""  # everything of this cluster on that host; "": as its user's rights have it
    settings: dict[str, str] = field(default_factory=dict)  # of its member, the cluster's among them

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

    def voters(self) -> tuple[Host, ...]:
        """Those that found the cluster. Who belongs to it later is for the cluster to say."""
        return tuple(host for host in self.hosts if host.role == "voter")

    def host(self, name: str) -> Host | None:
        return next((host for host in self.hosts if host.name == name), None)

    def beside(self, suffix: str) -> str:
        """A file that belongs to this inventory: payments.toml → payments.SUFFIX."""
        return f"{self.path.removesuffix('.toml')}.{suffix}"
