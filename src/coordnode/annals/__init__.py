"""What happened to replicated objects, told again from a member's folder: its newest snapshot, and the log applied to it once more.

May import services (to apply), storage.reader (to read), types of raft. Promises: nothing is written; a running member is not disturbed.
"""
