"""A run's own weights and [model] are read as a stranger's: checked, bounded, and led nowhere."""

import logging
import random
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomli_w
import torch
from safetensors.torch import load_file, save, save_file

import zoo_core as zoo
from zoo_core.training.replay import replay

BEST = "best.safetensors"
GIVEN: dict[str, Any] = {"epochs": 1, "augment": False, "cache": False, "progress": False}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained") / "run"
    zoo.finetune("lenet5", "digits#test", freeze_until="fc2", out=out, **GIVEN)
    return out


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy elsewhere, which is as good."""
    return Path(shutil.copytree(trained, tmp_path / "copy"))


def edit(run: Path, table: str = "model", **change: Any) -> None:
    recipe = tomllib.loads((run / "recipe.toml").read_text())
    recipe[table] = {k: v for k, v in {**recipe[table], **change}.items() if v is not None}
    (run / "recipe.toml").write_text(tomli_w.dumps(recipe))


def without_seals(run: Path) -> None:
    """As an older zoo left it."""
    recipe = tomllib.loads((run / "recipe.toml").read_text())
    del recipe["best"]
    (run / "recipe.toml").write_text(tomli_w.dumps(recipe))
    for path in run.glob("last/*.sha256"):
        path.unlink()


def changed(kind: str, own: dict[str, torch.Tensor], body: bytes) -> bytes:
    if kind == "flipped bits":
        raw, rng = bytearray(body), random.Random(0)
        for _ in range(40):
            raw[rng.randrange(len(raw) // 4, len(raw))] ^= 0x40
        return bytes(raw)
    return {
        "emptied": save({}),
        "no byte": b"",
        "cut": body[: len(body) // 2],
        "partial": save({k: v for k, v in own.items() if k != "head.weight"}),
        "of a head only": save({k: v for k, v in own.items() if k.startswith("head")}),
        "int64": save({k: v.long() for k, v in own.items()}),
        "half": save({k: v.half() for k, v in own.items()}),
        "NaN": save({k: v * torch.nan for k, v in own.items()}),
        "of another run": save({k: v + 1 for k, v in own.items()}),
    }[kind]


KINDS = "emptied|no byte|cut|partial|of a head only|int64|half|NaN|of another run|flipped bits"


@pytest.mark.parametrize("kind", KINDS.split("|"))
def test_other_weights_than_the_run_wrote_are_refused(kind: str, run: Path) -> None:
    path = run / BEST
    path.write_bytes(changed(kind, load_file(path), path.read_bytes()))
    with pytest.raises(zoo.WeightsError) as caught:
        zoo.create(run)
    assert str(path) in caught.value.message and "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", "emptied|no byte|cut|partial|of a head only|int64".split("|"))
def test_a_run_of_an_older_zoo_is_checked_by_what_it_trained(kind: str, run: Path, caplog) -> None:
    path = run / BEST
    own, body = load_file(path), path.read_bytes()
    without_seals(run)
    with caplog.at_level(logging.WARNING):
        zoo.create(run)
    assert [f"{run} is of an older zoo" in record.getMessage() for record in caplog.records] == [
        True
    ]
    path.write_bytes(changed(kind, own, body))
    with pytest.raises(zoo.WeightsError):
        zoo.create(run)


def test_a_copy_is_as_good_and_read_once(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from zoo_core.weights import hashes

    first, read, plain = zoo.create(run), [], hashes.read_sha256
    monkeypatch.setattr(hashes, "read_sha256", lambda path: read.append(path) or plain(path))
    again = zoo.create(run)
    assert all(
        torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True)
    )
    assert read == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"labels": 5}, "labels"),
        ({"labels": [1] * 10}, "labels"),
        ({"input": 3}, "input"),
        ({"input": {"size": [1, 32, 10**9], "mean": [0.5], "std": [0.5]}}, "input"),
        ({"num_classes": "3"}, "num_classes"),
        ({"num_classes": 10**12}, "num_classes"),
        ({"in_chans": 3.5}, "in_chans"),
        ({"in_chans": 300_000_000}, "in_chans"),
        ({"reference": ["lenet5"]}, "reference"),
        ({"multilabel": "yes"}, "multilabel"),
        ({"sha256": "x"}, "sha256"),
        ({"config": 3}, "config"),
        ({"config": {"width": 10**9}}, "config"),
        ({"config": {"dtype": "float64"}}, "dtype"),
        ({"config": {"device": "cuda"}}, "device"),
        ({"config": {"pretrained": True}}, "pretrained"),
        ({"config": {"variant": "hf-hub:a/b"}}, "variant"),
        ({"base": {"path": 3}}, "base"),
        ({"endpoint": "http://127.0.0.1:9"}, "endpoint"),
    ],
)
def test_a_strange_model_table_is_one_line(change: dict[str, Any], told: str, run: Path) -> None:
    edit(run, **change)
    with pytest.raises(zoo.RecipeError) as caught:
        zoo.create(run)
    text = str(caught.value)
    assert str(run / "recipe.toml") in text and told in text and "\n" not in text


@pytest.mark.parametrize(
    "weights", ["http://{}/a.safetensors", "https://u:secret@{}/a.safetensors?token=x", "file:/etc"]
)
def test_a_recipe_has_nothing_fetched(weights: str, run: Path, monkeypatch) -> None:
    import socket

    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(0.2)
    edit(run, weights=weights.format(f"127.0.0.1:{server.getsockname()[1]}"))
    with pytest.raises(zoo.RecipeError, match="which a recipe may not have zoo fetch") as caught:
        zoo.create(run)
    assert "secret" not in str(caught.value) and "token" not in str(caught.value)
    with pytest.raises(TimeoutError):
        server.accept()
    server.close()


def test_a_run_that_stands_on_itself(run: Path) -> None:
    from zoo_core.weights.hashes import sha256_of

    base = {"path": str(run), "beside": ".", "sha256": sha256_of(run / BEST)}
    edit(run, weights=None, sha256=None, base=base)
    with pytest.raises(zoo.WeightsError, match="more than 8 deep"):
        zoo.create(run)


def test_a_cut_file_is_no_pickle(tmp_path: Path) -> None:
    from zoo_core.weights.tensors import read_tensors

    path = tmp_path / "a.safetensors"
    for low in (b"\x80\x02", b"PK\x03\x04"):
        size = int.from_bytes(low, "little")
        path.write_bytes(size.to_bytes(8, "little") + b'{"a":')
        with pytest.raises(zoo.WeightsError, match="is not a whole safetensors file"):
            read_tensors(path)
    torch.save({"a": torch.zeros(1)}, path)
    with pytest.raises(zoo.WeightsError, match="is a pickle file"):
        read_tensors(path)


def test_a_damaged_state_does_not_go_on(run: Path, trained: Path) -> None:
    state = run / "last" / "state.pt"
    body = state.read_bytes()
    raw = bytearray(body)
    raw[len(raw) // 2] ^= 1
    state.write_bytes(bytes(raw))
    with pytest.raises(zoo.RecipeError, match=r"state\.pt cannot be read as it was written") as e:
        replay(run, resume=True, epochs=2, progress=False)
    assert "remove last/" in e.value.hint
    state.write_bytes(body)
    (run / BEST).unlink()  # the state has the best weights, too
    replay(run, resume=True, progress=False)
    assert (run / BEST).read_bytes() == (trained / BEST).read_bytes()


def test_the_state_of_another_run_does_not_go_on(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    zoo.finetune("lenet5", "digits#test", freeze_until="fc2", seed=1, out=other, **GIVEN)
    shutil.rmtree(run / "last")
    shutil.copytree(other / "last", run / "last")
    with pytest.raises(zoo.RecipeError, match="has the state of another run"):
        replay(run, resume=True, epochs=2, progress=False)


def test_states_of_an_older_zoo_are_checked_by_what_they_hold(run: Path, caplog) -> None:
    state = run / "last" / "state.pt"
    content = torch.load(state, weights_only=True)
    without_seals(run)
    for change in (
        {"model": {k: v.double() for k, v in content["model"].items()}},
        {"best": {"tensors": {}, "row": {}}},
        {"place": 3},
        {"optimizer": {}},
        {"random": [3]},
        {"history": [3]},
    ):
        torch.save({**content, **change}, state)
        with pytest.raises(zoo.RecipeError, match=r"state\.pt cannot be read"):
            replay(run, resume=True, epochs=2, progress=False)
    torch.save({key: value for key, value in content.items() if key != "recipe"}, state)
    with caplog.at_level(logging.WARNING):
        assert len(replay(run, resume=True, epochs=2, progress=False).history) == 2
    assert "is of an older zoo, and not checked" in caplog.text
    zoo.create(run)
    save_file({}, run / BEST)
    with pytest.raises(zoo.WeightsError):
        zoo.create(run)
