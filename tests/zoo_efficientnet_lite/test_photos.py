"""`zoo demo photos`: its features, what it says, and all of it in a very small form."""

import json

import pytest
import torch
from click.testing import CliRunner

import zoo_core as zoo
from zoo_core.chain import run_stages
from zoo_core.cli import zoo as command_line
from zoo_core.data.opening import open_data
from zoo_efficientnet_lite import photos
from zoo_efficientnet_lite.command import table
from zoo_efficientnet_lite.pooled import balanced, pooled
from zoo_efficientnet_lite.reading import Row, sentence


def test_one_pass_gives_the_features_of_every_network_that_ends_earlier():
    model = zoo.create("efficientnet_lite0", pretrained=True)
    pictures = open_data("elpv#test", progress=False).subset([0, 5, 9])
    found = pooled(model, pictures)
    assert list(found) == list(model.chain)[1:]
    x = torch.stack([model.transform()(pictures.read(i)) for i in range(3)])
    part = zoo.create("efficientnet_lite0", pretrained=True, keep_until="block5")
    for network, stage in ((part, "block5"), (model, "head")):
        stages = list(network.eval().chain.values())[:-1]
        with torch.inference_mode():
            plain = run_stages(network, stages, x)
        assert torch.equal(found[stage], plain.flatten(1))


def test_balanced_accuracy_does_not_count_pictures():
    scores = torch.eye(3)[torch.tensor([0, 0, 0, 0, 1, 2])]
    assert balanced(scores, torch.tensor([0, 0, 0, 1, 1, 2])) == pytest.approx(2.5 / 3)


def rows(**means: tuple[float, float]) -> list[Row]:
    """Rows of 10 and 200 pictures a class."""
    return [
        Row.of(count, arm, [own[at]])
        for at, count in enumerate((10, 200))
        for arm, own in means.items()
    ]


def test_the_sentence_is_of_its_own_numbers():
    usual = rows(scratch=(52, 60), head=(65, 79), keep=(70, 78), deeper=(64, 84))
    text = sentence(usual)
    assert "nothing like ImageNet's" in text and "84.0%, against 79.0%" in text
    late = sentence(rows(scratch=(52, 60), head=(75, 79), keep=(70, 78), deeper=(64, 70)))
    assert "late layers are a help" in late and "is best, 79.0%; training" in late
    none = sentence(rows(scratch=(80, 90), head=(65, 79), keep=(70, 78), deeper=(64, 84)))
    assert "transfer has no value" in none and "starting from scratch is best, 90.0%" in none


def test_the_table_has_a_column_for_each_way():
    header, body = table(rows(scratch=(52, 60), head=(65, 79), keep=(70, 78), deeper=(64, 84)))
    assert len(header) == 5 and body[1] == ["200", "60.0", "79.0", "78.0", "84.0"]
    assert Row.of(10, "head", [60, 70]).sd == 7.1


def test_options_of_the_photographs_are_not_those_of_the_digits(tmp_path):
    done = CliRunner().invoke(command_line, ["demo", "--out", str(tmp_path / "x"), "photos"])
    assert done.exit_code == 2 and "zoo demo photos --out" in done.output
    assert "photos" in CliRunner().invoke(command_line, ["demo", "--help"]).output
    assert CliRunner().invoke(command_line, ["demo", "photo"]).exit_code == 2


def test_a_folder_that_is_there_is_refused_before_anything_runs(tmp_path):
    with pytest.raises(zoo.RecipeError, match="cannot be made"):
        photos.run_demo(tmp_path)


def test_without_the_photographs_nothing_is_made(tmp_path, monkeypatch):
    monkeypatch.setattr("zoo_core.data.formats.solar_cells.find_spec", lambda name: None)
    with pytest.raises(zoo.DataError, match="needs elpv-dataset"):
        photos.run_demo(tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
def test_the_demo_in_a_very_small_form(tmp_path):
    plan = photos.Plan({3: 1, 5: 1}, draws=2, test=12)
    found = photos.run_demo(tmp_path / "out", plan=plan, progress=False)
    assert [(row.per_class, row.arm) for row in found.rows] == [
        (count, arm) for count in (3, 5) for arm in photos.ARMS
    ]
    assert all(0 <= row.mean <= 100 for row in found.rows)
    assert json.loads((found.folder / "table.json").read_text())[0]["arm"] == "scratch"
    assert (found.folder / "accuracy.png").stat().st_size > 10_000
    assert (found.folder / "run" / "report.html").exists()
    [told] = zoo.predict(found.folder / "run", [open_data("elpv#test", progress=False).read(0)])
    assert told["label"] in ("functional", "defective")
