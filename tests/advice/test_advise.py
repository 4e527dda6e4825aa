"""advise(): ways that are tried, the rule by which one is chosen, and a recipe that runs."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import pytest
import torch
from PIL import Image

import zoo_core as zoo
from zoo_core.advice.arms import (
    ALL,
    ALONE,
    HALF,
    LAST,
    SCRATCH,
    Arm,
    Trial,
    arms_of,
    earlier,
    tried,
)
from zoo_core.advice.beginning import Beginning, beginning
from zoo_core.advice.budget import Budget, seconds_of
from zoo_core.advice.choosing import (
    LARGE,
    LONG,
    OVERWHELMING,
    Amount,
    amount_of,
    overruling,
    reason,
    untried,
    usual,
)
from zoo_core.advice.evidence import Evidence, Judged, beyond_chance, gathered
from zoo_core.advice.halving import LONGER, RUNGS, Halving, first_epochs
from zoo_core.advice.recipe import command_for
from zoo_core.advice.timing import Speed
from zoo_core.advice.words import why
from zoo_core.cli import main
from zoo_core.data.opening import open_data
from zoo_core.data.splitting import fifth_held_out
from zoo_core.training.replay import replay

QUIET = {"progress": False}


@pytest.fixture(scope="module")
def digits() -> zoo.Pictures:
    return open_data("digits#test").subset(range(100))


@pytest.fixture(scope="module")
def evidence(digits: zoo.Pictures) -> Evidence:
    return gathered(zoo.create("lenet5", pretrained=True), digits, 0, False)


def judged(losses: list[float], stage: str = "head") -> Judged:
    return Judged(stage, torch.tensor(losses), torch.ones(len(losses)))


def trial(name: str, right: list[float]) -> Trial:
    return Trial(Arm(name, "lenet5"), 100, 1.0, torch.zeros(len(right)), torch.tensor(right), 1)


# --- evidence ------------------------------------------------------------------------------------


def test_weights_of_digits_are_near_digits(evidence: Evidence) -> None:
    assert [one.stage for one in evidence.stages] == ["conv2", "fc1", "fc2", "head"]
    assert evidence.similarity == "near" and evidence.tells
    rows = evidence.rows(0)
    assert rows[-1]["accuracy"] > rows[-1]["random"]


def test_similarity_by_which_features_are_best() -> None:
    low, high = [0.1, 0.2] * 40, [0.9, 1.0] * 40
    guess = torch.tensor(high)
    far = Evidence([judged(low)], [judged(low)], guess, {})
    medium = Evidence([judged(low, "fc1"), judged(high)], [judged(high)], guess, {})
    near = Evidence([judged(high, "fc1"), judged(low)], [judged(high)], guess, {})
    few = Evidence([judged(low[:9])], [judged(high[:9])], guess[:9], {})
    kinds = [one.similarity for one in (far, medium, near, few)]
    assert kinds == ["far", "medium", "near", "unknown"]
    assert not Evidence([judged(high)], [judged(high)], guess, {}).tells


def test_a_budget_is_any_number_of_seconds() -> None:
    assert seconds_of(5.2299999999999995) == 5.2299999999999995 and seconds_of("90s") == 90


def test_beyond_chance_is_one_standard_error_of_the_difference() -> None:
    a, b = [0.1, 0.4, 0.3, 0.2], [0.3, 0.3, 0.5, 0.6]
    less = [y - x for x, y in zip(a, b, strict=True)]
    mean = sum(less) / 4
    error = math.sqrt(sum((x - mean) ** 2 for x in less) / 3) / math.sqrt(4)
    assert beyond_chance(torch.tensor(a), torch.tensor(b)) == (mean > error)
    assert not beyond_chance(torch.tensor(a), torch.tensor(a))


# --- ways ----------------------------------------------------------------------------------------


def test_a_boundary_is_the_last_that_is_as_good_as_any_before_it() -> None:
    best, near, far = [0.5, 0.7] * 20, [0.7, 0.52] * 20, [1.1, 1.3] * 20
    guess = torch.full((40,), 1.4)

    def found(**losses: list[float]) -> str | None:
        stages = [judged(own, stage) for stage, own in losses.items()]
        return earlier(Evidence(stages, stages, guess, {}))

    assert found(conv2=best, fc1=near, fc2=far, head=far) == "fc1"
    assert found(conv2=best, fc1=far, fc2=near, head=far) == "fc2"
    assert found(conv2=far, fc1=near, head=near) is None  # the same features
    assert found(conv2=far, fc1=far, head=best) is None
    assert found(head=best) is None


def test_the_ways_of_a_network(evidence: Evidence) -> None:
    names = [arm.name for arm in arms_of(Beginning("lenet5"), zoo.create("lenet5"), evidence)]
    assert names[-4:] == ["last stage, fc2", "half, from fc1", ALL, SCRATCH]
    assert ALONE in names[:2]


def seen(own: list[float], head: list[float], control: list[float], times: int = 30) -> Evidence:
    stages = [judged(own * times, "fc1"), judged(head * times)]
    return Evidence(stages, [judged(control * times)], torch.full((2 * times,), 1.4), {})


NEAR = seen([0.9, 0.8], [0.5, 0.7], [1.1, 1.3])
MEDIUM = seen([0.5, 0.7], [0.9, 0.8], [1.1, 1.3])
HARDLY = seen([0.9, 0.8], [0.5, 0.7], [0.9, 0.45])  # better than random by 1.8 standard errors
FAR = seen([0.5, 0.7], [0.5, 0.7], [0.6, 0.61])
FARTHER = seen([0.6, 0.7], [0.6, 0.7], [0.5, 0.6])
NAMES = ("keep until fc1", ALONE, f"{LAST}, fc2", f"{HALF}, from fc1", ALL, SCRATCH)
WAYS = [Arm(name, "lenet5") for name in NAMES]


def name_of(evidence: Evidence, each: float, parameters: float = 100, ways: int = 0) -> str:
    return usual(WAYS[ways:], evidence, Amount(each, parameters)).name


def test_what_is_usual_is_the_table_of_the_chapter() -> None:
    assert [NEAR.similarity, MEDIUM.similarity] == ["near", "medium"]
    assert FAR.similarity == FARTHER.similarity == "far"
    assert name_of(NEAR, 10) == ALONE and name_of(NEAR, 50) == f"{HALF}, from fc1"
    assert HARDLY.similarity == "unknown" and not HARDLY.few
    assert {name_of(one, each) for one in (MEDIUM, HARDLY, FAR) for each in (10, 500)} == {ALL}
    assert name_of(FARTHER, 10) == SCRATCH
    few = seen([0.9, 0.8], [0.5, 0.7], [1.1, 1.3], 10)  # too few to say, and yet a head is enough
    assert few.similarity == "unknown" and name_of(few, 10) == ALONE
    assert name_of(seen([0.6, 0.7], [0.6, 0.7], [0.5, 0.6], 10), 10) == ALL
    assert usual(WAYS[:3], NEAR, Amount(50, 100)).name == f"{LAST}, fc2"  # there is no half
    assert usual(WAYS[:2], NEAR, Amount(50, 100)).name == ALONE


def test_a_large_network_is_trained_whole_where_earlier_features_are_clearly_better() -> None:
    by_one = seen([0.5, 0.7], [0.9, 0.45], [1.1, 1.3])  # better by 1.8 standard errors
    assert by_one.similarity == "medium" and not by_one.earlier_is_clear
    half = f"{HALF}, from fc1"
    assert {name_of(one, 50, LARGE + 1) for one in (by_one, HARDLY, FAR, FARTHER, NEAR)} == {half}
    assert name_of(by_one, 10, LARGE + 1) == half and name_of(NEAR, 10, LARGE + 1) == ALONE
    assert name_of(MEDIUM, 10, LARGE + 1) == name_of(MEDIUM, 50, LARGE + 1) == ALL
    assert name_of(by_one, 50, LARGE) == ALL


def test_a_very_large_network_is_not_trained_whole() -> None:
    for evidence in (NEAR, MEDIUM, FAR, FARTHER):
        assert name_of(evidence, 10, OVERWHELMING + 1) == "keep until fc1"  # which is clearly best
        assert name_of(evidence, 10, OVERWHELMING + 1, ways=1) == ALONE
        assert name_of(evidence, 50, OVERWHELMING + 1) == f"{HALF}, from fc1"


def test_how_much_there_is_to_learn_from(digits: zoo.Pictures) -> None:
    network = zoo.create("lenet5")
    amount = amount_of(network, digits)
    assert amount.each == 10 and amount.few and not amount.overwhelmed
    without_head = zoo.create("lenet5", num_classes=0)
    assert amount.parameters == sum(p.numel() for p in without_head.parameters()) / 100


def test_what_was_not_tried_keeps_the_weights() -> None:
    def name(evidence: Evidence) -> str:
        return untried(WAYS, evidence, usual(WAYS, evidence, Amount(10, 100)), 100).name

    assert name(FARTHER) == name(MEDIUM) == ALL
    assert name(NEAR) == ALONE


def test_of_a_handful_of_pictures_a_solved_head_is_advised() -> None:
    assert untried(WAYS, MEDIUM, WAYS[4], 19).name == "keep until fc1"
    assert untried(WAYS[1:], MEDIUM, WAYS[4], 19).name == ALONE
    assert untried(WAYS, FARTHER, WAYS[4], 19).name == ALONE


def test_what_is_usual_is_overruled_only_beyond_chance_and_after_long_trainings() -> None:
    best, near, bad = [1.0] * 36 + [0.0] * 4, [1.0] * 32 + [0.0] * 8, [1.0] * 20 + [0.0] * 20
    trials = [trial(ALONE, bad), trial(ALL, near), trial(SCRATCH, best)]
    alone, everything, scratch = (one.arm for one in trials)
    pictures = 30 * 8  # of which the shortest training sees each once
    assert overruling(trials, everything, pictures) is None  # of 40 pictures, four are chance
    found = overruling(trials, alone, pictures)
    assert found is not None and found.arm is scratch
    assert overruling(trials, scratch, pictures) is None
    assert overruling(trials[:2], scratch, pictures) is None  # for which there was no time
    short = [dataclasses.replace(one, epochs=LONG * first_epochs(pictures) - 1) for one in trials]
    assert overruling(short, alone, pictures) is None


def test_why_a_way_was_chosen() -> None:
    one, other = trial(ALONE, [1.0] * 10), trial(ALL, [0.0] * 10)
    assert "no other way is clearly better" in reason(one.arm, [one, other], one.arm)
    assert "clearly better than what is usual" in reason(one.arm, [one, other], other.arm)
    assert "the nearest to it" in reason(one.arm, [one], other.arm)
    assert "it could not be tried" in reason(one.arm, [], one.arm)
    assert "it could not be tried" in reason(one.arm, [other], one.arm)
    assert "the cheapest way" in reason(one.arm, [], other.arm)
    assert "the nearest to it" in reason(other.arm, [], Arm(SCRATCH, "lenet5"))  # all for scratch


def test_why_tells_the_parameters_of_a_large_network() -> None:
    large, small = (why("net", MEDIUM, Amount(50, n), ALL, "so") for n in (LARGE + 1, LARGE))
    assert f"for each of which net has {LARGE + 1:,} parameters" in large[1]
    assert "parameters" not in small[1]


def test_a_way_is_what_finetune_does(digits: zoo.Pictures) -> None:
    train, val = fifth_held_out(digits, 0)
    arm = Arm(ALL, "lenet5", {"train": "all", "head": "ridge"}, 3.0)
    one, two = (tried(arm, train, val, 1, 0) for _ in range(2))
    assert torch.equal(one.losses, two.losses)
    how = {"train": "all", "head": "ridge", "augment": False, "batch_size": 8,
           "lr_schedule": "cosine", "out": False}  # fmt: skip
    run = zoo.finetune("lenet5", train, val=val, epochs=1, progress=False, **how)
    assert one.right.mean().item() == pytest.approx(run.accuracy)
    assert one.loss == pytest.approx(run.best["val_loss"], abs=1e-6)


def test_the_better_half_is_trained_for_longer(digits: zoo.Pictures, evidence: Evidence) -> None:
    arms = arms_of(Beginning("lenet5"), zoo.create("lenet5"), evidence)
    train, val = fifth_held_out(digits, 0)
    told: list[str] = []
    halving = Halving(train, val, 0, Budget(1000), Speed(0.0005, 0.0005, 10**6), told.append)
    halving.run(arms, [arms[-1]])
    stepped = [trial.epochs for trial in halving.trials.values() if not trial.arm.solved]
    assert sorted(stepped)[0] == 3 and sorted(stepped)[-1] == 3 * LONGER ** (RUNGS - 1)
    assert halving.trials[SCRATCH].epochs == max(stepped)  # it was kept
    assert len(halving.trials) == len(arms) and len(told) == len(arms) + 3 + 2 + 2
    final = halving.final(arms)
    assert {trial.epochs for trial in final} == {0, max(stepped)}
    assert len(final) + len(halving.dropped(arms)) == len(arms) and not halving.left


def test_what_does_not_fit_the_time_for_all_is_not_begun(
    digits: zoo.Pictures, evidence: Evidence
) -> None:
    arms = arms_of(Beginning("lenet5"), zoo.create("lenet5"), evidence)
    train, val = fifth_held_out(digits, 0)
    halving = Halving(train, val, 0, Budget(60), Speed(0.0, 0.01, 10**6), lambda _: None)
    halving.run([arm for arm in arms if arm.name in (ALONE, ALL, SCRATCH)], arms)
    assert halving.trials[ALL].epochs == halving.trials[SCRATCH].epochs


def test_without_time_nothing_is_tried_and_all_is_named(
    digits: zoo.Pictures, evidence: Evidence
) -> None:
    arms = arms_of(Beginning("lenet5"), zoo.create("lenet5"), evidence)
    train, val = fifth_held_out(digits, 0)
    halving = Halving(train, val, 0, Budget(1e-6), Speed(0.0005, 0.0005, 10**6), print)
    halving.run(arms)
    assert not halving.trials
    assert {line.partition(":")[0] for line in halving.left} == {arm.name for arm in arms}


# --- the answer ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_recipe_runs_and_does_what_was_said(tmp_path: Path) -> None:
    advice = zoo.advise("lenet5", "digits#test", budget="8s", **QUIET)
    path = advice.save_recipe(tmp_path / "recipe.toml")
    run = replay(path, out=tmp_path / "run", progress=False)
    if advice.count == advice.total:  # the very same training
        assert run.accuracy == pytest.approx(advice.best["accuracy"])
    assert advice.best["low"] <= run.accuracy <= 1
    assert {"arm", "accuracy", "low", "high", "loss", "seconds"} <= set(advice.best)
    assert advice.command.startswith("zoo finetune lenet5 --data 'digits#test'")
    assert advice.spent < 8 * 1.5
    html = advice.save(tmp_path / "page.html").read_text()
    assert advice.best["arm"] in html and "<script" not in html
    assert len(advice.why) == 2 and "lenet5" in str(advice) and "<table>" in advice._repr_html_()


def test_a_second_is_not_enough_to_say(digits: zoo.Pictures) -> None:
    advice = zoo.advise("lenet5", digits, budget=0.2, **QUIET)
    assert any("not enough to say" in line for line in advice.sentences())
    assert advice.best["seconds"] == 0
    assert advice.recipe["train"]["head"] == "ridge" and advice.seconds is None
    least = zoo.advise("lenet5", digits, budget=0.001, **QUIET)  # 20 pictures, on any machine
    assert least.count == 20 and least.best["arm"] == ALONE


def test_little_data_is_said_to_be_little(digits: zoo.Pictures) -> None:
    three = zoo.advise("lenet5", digits.subset(range(3)), budget="2s", **QUIET)
    assert any("not enough to say" in line for line in three.sentences())
    assert three.recipe["data"]["val"] == "none"  # nothing can be held out
    grey = Image.new("L", (28, 28), 99)
    same = zoo.Pictures("same", lambda i: grey, [0, 1] * 10, ["a", "b"])
    advice = zoo.advise("lenet5", same, budget="2s", **QUIET)
    assert sum("tell these classes apart" in line for line in advice.sentences()) == 1


def test_the_accuracy_of_a_way_that_was_not_tried_is_that_of_its_head() -> None:
    every = open_data("digits#test", progress=False)
    one = every.targets.index(0)
    pictures = every.subset([i for i, t in enumerate(every.targets) if t or i == one])
    advice = zoo.advise("lenet5", pictures, budget="20s", **QUIET)
    assert advice.best["arm"].startswith(HALF) and advice.best["epochs"] == 0
    assert any("that of a solved head" in note for note in advice.notes)
    assert advice.recipe["train"]["epochs"] > 0


@pytest.mark.slow
def test_several_labels(digits: zoo.Pictures) -> None:
    odd = [(t,) if t % 2 else (t, 9) for t in digits.targets]
    several = zoo.Pictures("several", digits.read, odd, None, multilabel=True, num_classes=10)
    assert zoo.advise("lenet5", several, budget="2s", **QUIET).best["accuracy"] > 0.8


def test_bad_input(digits: zoo.Pictures, tmp_path: Path) -> None:
    ones = [i for i, target in enumerate(digits.targets) if target == 1]
    with pytest.raises(zoo.DataError, match="one class"):
        zoo.advise("lenet5", digits.subset(ones), **QUIET)
    with pytest.raises(zoo.DataError, match="too few"):
        zoo.advise("lenet5", digits.subset([0]), **QUIET)
    with pytest.raises(zoo.WeightsError, match="no weights"):
        zoo.advise(zoo.create("lenet5"), digits, **QUIET)
    with pytest.raises(zoo.DataError, match="no model of zoo"):
        zoo.advise(5, digits, **QUIET)  # type: ignore[arg-type]
    with pytest.raises(zoo.UnknownName):
        zoo.advise("alexnet99", digits, **QUIET)
    with pytest.raises(zoo.RecipeError, match="held out"):
        zoo.advise("lenet5", digits, val=False, **QUIET)
    for budget in ("soon", "", "-1", "5 x", True, 0, -1, math.inf, math.nan, 10**400):
        with pytest.raises(zoo.RecipeError, match="budget"):
            zoo.advise("lenet5", digits, budget=budget, **QUIET)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "broken.png").write_bytes(b"\x89PNG no picture")
    with pytest.raises(zoo.DataError, match=r"broken\.png"):
        zoo.advise("lenet5", f"folder:{tmp_path}", **QUIET)


def test_a_model_counts_by_what_it_was_made_from(digits: zoo.Pictures) -> None:
    """Its size and its weights are in the recipe and the command; its head has no say."""
    model = zoo.create("lenet5.fashion_mnist", num_classes=4).freeze_until("fc1")
    few = digits.subset(range(20))  # all of them are looked at, however slow the machine is
    advice = zoo.advise(model, few, budget=0.2, **QUIET)
    named = zoo.advise("lenet5.fashion_mnist", few, budget=0.2, **QUIET)
    assert advice.best["loss"] == named.best["loss"]
    assert advice.recipe["start"]["model"] == "lenet5"
    assert advice.recipe["start"]["pretrained"] == "fashion_mnist"
    network, start = beginning(zoo.create("efficientnet_lite0", pretrained=True, img_size=[64, 96]))
    assert network.input.size == (3, 64, 96)
    assert start == Beginning("efficientnet_lite0", {"config": {"img_size": [64, 96]}})
    how = {**start.beside, "pretrained": "in1k", "augment": False, "seed": 0}
    line = command_for("efficientnet_lite0", "digits", None, how)
    assert line == (
        "zoo finetune efficientnet_lite0 --data digits --config 'img_size=[64, 96]' --weights in1k "
        "--no-augment"
    )


def test_a_model_that_was_changed_is_refused(digits: zoo.Pictures) -> None:
    trained = zoo.create("lenet5", pretrained=True)
    trained.conv1.weight.data.mul_(2)
    looks = zoo.create("lenet5", pretrained=True)
    looks.input = dataclasses.replace(looks.input, mean=(0.5,))
    run = zoo.finetune("lenet5", digits, epochs=1, out=False, progress=False)
    faults = {trained: "conv1.weight changed", looks: "input was changed", run.model: "changed"}
    for model, fault in faults.items():
        with pytest.raises(zoo.RecipeError, match=fault):
            zoo.advise(model, digits, **QUIET)


def test_the_command_says_what_the_recipe_says() -> None:
    how = {"augment": False, "batch_size": 32, "seed": 0, "epochs": 3, "train": "fc1:", "lr": None}
    line = command_for("lenet5", "digits", None, how)
    wanted = "--no-augment --batch-size 32 --epochs 3 --train fc1:"
    assert line == f"zoo finetune lenet5 --data digits {wanted}"
    assert command_for("lenet5", "digits", None, {"pretrained": False}) == ""


@pytest.mark.slow
def test_on_the_command_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out, page = tmp_path / "recipe.toml", tmp_path / "page.html"
    words = ["advise", "lenet5", "digits#test", "--budget", "1s"]
    assert main([*words, "--out", str(out), "--html", str(page)]) == 0
    assert f"Next: zoo finetune --recipe {out}" in capsys.readouterr().out
    assert out.exists() and page.exists()
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["recipe"]["start"]["model"] == "lenet5"
