"""A whole cluster in one thread and virtual time, everything from one seed, so that a failure can be seen again.

Owns the world that tries to break a cluster: virtual time, network, disks, clocks, faults, workload, and what is checked all along.
Runs the real replica, driver, storage and client core; only network, disk, clock and threads are simulated.
May import everything but net and node. Promises: the same seed and options give the same run, on every Python and hash seed.
"""
