"""etcd of version 3.4 and later, through its JSON gateway: over HTTP/1.1, which takes a socket and 100 lines, where gRPC would take HTTP/2
and its compressed headers, or a package that is loaded in 150 ms. The price is a hop inside of the member, 0.2 ms.

A lock is a lease and a key with it; its place in line and its token are the key's create revision. A renewal is an answered keep-alive
**and** a transaction that went through the log after it, in the same term: only then no other leader can have counted the lease in between.
"""
