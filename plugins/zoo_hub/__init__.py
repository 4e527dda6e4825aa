"""The Hugging Face Hub: weights from `hf://OWNER/REPOSITORY[@REVISION][/FILE]`, and pushing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zoo_core.hookspecs import hookimpl
from zoo_core.types import Fetched, WeightSource

if TYPE_CHECKING:
    from zoo_core.types import Pushed, Upload


@hookimpl
def zoo_weight_sources() -> list[WeightSource]:
    about = "a repository of the Hugging Face Hub: hf://OWNER/REPOSITORY[@REVISION][/FILE]"
    return [WeightSource("hf", fetch_hub, summary=about, push=push_hub)]


def fetch_hub(reference: str, filename: str | None, **how: Any) -> Fetched:
    from zoo_hub.fetching import fetch

    return fetch(reference, filename, **how)


def push_hub(repository: str, upload: Upload, **how: Any) -> Pushed:
    from zoo_hub.pushing import push

    return push(repository, upload, **how)
