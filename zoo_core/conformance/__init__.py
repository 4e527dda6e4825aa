"""The conformance kit: what is checked of a plugin, point by point.

`zoo plugins check`, `zoo_core.testing` and the pytest plugin run the same cases.
"""
