"""Clusters that live on this machine, as `coordctl up` makes them: where they are, who their members are, which processes run.

May import nothing of coordctl, and of coordnode: errors, ids. Promises: light to import; a process is signalled only if it
surely is the one that was started.
"""
