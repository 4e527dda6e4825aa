"""The repository that the tests of this Hub push, look at and fetch."""

from __future__ import annotations

import os
from urllib.request import Request, urlopen

from huggingface_hub import CommitOperationAdd, HfApi

from hub import HubServer

REPO = "alice/tiny"
LARGE = "model.safetensors"
WEIGHTS = os.urandom(200_000)
CARD = "---\nlicense: apache-2.0\ntags:\n- vision\n---\n# Tiny\n"
FILES = {"config.json": b'{"a": 1}', "model.safetensors": WEIGHTS, "README.md": CARD.encode()}


def add(path: str, body: bytes) -> CommitOperationAdd:
    return CommitOperationAdd(path, body)


def push(files: dict[str, bytes], **options: object) -> str:
    operations = [add(path, body) for path, body in files.items()]
    done = HfApi().create_commit(REPO, operations, commit_message="Push", **options)
    return done.oid


def asked(hub: HubServer) -> list[str]:
    """The requests, without what makes them differ from run to run."""
    return [str(entry).replace(hub.cdn.url, "") for entry in hub.requests()]


def fetch(url: str, **headers: str) -> tuple[int, bytes, str]:
    with urlopen(Request(url, headers=headers)) as response:
        return response.status, response.read(), response.headers["ETag"]
