"""The embedded proxy: TCP links that can be made slow, narrow, deaf or dead, and the HTTP API of toxiproxy 2.12 to say so.

`toxics` knows the kinds, `stages` what each does to the bytes of one direction, `links` carries connections, `registry` has the proxies,
`api` answers requests, `server` listens. May import nothing of coordctl.
"""
