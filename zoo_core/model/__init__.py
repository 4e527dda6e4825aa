"""create(): a name -> a model with its weights, and what such a model can do."""

from typing import TYPE_CHECKING

from zoo_core.lazy import handed_on

if TYPE_CHECKING:
    from zoo_core.model.facts import Origin as Origin
    from zoo_core.model.zoo_model import ZooModel as ZooModel
    from zoo_core.model.zoo_model import pretrained_part as pretrained_part
else:
    __getattr__, __dir__, __all__ = handed_on(
        __name__,
        {
            "facts": "Origin",
            "zoo_model": "ZooModel pretrained_part",
        },
    )
