"""The procedures behind the verbs. They never print: what they find out is a result.

May import steps, facts, transport and other rooms below them, and of coordnode: client, checking, simulator, storage.reader, errors, ids.
"""
