"""From which feature level on apply decides otherwise than builds did that do not know it. Below, every member decides as they do. Pure."""

MENDED = 5
"""- An opening goes by its nonce alone, also where it has a request id, and whatever is kept for retries can be forgotten again.
- A queue's deduplication keys that have expired stand in no put's way, nor do any where none is to be remembered.
- A lock stays closed for its lock-delay also when the last one inside, whose session ends uncleanly, was below its holder.
- Who does not wait passes no bound by a lock of which a lock-delay has run out and nobody has ended it yet.
"""
