"""ZooKeeper of version 3.5 and later, in its own protocol: frames of big-endian numbers over one socket, spoken here by ourselves.

No client library, because none tells what we build on: when that was sent which was answered. And a runner forks, which the threads of
one would not survive.

A lock is an ephemeral sequential node, and its token is the zxid that made it. A ping proves nothing, since a follower answers it by
itself, whether or not its leader still counts on it: a renewal is an entry of the log that checks our node, and what it renews is known
one round later (`talk`).
"""
