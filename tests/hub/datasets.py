"""Repositories of data sets: what models have below /api/models, they have below /api/datasets.

Here they are called `datasets/OWNER/NAME`, also by `seed`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hub import downloads, refs, repos, trees
from hub.messages import Request, Response
from hub.routes import Answer, Route, route

if TYPE_CHECKING:
    from hub.server import HubServer

PREFIX = "datasets/"


def of_datasets(function: Answer) -> Answer:
    def answer(hub: HubServer, request: Request, repo: str, **named: Any) -> Response:
        return function(hub, request, f"{PREFIX}{repo}", **named)

    return answer


ASKED: list[tuple[str, str, Answer]] = [
    ("GET", "/api/datasets/{repo}", repos.info),
    ("GET", "/api/datasets/{repo}/revision/{rev}", repos.info),
    ("GET", "/api/datasets/{repo}/refs", refs.refs),
    ("GET", "/api/datasets/{repo}/tree/{rev}", trees.tree),
    ("GET", "/api/datasets/{repo}/tree/{rev}/{path}", trees.tree),
    ("POST", "/api/datasets/{repo}/paths-info/{rev}", trees.paths_info),
    ("GET", "/datasets/{repo}/resolve/{rev}/{path}", downloads.resolve),
]

ROUTES: list[Route] = [
    route(method, path, of_datasets(function)) for method, path, function in ASKED
]
