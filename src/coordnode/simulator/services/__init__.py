"""The services that clients of the simulator use. A new one is its own file here and one line in SERVICES."""

from coordnode.simulator.services.auth import SimAuth
from coordnode.simulator.services.barriers import SimBarriers
from coordnode.simulator.services.counters import SimCounters
from coordnode.simulator.services.elections import SimElections
from coordnode.simulator.services.groups import SimGroups
from coordnode.simulator.services.guarded import SimGuarded
from coordnode.simulator.services.journals import SimJournals
from coordnode.simulator.services.kv import SimKv
from coordnode.simulator.services.locks import SimLocks
from coordnode.simulator.services.queues import SimQueues
from coordnode.simulator.services.service import SimService
from coordnode.simulator.services.sessions import SimSessions
from coordnode.simulator.services.shards import SimShards
from coordnode.simulator.services.watches import SimWatches

SERVICES: tuple[type[SimService], ...] = (
    SimKv,
    SimWatches,
    SimGroups,
    SimShards,
    SimBarriers,
    SimQueues,
    SimLocks,
    SimElections,
    SimCounters,
    SimGuarded,
    SimJournals,
    SimSessions,
    SimAuth,
)
"""In the order in which they draw: appending one leaves the draws of the others as they were."""
