"""Xet: tokens that send the client to the simulated store of hf_xet, a folder.

hf_xet cuts files into chunks and keeps them there itself: see shards.py and xorbs.py.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from hub.access import readable, writable
from hub.messages import Refusal, Request, Response, answer
from hub.routes import route

if TYPE_CHECKING:
    from hub.server import HubServer

VALID = 3600


def read_token(hub: HubServer, request: Request, repo: str, rev: str) -> Response:
    readable(hub, request, repo)
    return token(hub, "read")


def write_token(hub: HubServer, request: Request, repo: str, rev: str) -> Response:
    writable(hub, request, repo, rev, request.flag("create_pr"))
    return token(hub, "write")


def token(hub: HubServer, scope: str) -> Response:
    """In headers, for huggingface_hub, and in the body, for hf_xet."""
    if hub.xet is None:
        raise Refusal(404, "Xet is not enabled on this Hub")
    until, url = int(time.time()) + VALID, f"local://{hub.xet}"
    access = f"xet_{scope}_{until}"
    headers = {"X-Xet-Cas-Url": url, "X-Xet-Access-Token": access}
    headers["X-Xet-Token-Expiration"] = str(until)
    return answer({"casUrl": url, "accessToken": access, "exp": until}, headers=headers)


ROUTES = [
    route("GET", "/api/models/{repo}/xet-read-token/{rev}", read_token),
    route("GET", "/api/models/{repo}/xet-write-token/{rev}", write_token),
]
