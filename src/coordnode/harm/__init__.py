"""What a member suffers on purpose: faults of its own disk and clock, which it does to itself as it was ordered to.

There only with `fault_injection`, never in prod. May import storage, the client's clock. Promises: an order ends with its own time,
whoever wrote it is gone; without an order everything passes as it is; nothing of it is told in the logs, which must show what such a
fault looks like.
"""
