"""The replicated state machines: what the cluster remembers and by which rules it changes. Pure.

Owns: commands and their codec, sessions, kv, event history, tables with snapshot and digest.
May import: limits (never inside apply), errors, ids. Promises: same log, same state, same digest, on every member and every Python.
"""
