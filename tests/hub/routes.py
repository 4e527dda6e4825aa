"""Which function answers which request.

A path is written as in `/api/models/{repo}/tree/{rev}/{path}`: `{repo}` is an owner and a name,
`{rev}` one quoted segment or `refs/pr/1`, `{path}` all the rest, any other name one segment.
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Callable, Iterable
from typing import Any

from hub.messages import Refusal, Request, Response

Answer = Callable[..., Response]
Route = tuple[str, re.Pattern[str], Answer]
SHAPES = {"repo": r"[^/]+/[^/]+", "rev": r"refs/(?:pr|heads)/[^/]+|[^/]+", "path": r".+"}


def route(method: str, path: str, function: Answer) -> Route:
    shape = re.sub(r"{(\w+)}", lambda m: f"(?P<{m[1]}>{SHAPES.get(m[1], '[^/]+')})", path)
    return method, re.compile(shape), function


def dispatch(routes: Iterable[Route], hub: Any, request: Request) -> Response:
    """The answer of the first route that fits; a HEAD is answered as the GET would be."""
    asked = "GET" if request.method == "HEAD" else request.method
    other = False
    for method, shape, function in routes:
        found = shape.fullmatch(request.path)
        if found and method == asked:
            named = {name: urllib.parse.unquote(text) for name, text in found.groupdict().items()}
            return function(hub, request, **named)
        other = other or bool(found)
    raise Refusal(405 if other else 404, "Sorry, we can't find the page you are looking for.")


def page(
    request: Request, url: str, items: list[Any], size: int
) -> tuple[list[Any], dict[str, str]]:
    """The items of the page that is asked for, and the header that leads to the next one."""
    start = int(request.query.get("cursor", "0"))
    if start + size >= len(items):
        return items[start:], {}
    query = urllib.parse.urlencode({**request.query, "cursor": start + size})
    link = {"Link": f'<{url}{request.path}?{query}>; rel="next"'}
    return items[start : start + size], link
