"""Locks: exclusive, shared and counted; first come, first served; one token for each grant. Pure.

A lock exists while somebody holds it, waits for it, or keeps it closed for a while after an unclean end (lock-delay). Whether who
asks has it now is decided here, in the entry that carries the question, and nowhere else: nobody is granted anything later than
that without being told by a notice, which each waiter gets once, however many wait.

    rows       what is kept                      reentry    a holder comes in again, or one below it does
    service    what is asked, and the answers    delay      closed for a while after an unclean end
    line       who waits, who is granted         circles    a wait that would never end
    checks     what is wrong whatever the state  shown      what readers see
"""
