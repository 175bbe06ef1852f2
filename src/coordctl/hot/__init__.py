"""Asking a cluster one thing, from a process that has just started: sockets and a little msgpack, no click, no msgspec.

May import local, and of coordnode: errors, ids, light. Promises: each question ends by its deadline; a write is never sent again unless
that is safe; what is not known to have failed is never called failed. A test holds the list of modules that these verbs load.
"""
