"""The envelope, PURE: frames and their versions, who is speaking, and what the bodies hold. docs/protocol.md is its description.

May import the types of raft and services, limits, errors, ids. Promises: any bytes give frames or a named error, never more
memory than the bound of one frame, and an unknown version is refused by name.
"""
