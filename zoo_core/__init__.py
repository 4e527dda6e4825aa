"""zoo: a plugin-based zoo of vision models for transfer learning.

>>> import zoo_core as zoo
>>> model = zoo.create("lenet5", pretrained=True, num_classes=3)
>>> model.freeze_until("fc2").frozen[:2]
('conv1.weight', 'conv1.bias')

Importing this package imports no torch: each name is loaded when it is first used (PEP 562).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo_core.lazy import handed_on
from zoo_core.version import __version__ as __version__

if TYPE_CHECKING:
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
    from zoo_core.hookspecs import hookimpl as hookimpl
    from zoo_core.inference.evaluate import evaluate as evaluate
    from zoo_core.inference.export import export as export
    from zoo_core.inference.predict import predict as predict
    from zoo_core.model.create import create as create
    from zoo_core.model.zoo_model import pretrained_part as pretrained_part
    from zoo_core.plugins.catalogue import info as info
    from zoo_core.plugins.catalogue import list_models as list_models
    from zoo_core.publish.push import push as push
    from zoo_core.publish.push import save_pretrained as save_pretrained
    from zoo_core.regularize.by_name import regularizers as regularizers
    from zoo_core.regularize.regularizer import Regularizer as Regularizer
    from zoo_core.training.finetune import finetune as finetune
    from zoo_core.transfer.freezing import freeze_until as freeze_until
    from zoo_core.types import Architecture as Architecture
    from zoo_core.types import Fetched as Fetched
    from zoo_core.types import ModelInfo as ModelInfo
    from zoo_core.types import RegularizerSpec as RegularizerSpec
    from zoo_core.types import Stage as Stage
    from zoo_core.types import WeightSource as WeightSource
else:
    __getattr__, __dir__, __all__ = handed_on(
        __name__,
        {
            "errors": "DataError FreezeError HashMismatch ManifestError NotCached "
            "PluginError PublishError RecipeError SourceError UnknownName "
            "WeightsError ZooError",
            "hookspecs": "hookimpl",
            "inference.evaluate": "evaluate",
            "inference.export": "export",
            "inference.predict": "predict",
            "model.create": "create",
            "model.zoo_model": "pretrained_part",
            "plugins.catalogue": "info list_models",
            "publish.push": "push",
            "regularize.by_name": "regularizers",
            "regularize.regularizer": "Regularizer",
            "training.finetune": "finetune",
            "transfer.freezing": "freeze_until",
            "types": "Architecture Fetched ModelInfo RegularizerSpec Stage WeightSource",
        },
        unlisted={"publish.push": "save_pretrained"},  # a method of what create() returns
    )
