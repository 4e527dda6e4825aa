"""What is known of one plugin: where it comes from, and what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass, field

from zoo_core.humanize import readable_name

BUILT_IN = "zoo-core"


@dataclass
class Plugin:
    """One installed plugin, loaded or broken. `seconds`: the time that importing it took.

    `module`: what its entry point names. `slow`: why whoever lists the zoo waits for it, such as
    `imports torch`; `waited`: how many seconds in all. `changes`: what it has changed for all code
    of the process, and zoo has put back. A slow or intrusive one works all the same.
    """

    name: str
    distribution: str
    version: str
    module: str = ""
    seconds: float = 0.0
    hooks: tuple[str, ...] = ()
    faults: list[str] = field(default_factory=list)
    slow: str = ""
    waited: float = 0.0
    changes: list[str] = field(default_factory=list)
    traceback: str = ""

    @property
    def built_in(self) -> bool:
        return self.distribution == BUILT_IN

    @property
    def broken(self) -> bool:
        return bool(self.faults)

    @property
    def health(self) -> str:
        """`ok`, `slow`, `intrusive` or `broken`."""
        if self.broken:
            return "broken"
        return "intrusive" if self.changes else "slow" if self.slow else "ok"

    def title(self) -> str:
        """`name (distribution version)`, as messages say it."""
        return readable_name(f"{self.name} ({self.distribution} {self.version})")
