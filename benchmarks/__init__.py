"""zoo against its peers, one claim a file: `python -m benchmarks`, or one alone: `python -m
benchmarks.creating`.
"""
