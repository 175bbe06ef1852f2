"""coordctl: the operator's toolkit and the user's client."""
