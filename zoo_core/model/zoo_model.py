"""ZooModel: what create() returns.

The architecture's own module, with its class swapped for a subclass that adds stages, freezing, a
new head, transforms and labels. State-dict keys stay those of the original.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from zoo_core.chain import before, run_stages
from zoo_core.data.trained_on import TrainedOn
from zoo_core.errors import PluginError, ZooError
from zoo_core.model.arguments import check_count
from zoo_core.model.facts import Facts, Origin, notice
from zoo_core.model.features import forward_intermediates
from zoo_core.model.head import put_head
from zoo_core.model.hub_habits import reference_of, renamed, without_habits
from zoo_core.model.kept import Kept
from zoo_core.model.pretrained_cfg import told
from zoo_core.model.shown import html, in_a_line
from zoo_core.model.summary import render_rows, stage_rows
from zoo_core.model.watch import num_outputs, refuse_other_head, watch_first, watch_head
from zoo_core.pages.drawing import Drawing, Solid, drawing
from zoo_core.pages.fragment import unless_it_fails
from zoo_core.transfer.swap import swap_class
from zoo_core.types import InputSpec, ModelInfo, Pushed, Stage
from zoo_core.weights.pretrained import brings_weights


class ZooModel(Facts):
    """A vision model as an ordered chain of named stages: the original class, and these methods.

    `loaded_from`: the file or folder on this machine that had its weights, as `file:PATH`, or None.

    >>> import zoo_core as zoo
    >>> model = zoo.create("lenet5")
    >>> list(model.chain)
    ['conv1', 'conv2', 'fc1', 'fc2', 'head']
    >>> model.input.size, model.labels, model.multilabel, model.origin.reference
    ((1, 32, 32), None, False, 'lenet5')
    >>> model.default_cfg == model.pretrained_cfg, model.pretrained_cfg["input_size"]
    (True, (1, 32, 32))
    """

    loaded_from: str | None
    if TYPE_CHECKING:  # no annotation at run time: torch.jit.script would read it
        forward_intermediates: Callable[..., Any]
        pretrained_cfg: dict[str, Any]
        default_cfg: dict[str, Any]
    else:
        pretrained_cfg = told("pretrained_cfg")
        default_cfg = told("default_cfg")
    _if_absent = {"forward_intermediates": forward_intermediates}  # noqa: RUF012
    _trained_on: TrainedOn | None = None  # by zoo: of its pretraining nothing is known
    # names of the Hub and of timm that mean the same for every class: the original may have them
    _same_everywhere: ClassVar[tuple[str, ...]] = (
        *("from_pretrained", "push_to_hub", "save_pretrained"),
        *("pretrained_cfg", "default_cfg"),
        *Facts._same_everywhere,
    )
    __jit_ignored_attributes__: ClassVar = [  # no types of TorchScript, and no part of forward()
        *("loaded_from", "pretrained_cfg", "default_cfg", "_trained_on", "_same_everywhere"),
        *("_loaded", "_said_cfg"),
        *Facts.__jit_ignored_attributes__,
    ]
    __jit_unused_properties__: ClassVar = [
        *("num_outputs", "pretrained_cfg", "default_cfg"),
        *Facts.__jit_unused_properties__,
    ]

    def forward_until(self, x: Tensor, stage: str) -> Tensor:
        """The tensor that enters `stage`, from pictures `x` (N, C, H, W). Raises UnknownName.

        >>> import torch, zoo_core as zoo
        >>> zoo.create("lenet5").forward_until(torch.zeros(2, 1, 32, 32), "fc1").shape
        torch.Size([2, 16, 5, 5])
        """
        notice(self)
        return run_stages(self, before(self.chain, stage), x)

    @property
    def num_outputs(self) -> int:
        """How many numbers the head gives for a picture; 0 when there is no classifier.

        >>> import zoo_core as zoo
        >>> zoo.create("lenet5", num_classes=3).num_outputs
        3
        """
        notice(self)
        return num_outputs(self)

    def reset_head(self, num_classes: int, labels: Iterable[str] | None = None) -> ZooModel:
        """Put a new, freshly initialised classifier in place of the head.

        `num_classes=0` leaves none, and features come out. Raises ZooError where `labels` are not
        `num_classes` names.

        >>> import zoo_core as zoo
        >>> zoo.create("lenet5", pretrained=True).reset_head(2, ["cat", "dog"]).labels
        ('cat', 'dog')
        """
        num_classes = check_count("num_classes", num_classes, least=0)
        if isinstance(labels, str):
            raise ZooError(f"labels must be {num_classes} names, not one text: {labels!r}.")
        names = tuple(labels) if labels is not None else None
        if names is not None and len(names) != num_classes:
            raise ZooError(f"{len(names)} labels do not fit {num_classes} classes.")
        self._put_head(num_classes, names, {})
        return self

    def change_classes(self, labels: Iterable[str]) -> tuple[str, ...]:
        """Put a classifier for `labels` in place of the head; those that stay keep theirs.

        A class stays where its name is there once before and once now: its weights are the same,
        bit for bit; the others are freshly initialised. Returns the names of those that stay.
        Raises ZooError for one text instead of names.

        >>> import zoo_core as zoo
        >>> zoo.create("lenet5", pretrained=True).change_classes(["7", "1", "cat"])
        ('7', '1')
        """
        if isinstance(labels, str):
            raise ZooError(f"labels must be names, not one text: {labels!r}.")
        before, after = self.labels or (), tuple(labels)
        stay = [name for name in after if before.count(name) == after.count(name) == 1]
        self._put_head(len(after), after, {after.index(n): before.index(n) for n in stay})
        return tuple(stay)

    def _put_head(
        self, classes: int, labels: tuple[str, ...] | None, kept: Mapping[int, int]
    ) -> None:
        notice(self)
        refuse_other_head(self, classes)
        old = self._known_head
        makers = old.layers if old is not None else {}
        self.chain = put_head(self, self.chain, classes, kept, makers)
        watch_head(self, ask=old is not None and old.given is not None)
        self.labels, self.multilabel = labels, self.multilabel and bool(kept)
        stay = tuple(labels[number] for number in kept) if labels else ()
        self.origin = replace(self.origin, num_classes=classes, new_head=True, kept=stay)

    def transform(self, train: bool = False) -> Callable[[Any], Tensor]:
        """From a PIL picture to what these weights want to see, (C, H, W).

        `train=True` adds random crops and flips.

        >>> import zoo_core as zoo
        >>> from PIL import Image
        >>> zoo.create("lenet5").transform()(Image.new("L", (28, 28))).shape
        torch.Size([1, 32, 32])
        """
        from zoo_core.data.transforms import build_transform

        return build_transform(self.input, train=train)

    @classmethod
    def from_pretrained(
        cls, name_or_path: str | Path, *, revision: str | None = None, **how: Any
    ) -> ZooModel:
        """The model with its weights of a folder, a model's name or a repository, `OWNER/NAME`.

        `name_or_path`: a folder that is here comes first, then a model that zoo knows. `revision`:
        the branch, tag or commit of a repository. `how`: the arguments of
        `zoo.create`. Raises ZooError.

        >>> ZooModel.from_pretrained("lenet5", num_classes=3).num_outputs
        3
        """
        import zoo_core as zoo  # create() stands on this file, so it is reached from the top

        reference = reference_of(name_or_path, revision)
        arguments = without_habits(how)
        if not brings_weights(reference):
            arguments.setdefault("pretrained", True)
        return zoo.create(reference, **arguments)

    def save_pretrained(
        self, save_directory: str | Path | None = None, *, delta: bool = False, **old: Any
    ) -> Path:
        """Write weights, config.json and a card to a folder, which `zoo.create(Path)` loads.

        `save_directory`: the folder, which is returned. `delta`: write only what differs from the
        weights it came from, also from a folder that is here. `old`: the folder under its older
        name, `folder`. Raises PublishError.

        >>> import tempfile, zoo_core as zoo
        >>> folder = zoo.create("lenet5", pretrained=True).save_pretrained(tempfile.mkdtemp())
        >>> sorted(path.name for path in folder.iterdir())
        ['README.md', 'config.json', 'model.safetensors']
        """
        import zoo_core as zoo  # publishing stands on models, so they reach it from the top

        directory = renamed(save_directory, old, "folder", "save_directory")
        return zoo.save_pretrained(self, directory, delta=delta, **old)

    def push_to_hub(
        self,
        repo_id: str | None = None,
        *,
        commit_message: str | None = None,
        token: str | bool | None = None,
        private: bool | None = False,
        create_pr: bool | None = False,
        revision: str | None = None,
        **how: Any,
    ) -> Pushed:
        """Publish this model as `OWNER/NAME`; each argument as huggingface_hub has it.

        `repo_id`: that name. `commit_message`, `token`, `private`, `create_pr`, `revision`: as
        `message` and the others of `zoo.push`. `how`: other arguments of it, and `repository` and
        `message`, the older names. Raises PublishError.

        >>> import zoo_core as zoo
        >>> zoo.create("lenet5", pretrained=True).push_to_hub("no repository", dry_run=True)
        Traceback (most recent call last):
        zoo_core.errors.PublishError: ...
        """
        import zoo_core as zoo

        repository = renamed(repo_id, how, "repository", "repo_id")
        if "message" in how:
            commit_message = renamed(commit_message, how, "message", "commit_message")
        return zoo.push(
            self,
            repository,
            message=commit_message,
            token=token,
            private=bool(private),
            create_pr=bool(create_pr),
            revision=revision,
            **how,
        )

    def summary(self) -> str:
        """A table of stages: output shape, parameters, trained or frozen.

        >>> import zoo_core as zoo
        >>> print(zoo.create("lenet5").freeze_until("head").summary())
        stage  output   params  trains
        conv1  6x14x14     156  frozen
        conv2  16x5x5    2,416  frozen
        fc1    120      48,120  frozen
        fc2    84       10,164  frozen
        head   10          850  yes
        total           61,706  850
        """
        return render_rows(stage_rows(self))

    def draw(self) -> Drawing:
        """The stages as a picture: how large maps are and how many, parameters, what is frozen.

        It shows in a notebook, is the text of an `<svg>` element, and `save(path)` writes that to a
        file. One picture of zeros goes through the network, as for `summary`. Raises nothing.

        >>> import zoo_core as zoo
        >>> zoo.create("lenet5").freeze_until("head").draw()[:4]
        '<svg'
        """
        rows = stage_rows(self)
        seen = Solid("picture", self.input.size)
        solids = [Solid(r["stage"], r["output"], r["params"], r["frozen"]) for r in rows]
        return drawing(self.info.name, [seen, *solids])

    def __repr__(self) -> str:
        """One line, for a prompt: methods return the model. `print(model)` shows its modules."""
        try:
            return in_a_line(self)
        except Exception:  # of a model that is not whole, as in the middle of a copy
            return super().__repr__()

    def __str__(self) -> str:
        return super().__repr__()

    @unless_it_fails
    def _repr_html_(self) -> str:
        return html(self)


class KeptModel(Kept, ZooModel):
    """The early part of a model with a pooling and a head of its own: what `keep_until` keeps."""

    _if_absent: ClassVar = {}
    _same_everywhere: ClassVar = (*Kept._same_everywhere, *ZooModel._same_everywhere)
    __jit_ignored_attributes__: ClassVar = [
        *Kept.__jit_ignored_attributes__,
        *ZooModel.__jit_ignored_attributes__,
    ]


def as_zoo_model(
    module: nn.Module,
    *,
    chain: dict[str, Stage],
    info: ModelInfo,
    origin: Origin,
    input: InputSpec,
    labels: tuple[str, ...] | None,
    multilabel: bool = False,
    loaded_from: str | None = None,
) -> ZooModel:
    """Swap the module's class and give it its chain, facts, input and labels.

    Raises PluginError on a name clash.
    """
    own = ("chain", "info", "origin", "input", "labels", "multilabel", "loaded_from")
    taken = [name for name in own if hasattr(module, name)]
    if taken:
        raise PluginError(
            f"{type(module).__name__} has attributes that zoo needs: {', '.join(taken)}."
        )
    swap_class(module, KeptModel if isinstance(module, Kept) else ZooModel)
    assert isinstance(module, ZooModel)
    module.chain, module.info, module.origin = chain, info, origin
    module.input, module.labels, module.multilabel = input, labels, multilabel
    module.loaded_from = loaded_from
    watch_head(module)
    watch_first(module)
    return module


def pretrained_part(model: nn.Module) -> dict[str, Tensor]:
    """The weights that somebody trained, by name: all but a new head; none where all are random.

    `model`: any module; each weight has its shape in it, such as (O, I, H, W) of a convolution, and
    shares its memory.

    Of a module that zoo did not create, all: nobody knows better. A regularizer asks it for what is
    worth keeping, as l2-sp does. Raises nothing.

    >>> import zoo_core as zoo
    >>> model = zoo.create("lenet5", pretrained=True, num_classes=3)
    >>> list(pretrained_part(model))[-2:], pretrained_part(zoo.create("lenet5"))
    (['fc2.weight', 'fc2.bias'], {})
    """
    there = {name: p for name, p in model.named_parameters() if not is_lazy(p)}
    named = {name: parameter.detach() for name, parameter in there.items()}
    if not isinstance(model, ZooModel):
        return named
    if not model.origin.trained:
        return {}
    origin = model.origin
    replaced = origin.replaced + (model.chain["head"].owns if origin.new_head else ())
    new = Stage("new", run=(), owns=replaced)
    return {n: p for n, p in named.items() if not new.has(n)}
