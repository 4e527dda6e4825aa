"""The records that plugins and core exchange.

Frozen, plain, and free of torch: listing the zoo imports none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Stage:
    """One named step of a forward pass.

    `name`: unique in the chain. `run`: dotted attribute paths, called with the result of the one
    before, or module-level functions `(model, x) -> x`. `owns`: prefixes of the parameters and
    buffers of the stage; by default the paths in `run`. `reset`: of a head that is more than its
    last layer, such as one with a norm that features lack: `reset(model, num_classes)` puts another
    there, or none for 0, and gives the stages anew.

    >>> stage = Stage("layer1", run=("layer1",))
    >>> stage.owns, stage.has("layer1.0.conv1.weight"), stage.has("layer10.weight")
    (('layer1',), True, False)
    """

    name: str
    run: tuple[str | Callable[[Any, Any], Any], ...]
    owns: tuple[str, ...] = ()
    reset: Callable[[Any, int], list[Stage]] | None = None

    def __post_init__(self) -> None:
        for what, value in (("run", self.run), ("owns", self.owns)):
            if isinstance(value, str):
                stage = f'The {what} of the stage "{self.name}"'
                raise TypeError(f'{stage} must be a tuple: {what}=("{value}",).')
        if not self.owns:
            paths = tuple(step for step in self.run if isinstance(step, str))
            object.__setattr__(self, "owns", paths)

    def has(self, name: str) -> bool:
        """Whether the parameter, buffer or module `name` (dotted) belongs to this stage."""
        return any(name == prefix or name.startswith(prefix + ".") for prefix in self.owns)


@dataclass(frozen=True)
class Architecture:
    """A family of networks that a plugin can build.

    `build(*, num_classes, in_chans, **config)` returns the module, `stages(model)` its chain, and
    `adapt(state_dict, model)` turns a checkpoint of another layout into one that fits.
    `features(model, config, how)`: its network of features, where its class has a way of its own.
    What zoo makes of the arguments stands in the hook, `zoo_core.hookspecs.zoo_architectures`.

    `name`: what manifests call it. `summary`: one line on what it is. `paper`: its address.

    >>> from torch import nn
    >>> def build(*, num_classes=10, in_chans=1):
    ...     return nn.Sequential(nn.Flatten(), nn.Linear(in_chans * 64, num_classes))
    >>> def stages(model):
    ...     return [Stage("flat", ("0",)), Stage("head", ("1",))]
    >>> linear = Architecture("linear", build, stages, summary="one layer, of 8x8 pictures")
    >>> [stage.name for stage in linear.stages(linear.build(num_classes=2))]
    ['flat', 'head']
    """

    name: str
    build: Callable[..., nn.Module]
    stages: Callable[[Any], list[Stage]]
    summary: str = ""
    paper: str = ""
    adapt: Callable[[dict[str, Any], Any], dict[str, Any]] | None = None
    features: Callable[[Any, dict[str, Any], dict[str, Any]], nn.Module] | None = None


@dataclass(frozen=True)
class InputSpec:
    """What weights want to see: pixels in [0, 1], resized, cropped, then (x - mean) / std.

    `size`: (channels, height, width). `mean` and `std`: per channel. `crop`: the share of the
    resized picture that the crop keeps, in (0, 2]; above 1 the picture is smaller, in a black
    border. `flip`: whether the mirror image of a picture means the same (false for digits: a
    mirrored digit is another sign). `crop_mode`: how a picture of another shape is resized: its
    short side fits ("center"), both sides do, stretched ("squash"), or its long side, in a border
    of the mean colour ("border").
    """

    size: tuple[int, int, int] = (3, 224, 224)
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    interpolation: str = "bilinear"
    crop: float = 0.875
    flip: bool = True
    crop_mode: str = "center"

    def with_channels(self, channels: int) -> InputSpec:
        """The same for another number of channels.

        The mean colour for one, colours repeated in turn for more.
        """
        have = self.size[0]
        if channels == have:
            return self
        index = [i % have for i in range(channels)]
        mean = tuple(self.mean[i] for i in index) if channels > 1 else (sum(self.mean) / have,)
        std = tuple(self.std[i] for i in index) if channels > 1 else (sum(self.std) / have,)
        size = (channels, self.size[1], self.size[2])
        return replace(self, size=size, mean=mean, std=std)


@dataclass(frozen=True)
class WeightsInfo:
    """One trained set for a model: where it is, what it must hash to, and what was measured of it.

    `labels`: the name of a label set (`"imagenet-1k"`) or the class names in order. `sha1`, `md5`,
    `sha512`: what whoever released the file says of it, where that is no sha256. `install`: what
    pip installs to bring the file, where that is not the plugin itself (`"zoo-core[imagenet]"`).
    `gmacs`, `macts`: billions of multiply-adds and millions of activations for a picture of their
    input. `speed`: pictures a second, by device. `measured`: whose figures these are, and of when.
    """

    tag: str
    source: str
    sha256: str | None = None
    license: str | None = None
    labels: str | tuple[str, ...] | None = None
    num_classes: int | None = None
    input: InputSpec = InputSpec()
    metrics: Mapping[str, float] = field(default_factory=dict)
    default: bool = False
    recipe: str | None = None
    sha1: str | None = None
    md5: str | None = None
    sha512: str | None = None
    install: str | None = None
    gmacs: float | None = None
    macts: float | None = None
    speed: Mapping[str, float] = field(default_factory=dict)
    measured: str = ""

    @property
    def other_hashes(self) -> dict[str, str]:
        """What the file must hash to beside its sha256, by the name of the hash.

        >>> WeightsInfo("a", "https://host/a.pth", sha1="0" * 40).other_hashes
        {'sha1': '0000000000000000000000000000000000000000'}
        """
        stated = {"sha1": self.sha1, "md5": self.md5, "sha512": self.sha512}
        return {name: digest for name, digest in stated.items() if digest is not None}


@dataclass(frozen=True)
class ModelInfo:
    """A named variant of an architecture, with its weights; static facts only.

    `name`, `architecture`, and `config`, the arguments that the architecture builds it with.
    `default`: whether the family's name means this one. `params`: how many. `gmacs`: for a
    picture of its `input`, in billions of multiply-adds. `paper`: an address. `summary`: one line.
    `num_classes`: outputs without weights. `weights`: by tag. `plugin`, `distribution`: whose it
    is; `official`: whether it is zoo's own.

    >>> import zoo_core as zoo
    >>> model = zoo.info("lenet5")
    >>> model.params, model.default_weights.tag
    (61706, 'mnist5k')
    """

    name: str
    architecture: str
    config: Mapping[str, Any] = field(default_factory=dict)
    default: bool = False
    params: int | None = None
    gmacs: float | None = None
    paper: str | None = None
    summary: str = ""
    num_classes: int = 1000
    input: InputSpec = InputSpec()
    weights: Mapping[str, WeightsInfo] = field(default_factory=dict)
    plugin: str = ""
    distribution: str = ""
    official: bool = False

    @property
    def default_weights(self) -> WeightsInfo | None:
        """The weights that `pretrained=True` brings, or None when the model has none."""
        return next((w for w in self.weights.values() if w.default), None)


@dataclass(frozen=True)
class Fetched:
    """A local file that a source produced, and what the source itself states about it.

    `path`: of the file. `sha256`: of its bytes, and `revision`, where the source tells them.
    `pinned`: the reference that means just these bytes (a branch's with the commit that it stood
    at). `disposable`: a copy that may be removed and fetched again, unlike a file of the user's.

    >>> Fetched(Path("model.safetensors"), pinned="house://digits@3").disposable
    False
    """

    path: Path
    sha256: str | None = None
    revision: str | None = None
    pinned: str | None = None
    disposable: bool = False


class Fetch(Protocol):
    """How a weight source is called: `reference` is all after the scheme."""

    def __call__(
        self, reference: str, filename: str | None, *, cache: Path, offline: bool, progress: bool
    ) -> Fetched: ...


@dataclass(frozen=True)
class Upload:
    """What a push commits at once: files by their path in the repository, and the card.

    `card` makes the new card from the one that is there, or from None. Call it before the files are
    read: a signature among them is over the card, too. `obsolete`: files that an earlier push may
    have left and this one replaces.
    """

    files: Mapping[str, Path]
    card: Callable[[str | None], str]
    message: str
    obsolete: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pushed:
    """What a push did, or would do: `commit` is None after a dry run. `sizes`: bytes by file.

    `reference`: what brings the model again. push() writes it, and so a source need not.
    """

    url: str
    sizes: Mapping[str, int]
    card: str
    commit: str | None = None
    tag: str | None = None
    pull_request: str | None = None
    sha256: Mapping[str, str] = field(default_factory=dict)
    reference: str = ""


class Push(Protocol):
    """How a source that can publish is called: `repository` is all after the scheme."""

    def __call__(
        self, repository: str, upload: Upload, *, private: bool, create_pr: bool, dry_run: bool
    ) -> Pushed: ...


@dataclass(frozen=True)
class WeightSource:
    """A place where weight bytes come from, by the scheme of references (`hf`, `https`, `file`).

    `scheme`: that word. `fetch`: how a file is got (`Fetch`). `summary`: one line on what it is.
    `push`: how models are published there, where they can be (`Push`).

    >>> def fetch(reference, filename, *, cache, offline, progress):
    ...     return Fetched(Path("/shared") / reference / (filename or "model.safetensors"))
    >>> house = WeightSource("house", fetch, "a folder that everybody here has")
    >>> house.fetch("digits", None, cache=Path(), offline=True, progress=False).path.as_posix()
    '/shared/digits/model.safetensors'
    """

    scheme: str
    fetch: Fetch
    summary: str = ""
    push: Push | None = None


@dataclass(frozen=True)
class Option:
    """One option of a regularizer: its `name`, its `default` and its `meaning`.

    A default of None means that it must be given.

    >>> Option("strength", 1e-4, "how much").default
    0.0001
    """

    name: str
    default: Any
    meaning: str


WHERE = (
    Option("stages", "", "where it acts: stages or modules joined by +; all that trains if empty"),
    Option("exclude", "", "where it does not act: stages or modules joined by +"),
)
"""The options of a regularizer that can be kept to a part of the network."""

WHEN = (
    Option("schedule", "constant", "constant, warmup (0 to 1), linear or cosine (1 to 0)"),
    Option("steps", 0, "over how many steps of the optimizer the schedule goes"),
)
"""The options of a regularizer whose strength can move."""


@dataclass(frozen=True)
class RegularizerSpec:
    """A regularizer by name. `value` names the option that `"name=0.01"` sets.

    `factory`: the options as keyword arguments -> a Regularizer. `name`: in small letters and with
    hyphens. `options`: those that can be given. `acts`: where it acts, `summary`: what it does, and
    `paper`, an address, are for people. `aliases`: other words for it, in
    small letters and with hyphens; who writes one is told the name.

    >>> strength = Option("strength", 1e-4, "how much")
    >>> spec = RegularizerSpec("shrink", dict, (strength,), value="strength", acts="weights")
    >>> spec.factory(strength=0.1)
    {'strength': 0.1}
    """

    name: str
    factory: Callable[..., Any]
    options: tuple[Option, ...] = ()
    value: str | None = None
    acts: str = ""
    summary: str = ""
    paper: str = ""
    aliases: tuple[str, ...] = ()
