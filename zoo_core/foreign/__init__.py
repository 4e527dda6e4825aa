"""Checkpoints that somebody else's code wrote, turned into ours: the steps behind `convert.py`."""
