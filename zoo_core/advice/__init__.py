"""Before training: which model, how much of it, and what is wrong with the pictures."""
