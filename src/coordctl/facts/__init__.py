"""What is known about a cluster, and what follows from it: the one list of checks that status, health and wait share. Pure.

May import results. Promises: a member that did not answer is a fact too, and is never left out.
"""
