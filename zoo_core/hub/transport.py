"""Whether an address is safe for weights and tokens: what travels in the clear can be changed."""

from __future__ import annotations

from urllib.parse import urlsplit

LOOPBACK = ("127.0.0.1", "::1", "localhost")


def is_safe(url: str) -> bool:
    """Whether what is sent to an address is encrypted, or stays on this machine.

    >>> is_safe("https://example.com/x"), is_safe("http://example.com/x"), is_safe("http://[::1]/x")
    (True, False, True)
    """
    parts = urlsplit(url)
    return parts.scheme == "https" or parts.hostname in LOOPBACK
