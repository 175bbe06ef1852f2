"""Every call of a real member that touches its disk, in turn: killed there, torn there, or failed there; then all promises are checked.

`python -m tests.processes.points --help`; the file tests/processes/test_points.py runs a share of it.
"""
