"""The replicated state machine, promise by promise."""
