"""coordnode: one member of a coordination cluster."""

__version__ = "0.1.0"
