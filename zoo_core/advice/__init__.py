"""Before training: which backbone, how much of it, and what is wrong with the pictures."""
