"""What strangers may do to a member that runs: bad input by the million, greed, sloth, crowds; and somebody beside them who behaves.

inputs    nearly right frames and requests, for each port      thrower     throws them, and sees how each connection ends
bystander a client that behaves, and how long its answers took  crowd       many connections at once
"""
