"""`list_models`: names of models, by pattern and by figures."""

from __future__ import annotations

from collections.abc import Sequence

from zoo_core.browsing.choosing import chosen, wanted
from zoo_core.browsing.ordering import ordered
from zoo_core.browsing.row import matching


def list_models(
    pattern: str | None = None,
    *,
    pretrained: bool | None = None,
    sort: str | None = None,
    max_params: str | float | None = None,
    max_gmacs: str | float | None = None,
    min_top1: str | float | None = None,
    max_input: str | float | None = None,
    licence: str | Sequence[str] | None = None,
    installed: bool = False,
) -> list[str]:
    """Names of models that match `pattern`, official ones first.

    `pattern`: a name with shell wildcards, a family, a prefix (`timm`), or where no model matches,
    a name of weights (`resnet50.a1_in1k`). None: all but those with a prefix, such as `timm/…`.
    `pretrained`: True for models that have weights, which `info(name).weights` has by tag, False
    for those that have none, None for both.

    The others go by the figures of a model's default weights or, where these do not fit, of its
    most accurate that do; the name then says which. `max_params`: as a number or "30M";
    `max_gmacs`: billions of multiply-adds; `min_top1`: in percent; `max_input`: the longer side;
    `licence`: one or several; `installed`: with weights on this machine. What lacks a figure to
    tell is not in the list. `sort`: name, params, gmacs, top1 or input, the best or smallest first;
    "-params" for the other way round. Raises UnknownName for another key, or for a licence that
    none has, and ZooError for a number that is none.

    >>> list_models("resnet18*")
    ['resnet18', 'resnet18d']
    >>> list_models("lenet*", pretrained=True)
    ['lenet5']
    >>> list_models("inception", sort="top1", max_params="50M", licence="apache-2.0")
    ['inception_v4', 'inception_v3']
    """
    found, tag = matching(pattern)
    if pretrained is not None:
        found = [model for model in found if bool(model.weights) is pretrained]
    asked = wanted(
        max_params=max_params,
        max_gmacs=max_gmacs,
        min_top1=min_top1,
        max_input=max_input,
        licence=licence,
        installed=installed,
        tag=tag,
    )
    rows, _ = chosen(found, asked)
    return [row.name for row in ordered(rows, sort)]
