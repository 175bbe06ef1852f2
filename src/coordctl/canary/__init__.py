"""What a canary found, and what follows from it: samples of probes, rounds of them, and the judgement over a run. Pure.

May import results. Promises: of what could not be reached from here nothing is claimed; a promise seen broken outweighs all else.
"""
