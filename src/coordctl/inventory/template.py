"""What `inventory init` writes: a file that works once its addresses are right, and says what else there is. Pure."""

from collections.abc import Sequence

from coordctl.inventory.model import COORDNODE, PEER_PORTS, PORTS

TEXT = """\
# The cluster {name}. `coordctl inventory validate` checks it, `coordctl inventory trust` pins the hosts' keys beside it.
name = "{name}"
environment = "{environment}"           # dev, staging or prod: prod asks for its name before anything is destroyed
# port = 7001                  # of each member
# engine = "coordnode"         # etcd, zookeeper: members that somebody else deployed; `inventory init --engine` writes such a file
# folder = "/srv/{name}"       # all of this cluster on each host; default: /var/lib/coordnode/{name}, ~/.coordnode/{name} without root

[ssh]                          # for all hosts; what is not said here, ~/.ssh/config says
# user = "ops"
# port = 22
# key = "~/.ssh/id_ed25519"
# jump = "ops@bastion"
# sudo = true                  # become root there, without a password; needed for systemd and a user of its own

[tls]
enabled = true                 # certificates between members and for clients
# days = 397

[settings]                     # of every member: see coordnode run --help
# snapshot-entries = 50000
# promote-after = "10m"        # a learner takes the place of a voter that was silent for so long; without it nobody does by itself

{hosts}"""

FOREIGN_TEXT = """\
# The cluster {name}, whose members somebody else deployed and runs. `coordctl inventory validate` checks this, and -c {name} names it from
# now on; for chaos `coordctl inventory trust` pins the hosts' keys beside it.
name = "{name}"
environment = "{environment}"           # dev, staging or prod: prod asks for its name before anything is broken
engine = "{engine}"
# port = {port}                  # of each member, for its clients
# folder = "/srv/{name}"       # where chaos keeps on each host what it is to heal; default: /var/lib/coordnode/{name}

[ssh]                          # for all hosts; what is not said here, ~/.ssh/config says
# user = "ops"
# port = 22
# key = "~/.ssh/id_ed25519"
# jump = "ops@bastion"
# sudo = true                  # become root there, without a password

[run]                          # how members are run there; a host's own table may say otherwise
unit = "{engine}"                # of systemd, or else:
# start = "/opt/{engine}/start"  # a command that starts it
# pid-file = "/run/{engine}.pid" # where it writes its pid; default: who listens at its port
# data = "/var/lib/{engine}"     # folder of what it stores
# log = "/var/log/{engine}.log"  # file; default: the journal of its unit
# peer-ports = {peer_ports}

{hosts}"""

HOST = """\
[hosts.{name}]
address = "{address}"
# role = "voter"               # voter, learner or spare
# zone = "a"                   # hosts of one zone fail together
# labels = ["ssd"]
# ssh = {{ host = "{name}.example", user = "ops", port = 22 }}
# settings = {{ tick = "40ms" }}
"""

FOREIGN_HOST = """\
[hosts.{name}]
address = "{address}"
# zone = "a"                   # hosts of one zone fail together
# labels = ["ssd"]
# ssh = {{ host = "{name}.example", user = "ops", port = 22 }}
# run = {{ data = "/srv/data" }}
"""

BRIEF_HOST = """\
[hosts.{name}]
address = "{address}"
"""


def template(name: str, environment: str, addresses: Sequence[str], engine: str = COORDNODE) -> str:
    first = HOST if engine == COORDNODE else FOREIGN_HOST
    hosts = [
        (BRIEF_HOST if number > 1 else first).format(name=f"n{number}", address=address) for number, address in enumerate(addresses, 1)
    ]
    if engine == COORDNODE:
        return TEXT.format(name=name, environment=environment, hosts="\n".join(hosts))
    ports = {"port": PORTS[engine], "peer_ports": list(PEER_PORTS[engine])}
    return FOREIGN_TEXT.format(name=name, environment=environment, engine=engine, hosts="\n".join(hosts), **ports)
