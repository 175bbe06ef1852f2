"""What a fleet is meant to be: one TOML file per cluster, read and checked as a whole, and the host keys that are believed, beside it.

May import nothing of coordctl but flags. Promises: who gets an `Inventory` gets one without a mistake; every mistake is named with its
line and the remedy, all of them at once.
"""
