"""coordnode, etcd and ZooKeeper side by side: three members each on loopback, fdatasync, 16-byte keys, 64-byte values.

`python -m benchmarks.beside` is the command. `clusters` is what the three have in common, `coordnode`, `etcd` and `zookeeper` start
members and drive them with a generator that checks every reply, `newest` fetches the releases that Debian does not have, `rounds`
runs everything in turn, `report` makes tables, JSON and plots of it. Nothing that is fetched or measured is committed.
"""
