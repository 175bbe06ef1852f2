"""One member's rules: raft and services joined, and who waits for what. Pure: events in, effects out.

May import: raft, services, limits, errors, ids. Promises: `handle` does nothing but return what is to be done.
"""
