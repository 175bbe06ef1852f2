"""The kinds of number that name things. A type checker keeps them apart; at run time they are ints."""

from __future__ import annotations

from coordnode.light import NewType

ClusterId = NewType("ClusterId", int)  # random, 1 .. 2**53 - 1, so that JSON carries it unharmed
MemberId = NewType("MemberId", int)  # random, 1 .. 2**53 - 1; 0 means "nobody"
Term = NewType("Term", int)  # Raft's term; never shown to a user as a fencing token
Index = NewType("Index", int)  # position in the replicated log; the first entry has index 1
WriteId = NewType("WriteId", int)  # one submission to the ordered storage queue
Revision = NewType("Revision", int)  # grows by one with each command that changed something a watch can see
SessionId = NewType("SessionId", int)  # 0 means "no session"
Sequence = NewType("Sequence", int)  # a session's own numbering of its requests, from 1
Token = NewType("Token", int)  # fencing token, below 2**53

NOBODY = MemberId(0)
NO_SESSION = SessionId(0)
