"""One file per verb: parse, call one operation, hand the result to report.

May import operations, report, results, inventory, runner. Promises: no decision is taken here, and nothing is printed here.
"""
