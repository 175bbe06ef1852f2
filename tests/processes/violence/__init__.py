"""Violence against real members, a load that writes down what it saw, and the judgement over both."""
