"""Consensus, complete and pure: messages, ticks and completed writes go in, `Ready` comes out.

Owns: terms, votes, the log in memory, replication, read rounds, membership, snapshot transfer.
May import: limits, errors, ids. Promises: no clock, file, socket, thread or global randomness; same input, same output.
"""
