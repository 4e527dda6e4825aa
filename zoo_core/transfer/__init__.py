"""Freezing: freeze_until, which parameters feed a layer, and learning rates by depth."""

from typing import TYPE_CHECKING

from zoo_core.lazy import handed_on

if TYPE_CHECKING:
    from zoo_core.transfer.freezing import Freezable as Freezable
    from zoo_core.transfer.freezing import freeze_until as freeze_until
    from zoo_core.transfer.modes import modes_kept as modes_kept
    from zoo_core.transfer.snapshot import Snapshot as Snapshot
    from zoo_core.transfer.snapshot import moving as moving
else:
    __getattr__, __dir__, __all__ = handed_on(
        __name__,
        {
            "freezing": "Freezable freeze_until",
            "modes": "modes_kept",
            "snapshot": "Snapshot moving",
        },
    )
