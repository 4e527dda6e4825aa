"""The head of a model, solved in closed form on the features that enter it."""

from __future__ import annotations

import contextlib
import itertools

import torch
from torch import Tensor, nn

from zoo_core.data.balance import picture_weights
from zoo_core.data.loader import Feed
from zoo_core.errors import RecipeError
from zoo_core.model.facts import scores_are_of_a_layer
from zoo_core.model.head import classifier, scores_of_one_layer
from zoo_core.model.zoo_model import ZooModel
from zoo_core.training.loaders import Supply
from zoo_core.training.messages import refuse_strange_numbers
from zoo_core.training.solving.calibration import losses
from zoo_core.training.solving.solve import Solved, solve
from zoo_core.training.task import Task
from zoo_core.transfer.modes import evaluating, modes_kept

FACTORS = tuple(0.5**power for power in range(11))  # of the scores of a solved head
BATCHES = 4  # at which they are compared


def solves_head(task: Task) -> bool:
    """Whether the head is solved before the first step; see `head` of `zoo.finetune`.

    Raises RecipeError where that is asked for and cannot be.
    """
    model, wanted, streamed = task.model, task.settings.head, task.train_set.streamed
    if wanted == "random" or (streamed and wanted == "auto"):
        return False
    if streamed:
        raise RecipeError(
            f"{task.train_set.name} is a stream, and a head is solved on all pictures at once.",
            hint='Pass head="random".',
        )
    name = classifier(model, model.chain)
    linear, single = _is_linear(model, name), _is_single(model)
    if wanted == "ridge":
        _refuse_unsolvable(model, name or "", linear=linear, single=single)
        return True
    head = model.chain["head"]
    alone = all(head.has(n) for n, p in model.named_parameters() if p.requires_grad)
    new = model.origin.new_head and not model.origin.kept
    return linear and single and new and alone


def has_closed_form(model: ZooModel) -> bool:
    """Whether the head is a linear layer with a bias, which gives the scores: it can be solved."""
    return _is_linear(model, classifier(model, model.chain)) and _is_single(model)


def _is_linear(model: ZooModel, name: str | None) -> bool:
    layer = model.get_submodule(name) if name is not None else None
    return isinstance(layer, nn.Linear) and layer.bias is not None


def _is_single(model: ZooModel) -> bool:
    return scores_of_one_layer(model, model.chain) and scores_are_of_a_layer(model)


def _refuse_unsolvable(model: ZooModel, name: str, *, linear: bool, single: bool) -> None:
    """Raise RecipeError for a head without a closed form; `name`: of its last layer."""
    if not linear:
        raise RecipeError(
            f"The head of {model.info.name} is no linear layer with a bias, "
            "so it has no closed form.",
            hint='Leave head="ridge" out.',
        )
    if not single:
        raise RecipeError(
            f"The scores of {model.info.name} are put together from several, "
            "which has no closed form.",
            hint='Leave head="ridge" out.',
        )
    if not all(p.requires_grad for p in model.get_submodule(name).parameters()):
        raise RecipeError("The head does not train, so it cannot be solved.")


def solve_head(task: Task, supply: Supply) -> Solved:
    """Put the ridge solution into the last layer of the head. Every process gets the same."""
    name = classifier(task.model, task.model.chain)
    layer = task.model.get_submodule(name or "")
    assert isinstance(layer, nn.Linear)
    feed = supply.in_order()
    features = _features(task, layer, supply, feed)
    if not features.isfinite().all():
        refuse_strange_numbers(task.train_set)
        raise RecipeError(
            f"What enters the head of {task.model.info.name} holds NaN or infinity, so it cannot "
            "be solved.",
            hint='Its weights, or the precision, are at fault: try precision="no".',
        )
    targets = feed.samples.targets
    weights = picture_weights(targets) if task.settings.balance is not None else None
    solved = solve(features, targets, classes=layer.out_features, weights=weights)
    with torch.no_grad():
        layer.weight.copy_(solved.weight)
        layer.bias.copy_(solved.bias)
    return solved


def soften_head(task: Task, supply: Supply) -> float:
    """Make a solved head as small as fits its network in training, where more than it trains.

    There features differ from those that it was solved for: batches have statistics of their own,
    pictures are augmented, units dropped. Of the halves of its scores, and the halves of those, it
    gets those of the least loss on the first batches; the smallest are even, so no random head
    starts better. Returns the factor; nothing else in the model changes.
    """
    layer = task.model.get_submodule(classifier(task.model, task.model.chain) or "")
    own = {id(p) for p in layer.parameters()}
    if all(id(p) in own for p in task.model.parameters() if p.requires_grad):
        return 1.0
    scores, targets = _in_training(task, supply)
    means = torch.stack([losses(scores * factor, targets).mean() for factor in FACTORS])
    everywhere = torch.stack(task.processes.gather(means)).mean(0)
    factor = FACTORS[int(everywhere.argmin())]
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.mul_(factor)
    return factor


def _features(task: Task, layer: nn.Module, supply: Supply, feed: Feed) -> Tensor:
    """What enters a layer (N, D), for all training pictures in order, on the CPU."""
    seen: list[Tensor] = []
    handle = layer.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    features, places = [], []
    try:
        with contextlib.closing(feed), evaluating(task.model), torch.no_grad():
            for batch in feed.epoch(1):
                seen.clear()
                h = supply.entering(batch.x)
                with task.precision.autocast():
                    task.model(h)
                features.append(seen[0].flatten(1).float().cpu())
                places.append(batch.indices)
    finally:
        handle.remove()
    return task.processes.in_order(torch.cat(features), torch.cat(places), feed.order.size)


def _in_training(task: Task, supply: Supply) -> tuple[Tensor, Tensor]:
    """Scores (n, C) of the first batches as training sees them, and their targets, on the CPU."""
    model, scores, targets = task.model, [], []
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    devices = [task.processes.device] if task.processes.device.type == "cuda" else []
    with modes_kept(model), torch.random.fork_rng(devices=devices), torch.no_grad():
        model.train()
        for batch in itertools.islice(supply.train.epoch(1), BATCHES):
            with task.precision.autocast():
                scores.append(model(supply.entering(batch.x)).double().cpu())
            targets.append(batch.y.cpu())
        for buffer, before in buffers:
            buffer.copy_(before)
    return torch.cat(scores), torch.cat(targets)
