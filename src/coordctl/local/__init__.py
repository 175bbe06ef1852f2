"""Clusters that live on this machine, as `coordctl up` makes them: where they are, who their members are, which processes run.

May import nothing of coordctl, and of coordnode: errors, ids, light. Promises: quick to import; a process is signalled only if it
surely is the one that was started.
"""
