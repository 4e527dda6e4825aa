"""The evidence on real pictures: what is kept of a stopped run, and what the page makes of it."""

import dataclasses
from itertools import product
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks import advice, photos, reading, regret, regret_page, views
from benchmarks.page_parts import put
from benchmarks.ways import Question


def test_a_result_is_there_once_it_came(tmp_path):
    path = tmp_path / "photos.jsonl"
    first, second = (photos.Job("cells", 10, seed, "head") for seed in (0, 1))
    assert photos.results(path) == {}
    photos.keep(first, 0.7, "head", 1.0, path)
    with path.open("a") as file:
        file.write('{"job": {"set"')  # stopped while it wrote
    assert list(photos.results(path)) == [first]
    photos.keep(second, 0.8, "head", 2.0, path)
    assert {job: fact["accuracy"] for job, fact in photos.results(path).items()} == {
        first: 0.7,
        second: 0.8,
    }


def found(means: dict[tuple[str, int], tuple[float, ...]], seeds: int = 3):
    """Results of all arms, seed by seed a little more."""
    return {
        photos.Job(name, count, seed, arm): {
            "accuracy": mean + seed / 100,
            "stage": "",
            "seconds": 3600,
        }
        for (name, count), own in means.items()
        for (arm, mean), seed in product(zip(reading.COLUMNS, own, strict=True), range(seeds))
    }


def test_the_page_says_what_holds_and_what_does_not():
    few, many = (0.52, 0.64, 0.70, 0.63, 0.60), (0.60, 0.79, 0.78, 0.80, 0.85)
    text = reading.section(found({("cells", 10): few, ("cells", 200): many}), "-\n\nMethod.")
    assert "earlier layers serve better" in text
    assert "10 a class -4.0, 200 a class +6.0; as taught" in text
    assert "| 10 | 53.0 ± 1.0 | 65.0 ± 1.0 | **71.0 ± 1.0** |" in text
    assert "Fewer than five seeds as yet, or none: stamps 10, cells 10, cells 50" in text
    other = reading.section(found({("cells", 10): many, ("cells", 200): few}), "-\n\nMethod.")
    assert "200 a class -4.0; not as taught" in other


def test_a_row_waits_for_all_its_arms():
    results = found({("cells", 10): (0.5,) * 5, ("cells", 50): (0.5,) * 5})
    del results[photos.Job("cells", 50, 2, "all")]
    text = reading.section(results, "-\n\nMethod.")
    assert "| 10 | " in text and "| 50 | " not in text


def test_one_seed_proves_nothing():
    assert reading.gained([90.0], [50.0]) == (40.0, False)
    gain, sure = reading.gained([3.0, 4.0, 5.0], [1.0, 2.1, 2.9])
    assert gain == pytest.approx(2.0) and sure


def test_a_page_keeps_what_other_commands_wrote(tmp_path):
    page = tmp_path / "page.md"
    put(page, "one", "# One")
    put(page, "two", "## Two")
    put(page, "one", r"# One \1 again")
    assert page.read_text() == (
        "<!-- one -->\n\n# One \\1 again\n\n<!-- end of one -->\n\n"
        "<!-- two -->\n\n## Two\n\n<!-- end of two -->\n"
    )


# --- advice, and fixed views ---------------------------------------------------------------------


def asked(task: str, network: str, advised: str, ways: dict[str, float], left_out: float = 0.5):
    """A question, what its ways come to, and what was advised; the last way of advise() is named
    so, and heads on other boundaries follow it."""
    question = Question(task, network, 10, 0)
    measured = {"ways": {name: [accuracy, 4.0] for name, accuracy in ways.items()},
                "left_out": {"accuracy": left_out, "loss": 1 - left_out}}  # fmt: skip
    return question, measured, {
        "advised": advised, "expected": 0.5, "low": 0.4, "high": 0.6, "seconds": 2.0,
    }  # fmt: skip


def found_of(*questions: Any) -> dict[Any, dict[str, Any]]:
    return regret.joined(
        {question: measured for question, measured, _ in questions},
        {question: said for question, _, said in questions},
    )


def test_regret_is_what_the_best_way_has_more() -> None:
    ways = {"head alone": 0.5, "last stage, fc2": 0.7, "all": 0.6, "from scratch": 0.1,
            "keep until conv2": 0.9}  # fmt: skip
    found = found_of(asked("a", "small", "last stage, fc2", ways), asked("b", "small", "all", ways))
    table = regret_page.ways_table(found).splitlines()
    assert table[2].startswith("| what is advised | 5.00 (0.00 to 10.00)")  # 0 and 10 points
    assert table[3].startswith("| always the head | 20.00") and "+15.00" in table[3]
    assert table[4].startswith("| always the last stage | 0.00") and "-5.00" in table[4]
    assert (
        regret_page.by_network(found).splitlines()[2]
        == "| small | 10 | 5.00 | 20.00 | 0.00 | 10.00 |"
    )
    page = regret_page.section(found, "One.\n\nHow.", ["small"])
    assert "Asking takes 0.12 of the time" in page and "in 1 of 2" in page


def test_tasks_that_came_later_are_told_alone_and_with_the_others() -> None:
    ways = {"head alone": 0.5, "last stage, fc2": 0.7, "all": 0.6, "from scratch": 0.1}
    later = found_of(asked("b", "small", "all", ways))
    page = regret_page.unseen(later, found_of(asked("a", "small", "last stage, fc2", ways)))
    alone, both = page.split("Both together, 2 questions:")
    assert "1 question of 1 task (b): small at 10 a class, 1 seed." in alone
    assert "| what is advised | 10.00" in alone and "| what is advised | 5.00" in both
    assert not regret_page.unseen({}, later)


def test_what_a_way_comes_to_is_its_mean_over_seeds() -> None:
    first = {"head alone": 0.5, "all": 0.6, "from scratch": 0.1}
    question, measured, said = asked("a", "small", "head alone", first)
    other = {**measured, "ways": {**measured["ways"], "all": [0.3, 4.0]}}
    again = dataclasses.replace(question, seed=1)
    found = regret.joined({question: measured, again: other}, {question: said})
    assert found[question]["ways"]["all"] == pytest.approx(0.45)
    assert regret_page.ways_table(found).splitlines()[2].startswith("| what is advised | 0.00")
    assert found[question]["foreseen"] == "head alone"
    better = {**measured, "ways": {**measured["ways"], "all": [0.7, 4.0]}}
    table = regret_page.without_luck(
        regret.joined({question: measured, again: better}, {question: said})
    )
    assert "| what is advised | +10.00 (+10.00 to +10.00) |" in table
    assert "| always everything | +0.00 (" in table


def test_more_seeds_where_few_pictures_test_and_of_quick_trainings(monkeypatch) -> None:
    parts = {"a": ((), range(499)), "b": ((), range(500))}
    monkeypatch.setattr(advice, "task", lambda name: SimpleNamespace(parts=lambda: parts[name]))
    asked = SimpleNamespace(networks=["lenet5", "efficientnet_lite0"], counts=[10, 50], seeds=3)
    found = advice._more(asked, [*parts])
    assert found == [
        Question(name, network, count, seed)
        for seed in range(3, 10)
        for name, network, count in [
            ("a", "lenet5", 10),
            ("b", "lenet5", 10),
            ("a", "efficientnet_lite0", 10),
            ("a", "lenet5", 50),
            ("b", "lenet5", 50),
            ("a", "efficientnet_lite0", 50),
        ]
    ]
    asked.seeds = 8  # five of which are asked for anyway
    assert advice._more(asked, [*parts]) == found[30:]
    asked.seeds = 2
    assert advice._more(asked, [*parts]) == []


def test_an_advised_way_that_was_not_measured_is_none_of_the_others() -> None:
    ways = {"head alone": 0.5, "all": 0.6, "from scratch": 0.1}
    with pytest.raises(KeyError, match="conv2"):
        regret_page.ways_table(found_of(asked("a", "small", "keep until conv2", ways)))


def test_a_network_is_worth_its_best_way() -> None:
    small = asked("a", "small", "all", {"all": 0.9, "from scratch": 0.1}, left_out=0.8)
    ways = {"all": 0.6, "head alone": 0.7, "from scratch": 0.1}
    big = asked("a", "big", "all", ways, left_out=0.75)
    table = regret_page.networks(found_of(small, big), ["small", "big"])
    assert "| the first of rank | 0.00" in table and "| always the biggest | 20.00" in table


def test_answers_go_on_after_a_line_that_was_cut_short(tmp_path) -> None:
    path = tmp_path / "advice.jsonl"
    question, _, said = asked("a", "small", "all", {"all": 0.9})
    advice.kept((question, said), path)
    path.write_text(path.read_text() + '{"question": {"ta')
    advice.kept((dataclasses.replace(question, task="b"), said), path)
    assert [one.task for one in advice.answers(path)] == ["a", "b"]


def test_views_are_as_good_within_a_third_of_a_point() -> None:
    scores = {"fresh": 0.800, "4": 0.798, "8": 0.79, "16": 0.81}
    found = {
        photos.Job("cells", 50, seed, way): {"accuracy": score, "seconds": 9.0}
        for way, score in scores.items()
        for seed in (0, 1)
    }
    found[photos.Job("cells", 50, 2, "4")] = {"accuracy": 0.0, "seconds": 9.0}  # no pair
    rows = {line.split(" | ")[0]: line for line in views.table(found).splitlines()}
    assert "as good" in rows["| 4"] and "-0.20" in rows["| 4"] and "| 2 |" in rows["| 4"]
    assert "worse" in rows["| 8"] and "as good" in rows["| 16"]
