"""Archives: a member's whole state in one file, and a cluster made anew from it.

May import storage, services and the types of raft. Promises: an archive holds the state at one index, journals included; no byte of it
can change without being noticed, and the damage is named; the folder that it is taken from is only read; what is made from it has the
state that the archive's seal says, under another cluster's id, with no session, and grants tokens above all that were ever granted.
"""
