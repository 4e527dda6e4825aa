"""Regularizers: the syntax, the moments, and each penalty against its formula."""

import inspect
import re

import pytest
import torch
from click.testing import CliRunner
from support.places import ROOT
from torch import nn

import zoo_core as zoo
from zoo_core.cli import regularizers as card
from zoo_core.plugins.catalogue import catalogue
from zoo_core.regularize.regularizer import Regularizer, Verdict
from zoo_core.regularize.stack import Stack
from zoo_core.testing import check_regularizer

QUIET = {"out": False, "progress": False}
KNOWN = catalogue().regularizers()


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3)).double()


def backward(model: nn.Module) -> None:
    torch.manual_seed(1)
    model(torch.randn(4, 6, dtype=torch.float64)).square().sum().backward()


@pytest.mark.parametrize("name", KNOWN)
def test_every_regularizer_keeps_the_contract(name):
    check_regularizer(name)


@pytest.mark.parametrize("name", KNOWN)
def test_options_are_those_of_the_class(name):
    """What `zoo regularizers` says of options and defaults is what the class does."""
    spec = KNOWN[name]
    own = inspect.signature(type(spec.factory()).__init__).parameters.values()
    common = inspect.signature(Regularizer.__init__).parameters.values()
    every = {p.name: p.default for p in own if p.kind is not p.VAR_KEYWORD and p.name != "self"}
    if any(p.kind is p.VAR_KEYWORD for p in own):
        every |= {p.name: p.default or "" for p in common if p.name != "self"}
        every["steps"] = 0
    said = {option.name: option.default for option in spec.options}
    assert {key: every[key] for key in said} == said
    assert set(every) - set(said) <= {"stages", "exclude", "schedule", "steps"}


def test_the_page_has_a_line_for_each():
    page = (ROOT / "docs" / "regularizers.md").read_text("utf-8")
    told = re.findall(r"^\| `([a-z0-9-]+)[=:]", page.partition("## The formulas")[2], re.MULTILINE)
    assert sorted(name for name in told if name != "rule") == list(KNOWN)


@pytest.mark.parametrize("name", KNOWN)
def test_every_card_says_how_to_write_it(name):
    done = CliRunner().invoke(card.command, [name])
    assert done.exit_code == 0, done.output
    example = re.search(r'regularizers=\["(.*)"\]', done.output).group(1)
    assert zoo.regularizers(example).members[0].name == name
    assert KNOWN[name].paper in done.output and KNOWN[name].summary in done.output


def test_l2_equals_twice_as_much_weight_decay():
    ours, theirs = network(), network()
    for model, chosen, decay in ((ours, "l2=0.03", 0.0), (theirs, (), 2 * 0.03)):
        decayed = {"params": [p for p in model.parameters() if p.ndim >= 2], "weight_decay": decay}
        rest = {"params": [p for p in model.parameters() if p.ndim < 2]}
        optimizer = torch.optim.SGD([decayed, rest], lr=0.01)
        stack = zoo.regularizers(chosen).attach(model, optimizer=optimizer)
        for _ in range(5):
            optimizer.zero_grad()
            backward(model)
            stack.gradients()
            optimizer.step()
    pairs = zip(ours.parameters(), theirs.parameters(), strict=True)
    assert all(torch.allclose(a, b) for a, b in pairs)


def test_l2_sp_pulls_pretrained_weights_back_and_new_ones_to_zero():
    model = network()
    start = {"0.weight": model[0].weight.detach().clone()}
    with torch.no_grad():
        model[0].weight.add_(1)
    backward(model)
    before = {name: p.grad.clone() for name, p in model.named_parameters()}
    zoo.regularizers("l2-sp=0.5:new=0.25").attach(model, reference=start).gradients()
    added = {name: p.grad - before[name] for name, p in model.named_parameters()}
    assert torch.allclose(added["0.weight"], torch.full((5, 6), 0.5, dtype=torch.float64))
    assert torch.allclose(added["2.weight"], 0.25 * model[2].weight)
    assert not added["0.bias"].any() and not added["2.bias"].any()


def test_l2_sp_knows_a_new_head_in_anybodys_loop():
    model = zoo.create("lenet5", pretrained=True, num_classes=4)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    zoo.regularizers("l2-sp=0.5:new=0.25").attach(model).gradients()
    assert torch.allclose(model.head.weight.grad, 0.25 * model.head.weight)
    assert not model.fc2.weight.grad.any()
    with pytest.raises(zoo.RecipeError, match="this model has none"):
        zoo.regularizers("l2-sp").attach(zoo.create("lenet5"))


def test_l2_sp_keeps_its_reference_when_attached_again():
    model = network()
    stack = zoo.regularizers("l2-sp=1:new=0").attach(model)
    with torch.no_grad():
        model[0].weight.add_(2)
    stack.attach(model)
    assert stack.penalty().item() == pytest.approx(0.5 * 4 * 30, rel=1e-5)


def test_l2_sp_needs_pretrained_weights():
    model = zoo.create("lenet5")
    with pytest.raises(zoo.RecipeError, match="this model has none"):
        zoo.finetune(model, "digits", regularizers="l2-sp", epochs=1, **QUIET)


def test_early_stopping_is_the_textbooks_rule_with_patience_one():
    model = network()
    stack = zoo.regularizers("early-stopping=1").attach(model)
    best = model[0].weight.detach().clone()
    assert stack.validation({"loss": 1.0, "accuracy": 0.5}) is Verdict.IMPROVED
    with torch.no_grad():
        model[0].weight.zero_()
    assert stack.validation({"loss": 1.1, "accuracy": 0.9}) is Verdict.STOP
    stack.detach()
    assert torch.equal(model[0].weight, best)


def test_early_stopping_waits_and_can_watch_accuracy():
    chosen = "early-stopping:patience=2,monitor=accuracy,restore=false"
    stopping = zoo.regularizers(chosen).attach(network())
    accuracies = [0.5, 0.6, 0.6, 0.55]
    verdicts = [stopping.validation({"loss": 1.0, "accuracy": a}) for a in accuracies]
    assert verdicts == [Verdict.IMPROVED, Verdict.IMPROVED, Verdict.CONTINUE, Verdict.STOP]


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("l3", zoo.UnknownName, 'Closest: "l2"'),
        ("l2:strenght=1", zoo.UnknownName, 'Closest: "strength"'),
        ("l2=lots", zoo.RecipeError, 'strength in "l2=lots" must be a number'),
        ("l2=-1", zoo.RecipeError, "strength must be 0 or more"),
        ("l2:strength", zoo.RecipeError, "is no option=value"),
        ("early-stopping:restore=maybe", zoo.RecipeError, "must be true or false"),
        ("early-stopping=0", zoo.RecipeError, "patience must be 1 or more"),
        ("early-stopping=2.5", zoo.RecipeError, "a whole number"),
        (3, zoo.RecipeError, "a name or a Regularizer"),
        (Regularizer, zoo.RecipeError, "Make one: Regularizer()"),
        ("l2=inf", zoo.RecipeError, "strength must be finite"),
        ("l2=nan", zoo.RecipeError, "strength must be 0 or more"),
        ("l2=1:strength=2", zoo.RecipeError, '"l2=1:strength=2" gives strength twice'),
        ("l2:steps=10", zoo.RecipeError, "steps=10 needs a schedule"),
        ("l2:schedule=cosine", zoo.RecipeError, "schedule=cosine needs steps"),
        ("l2:schedule=sine,steps=9", zoo.RecipeError, "schedule is constant, warmup"),
    ],
)
def test_bad_names_and_options_say_what_is_right(text, error, message):
    with pytest.raises(error) as caught:
        zoo.regularizers([text])
    assert message in str(caught.value)


@pytest.mark.parametrize("chosen", [None, 5, {"l2": 1e-3}])
def test_what_is_no_list_is_refused(chosen):
    with pytest.raises(zoo.RecipeError, match=r"a list of names and objects"):
        zoo.regularizers(chosen)


class Twice(Regularizer):
    """Goes through the pass two times, and counts what it is called for."""

    def __init__(self):
        self.calls = []

    def passes(self, closure):
        closure()
        return closure()

    def weights(self):
        self.calls.append("weights")

    def gradients(self):
        self.calls.append("gradients")

    def detach(self):
        self.calls.append("detach")


def test_a_regularizer_of_ones_own_is_called_at_its_moments():
    own = Twice()
    model = zoo.create("lenet5", pretrained=True)
    model.freeze_until("head")
    zoo.finetune(model, "digits", epochs=1, batch_size=400, regularizers=[own], **QUIET)
    assert own.calls == ["gradients", "weights"] * 4 + ["detach"]


def test_two_that_replace_the_pass_exclude_each_other():
    with pytest.raises(zoo.RecipeError, match="Twice and Twice"):
        Stack([Twice(), Twice()])


def test_a_stack_in_a_plain_loop():
    model = zoo.create("lenet5", pretrained=True, num_classes=2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    stack = zoo.regularizers(["l2=1e-2", "l2-sp=0.1"]).attach(model, optimizer=optimizer)
    x, y = stack.batch(torch.randn(8, 1, 32, 32), torch.arange(8) % 2)
    first = stack.penalty()
    for _ in range(30):
        optimizer.zero_grad()
        outputs = model(x)
        loss = stack.loss(nn.functional.cross_entropy(outputs, y), outputs, y)
        stack.passes(lambda loss=loss: loss.backward() or loss.detach())
        stack.gradients()
        optimizer.step()
        stack.weights()
    with stack.evaluating():
        stack.validation({"loss": loss.item(), "accuracy": 1.0})
    stack.detach()
    assert loss.item() < 0.2 and torch.isfinite(stack.penalty()) and first > 0
