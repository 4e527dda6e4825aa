"""What reaches a terminal: the few doors that all text goes through, and what they let pass."""
