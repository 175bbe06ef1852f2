"""Programs that run on hosts: sent there as text, or shipped with a build. Each is one file, and those of
this room that are sent along with it, and needs Python 3.11 alone.

May import nothing but the standard library. Promises: `main` takes what it is told as values and prints one JSON object, or is a
process of its own.
"""
