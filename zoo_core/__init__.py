"""zoo: a plugin-based zoo of vision models for transfer learning.

>>> import zoo_core as zoo
>>> model = zoo.create("lenet5", pretrained=True, num_classes=3)
>>> model.freeze_until("fc2").frozen[:2]
('conv1.weight', 'conv1.bias')

Importing this package imports no torch: each name is loaded when it is first used (PEP 562).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from zoo_core.version import __version__ as __version__

if TYPE_CHECKING:
    from zoo_core.building import create as create
    from zoo_core.catalogue import info as info
    from zoo_core.catalogue import list_models as list_models
    from zoo_core.errors import DataError as DataError
    from zoo_core.errors import FreezeError as FreezeError
    from zoo_core.errors import HashMismatch as HashMismatch
    from zoo_core.errors import ManifestError as ManifestError
    from zoo_core.errors import NotCached as NotCached
    from zoo_core.errors import PluginError as PluginError
    from zoo_core.errors import PublishError as PublishError
    from zoo_core.errors import RecipeError as RecipeError
    from zoo_core.errors import SourceError as SourceError
    from zoo_core.errors import UnknownName as UnknownName
    from zoo_core.errors import WeightsError as WeightsError
    from zoo_core.errors import ZooError as ZooError
    from zoo_core.evaluation import evaluate as evaluate
    from zoo_core.exporting import export as export
    from zoo_core.hookspecs import hookimpl as hookimpl
    from zoo_core.prediction import predict as predict
    from zoo_core.publish import push as push
    from zoo_core.regularize import Regularizer as Regularizer
    from zoo_core.regularize import regularizers as regularizers
    from zoo_core.training import finetune as finetune
    from zoo_core.transfer import freeze_until as freeze_until
    from zoo_core.types import Architecture as Architecture
    from zoo_core.types import Fetched as Fetched
    from zoo_core.types import ModelInfo as ModelInfo
    from zoo_core.types import RegularizerSpec as RegularizerSpec
    from zoo_core.types import Stage as Stage
    from zoo_core.types import WeightSource as WeightSource


_HOME = {
    "create": "building",
    "evaluate": "evaluation",
    "export": "exporting",
    "finetune": "training",
    "freeze_until": "transfer",
    "hookimpl": "hookspecs",
    "info": "catalogue",
    "list_models": "catalogue",
    "predict": "prediction",
    "push": "publish",
    "regularizers": "regularize",
    "Regularizer": "regularize",
    "Architecture": "types",
    "Fetched": "types",
    "ModelInfo": "types",
    "RegularizerSpec": "types",
    "Stage": "types",
    "WeightSource": "types",
    "DataError": "errors",
    "FreezeError": "errors",
    "HashMismatch": "errors",
    "ManifestError": "errors",
    "NotCached": "errors",
    "PluginError": "errors",
    "PublishError": "errors",
    "RecipeError": "errors",
    "SourceError": "errors",
    "UnknownName": "errors",
    "WeightsError": "errors",
    "ZooError": "errors",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
