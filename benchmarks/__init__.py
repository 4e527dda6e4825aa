"""zoo against its peers, one claim a file.

All: `python -m benchmarks`; one alone: `python -m benchmarks.creating`.
"""
