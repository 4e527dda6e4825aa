"""zoo: a plugin-based zoo of vision models for transfer learning.

>>> import zoo_core as zoo
>>> model = zoo.create("lenet5", pretrained=True, num_classes=3)
>>> model.freeze_until("fc2").frozen[:2]
('conv1.weight', 'conv1.bias')

Importing this package imports no torch: each name is loaded when it is first used (PEP 562).
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from zoo_core.version import __version__ as __version__

if TYPE_CHECKING:
    from zoo_core.advice.advise import advise
    from zoo_core.advice.answer import Advice
    from zoo_core.advice.inspect import inspect
    from zoo_core.advice.inspection import Inspection
    from zoo_core.advice.rank import rank
    from zoo_core.advice.ranking import Ranking
    from zoo_core.browsing.browse import browse
    from zoo_core.browsing.listed import list_models
    from zoo_core.data.pictures import Pictures
    from zoo_core.errors import (
        DataError,
        FreezeError,
        HashMismatch,
        ManifestError,
        NotCached,
        NotInstalled,
        PluginError,
        PublishError,
        RecipeError,
        SourceError,
        UnknownName,
        WeightsError,
        ZooError,
    )
    from zoo_core.explaining.explain import explain
    from zoo_core.explaining.explanation import Explanation
    from zoo_core.hookspecs import hookimpl
    from zoo_core.inference.evaluate import evaluate
    from zoo_core.inference.export import export
    from zoo_core.inference.predict import predict
    from zoo_core.model.create import create
    from zoo_core.model.run import Run
    from zoo_core.model.zoo_model import ZooModel, pretrained_part
    from zoo_core.plugins.catalogue import info
    from zoo_core.publish.push import push
    from zoo_core.publish.push import save_pretrained as save_pretrained
    from zoo_core.publish.sign import sign
    from zoo_core.regularize.by_name import regularizers
    from zoo_core.regularize.regularizer import Regularizer, Verdict
    from zoo_core.regularize.stack import Stack
    from zoo_core.training.finetune import finetune
    from zoo_core.transfer.freezing import freeze_until
    from zoo_core.types import (
        Architecture,
        Fetched,
        ModelInfo,
        Option,
        RegularizerSpec,
        Stage,
        WeightSource,
    )
    from zoo_core.weights.signatures import verify
else:
    from zoo_core.lazy import handed_on

    __getattr__, __dir__ = handed_on(
        __name__,
        {
            "advice.advise": "advise",
            "advice.answer": "Advice",
            "advice.inspect": "inspect",
            "advice.inspection": "Inspection",
            "advice.rank": "rank",
            "advice.ranking": "Ranking",
            "browsing.browse": "browse",
            "browsing.listed": "list_models",
            "data.pictures": "Pictures",
            "errors": "DataError FreezeError HashMismatch ManifestError NotCached NotInstalled "
            "PluginError PublishError RecipeError SourceError UnknownName "
            "WeightsError ZooError",
            "explaining.explain": "explain",
            "explaining.explanation": "Explanation",
            "hookspecs": "hookimpl",
            "inference.evaluate": "evaluate",
            "inference.export": "export",
            "inference.predict": "predict",
            "model.create": "create",
            "model.run": "Run",
            "model.zoo_model": "ZooModel pretrained_part",
            "plugins.catalogue": "info",
            "publish.push": "push",
            "publish.sign": "sign",
            "regularize.by_name": "regularizers",
            "regularize.regularizer": "Regularizer Verdict",
            "regularize.stack": "Stack",
            "training.finetune": "finetune",
            "transfer.freezing": "freeze_until",
            "types": "Architecture Fetched ModelInfo Option RegularizerSpec Stage WeightSource",
            "weights.signatures": "verify",
        },
        unlisted={"publish.push": "save_pretrained"},  # a method of what create() returns
    )[:2]

if "ipykernel" in sys.modules:
    from zoo_core.terminal.notebook import no_word_on_widgets

    no_word_on_widgets()

__all__ = [  # written out, since type checkers run nothing: what `import *` brings
    "Advice",
    "Architecture",
    "DataError",
    "Explanation",
    "Fetched",
    "FreezeError",
    "HashMismatch",
    "Inspection",
    "ManifestError",
    "ModelInfo",
    "NotCached",
    "NotInstalled",
    "Option",
    "Pictures",
    "PluginError",
    "PublishError",
    "Ranking",
    "RecipeError",
    "Regularizer",
    "RegularizerSpec",
    "Run",
    "SourceError",
    "Stack",
    "Stage",
    "UnknownName",
    "Verdict",
    "WeightSource",
    "WeightsError",
    "ZooError",
    "ZooModel",
    "advise",
    "browse",
    "create",
    "evaluate",
    "explain",
    "export",
    "finetune",
    "freeze_until",
    "hookimpl",
    "info",
    "inspect",
    "list_models",
    "predict",
    "pretrained_part",
    "push",
    "rank",
    "regularizers",
    "sign",
    "verify",
]
