"""A cluster's own certificate authority: its files, and the certificates it makes. cryptography is loaded by `making` alone.

May import nothing of coordctl. Promises: every key is readable by its owner alone, from the moment it exists; none is ever printed.
"""
