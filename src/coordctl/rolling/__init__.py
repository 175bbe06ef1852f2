"""A rolling upgrade as values: the plan and its journal, what comes next, what a failure or an abort makes of it, what each gate wants.

May import facts. Promises: pure; whatever step a journal ends with, what comes next is decided from it and from what hosts say, so that
anybody can go on from anywhere.
"""
