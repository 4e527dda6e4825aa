"""The run folder on disk: recipe, metrics, comparison."""

from typing import TYPE_CHECKING

from zoo_core.lazy import handed_on

if TYPE_CHECKING:
    from zoo_core.runs.comparison import differences as differences
    from zoo_core.runs.comparison import in_order as in_order
    from zoo_core.runs.comparison import list_runs as list_runs
    from zoo_core.runs.recipe import read_history as read_history
    from zoo_core.runs.recipe import read_recipe as read_recipe
else:
    __getattr__, __dir__, __all__ = handed_on(
        __name__,
        {
            "comparison": "differences in_order list_runs",
            "recipe": "read_history read_recipe",
        },
    )
