"""Mutated inputs for every decoder that reads what a stranger, a disk or an older build may have written.

The quick share runs with the other tests; `python -m tests.fuzz --inputs 1000000` runs the long one.
"""
