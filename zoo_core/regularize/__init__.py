"""Regularizers: the class, a stack of them, and both by name."""

from typing import TYPE_CHECKING

from zoo_core.lazy import handed_on

if TYPE_CHECKING:
    from zoo_core.regularize.by_name import regularizers as regularizers
    from zoo_core.regularize.ranges import a_share as a_share
    from zoo_core.regularize.ranges import above_zero as above_zero
    from zoo_core.regularize.ranges import at_least_zero as at_least_zero
    from zoo_core.regularize.regularizer import Regularizer as Regularizer
    from zoo_core.regularize.regularizer import Verdict as Verdict
    from zoo_core.regularize.regularizer import called as called
    from zoo_core.regularize.regularizer import unwrapped as unwrapped
    from zoo_core.regularize.schedule import Schedule as Schedule
    from zoo_core.regularize.schedule import scheduled as scheduled
    from zoo_core.regularize.selection import selected as selected
    from zoo_core.regularize.stack import Stack as Stack
else:
    __getattr__, __dir__, __all__ = handed_on(
        __name__,
        {
            "by_name": "regularizers",
            "ranges": "a_share above_zero at_least_zero",
            "regularizer": "Regularizer Verdict called unwrapped",
            "schedule": "Schedule scheduled",
            "selection": "selected",
            "stack": "Stack",
        },
    )
