"""How hosts are reached: run a script there, put a file there; over SSH, here, or from a record. The audit stands around each of them.

May import inventory, results. Promises: one script per host and phase; nothing is tried twice but connecting; no host key is believed
that is not pinned; each failure names its host. paramiko is loaded by `ssh` and `ssh_config` alone.
"""
