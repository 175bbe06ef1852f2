"""The services that clients of the simulator use. A new one is its own file here and one line in SERVICES."""

from coordnode.simulator.services.kv import SimKv
from coordnode.simulator.services.service import SimService
from coordnode.simulator.services.watches import SimWatches

SERVICES: tuple[type[SimService], ...] = (SimKv, SimWatches)
"""In the order in which they draw: appending one leaves the draws of the others as they were."""
