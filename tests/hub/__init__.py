"""A Hugging Face Hub for tests, on loopback: the real client talks to it, nothing of it is patched.

    with HubServer() as hub:
        hub.seed("alice/tiny", {"config.json": b"{}", "model.safetensors": weights})
        ...
        assert [str(entry) for entry in hub.requests()] == ["GET /api/models/alice/tiny 200"]

`python -m hub --help`, in the folder `tests`, runs one by hand. Where it is less than the real one:
models, and data sets that are read; users only (no organizations); answers are never compressed;
of a card's metadata, nested values are not checked; regular files come from the site itself; with
Xet, the client writes to the simulated store that hf_xet has, a folder.
"""

from hub.server import HubServer

__all__ = ["HubServer"]
