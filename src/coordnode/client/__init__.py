"""The client. `core` is PURE: who leads, what may be retried, lease arithmetic, resuming watches; the shells around it only move bytes.

May import wire, services (types), limits, errors, ids. Promises: a call's outcome is definite only if every attempt was;
a lease is never believed longer than the cluster keeps it; a watch neither loses nor doubles a change.
"""
