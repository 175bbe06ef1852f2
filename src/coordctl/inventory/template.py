"""What `inventory init` writes: a file that works once its addresses are right, and says what else there is. Pure."""

from collections.abc import Sequence

TEXT = """\
# The cluster {name}. `coordctl inventory validate` checks it, `coordctl inventory trust` pins the hosts' keys beside it.
name = "{name}"
environment = "{environment}"           # dev, staging or prod: prod asks for its name before anything is destroyed
# port = 7001                  # of each member
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

HOST = """\
[hosts.{name}]
address = "{address}"
# role = "voter"               # voter, learner or spare
# zone = "a"                   # hosts of one zone fail together
# labels = ["ssd"]
# ssh = {{ host = "{name}.example", user = "ops", port = 22 }}
# settings = {{ tick = "40ms" }}
"""

BRIEF_HOST = """\
[hosts.{name}]
address = "{address}"
"""


def template(name: str, environment: str, addresses: Sequence[str]) -> str:
    hosts = [(BRIEF_HOST if number > 1 else HOST).format(name=f"n{number}", address=address) for number, address in enumerate(addresses, 1)]
    return TEXT.format(name=name, environment=environment, hosts="\n".join(hosts))
