"""Logs of several members, brought together: read, put in order, compared, explained.

`lines` knows the formats, `mining` counts, `align` finds each clock's offset, `rates` has the statistics, `comparing` finds what is
different and where it began, `causal` what can follow from what, `explain` what most likely happened. All of these are pure: values in,
values out. Only `files` touches files and starts processes.

May import facts, transport, results.
"""
