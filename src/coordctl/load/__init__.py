"""Load as values: when each request is meant to be sent, what the answers make of it, where the time went, and what is short. Pure.

May import: nothing of coordctl. Promises: no clock, no socket; a time is that from when a request was meant to be sent, so that what
waits behind a slow answer counts as slow, too.
"""
