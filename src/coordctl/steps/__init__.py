"""Small changes of a host, each of which knows from facts whether it is needed, and can be done again without harm.

May import facts, onhost, transport, inventory, results. Promises: what a step says is what it does; the needed ones of a phase are one
script; a script that ends midway leaves what the next run mends.
"""
