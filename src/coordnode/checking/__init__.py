"""Histories of what clients saw, models of what they may see, and the checkers that judge. Pure.

Owns every rule by which a run is called right or wrong. Imports only limits, errors and ids: the checked code is never
used to check itself. Promises: a pass carries an order that `certificate.verify` accepts, a violation is never called
for want of time or memory (that is "unknown", with the reason).
"""
