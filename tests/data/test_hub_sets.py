"""Data sets of the Hub, by the real clients, from a Hub on this machine."""

import json
import os
import socket
import subprocess
import sys

import pytest
from hub import HubServer
from support.hub_sets import CLASSES, parquet, png, shards, table
from support.places import TESTS

import zoo_core as zoo
from zoo_core.data.formats.hub_place import pinned, place_of
from zoo_core.data.opening import open_data
from zoo_core.training.replay import replay

datasets = pytest.importorskip("datasets")

TINY = "hf://datasets/alice/tiny"
EASY = {"out": False, "progress": False, "epochs": 1}


def opened(spec):
    return open_data(spec, progress=False)


def refused(spec, message):
    with pytest.raises(zoo.ZooError) as caught:
        opened(spec)
    line = str(caught.value)
    assert "\n" not in line
    assert message in line, line
    return line


def seed(hub, name="tiny", files=None, **more):
    return hub.seed(f"datasets/alice/{name}", files or shards(2, 45), **more)


def asked(hub, after=0):
    return [str(entry) for entry in hub.requests()][after:]


# --- what is read --------------------------------------------------------------------------------


def test_parquet_is_read_at_its_commit(hub: HubServer):
    seed(hub)
    data = opened(TINY)
    assert len(data) == 90 and data.classes == CLASSES and data.class_counts() == [30] * 3
    assert data.read(4).getpixel((5, 5)) == 90 and data.targets[4] == 1 and data.has_digests
    assert len(opened(f"{TINY}#test")) == 30


def test_a_folder_of_pictures_is_read(hub: HubServer):
    files = {f"{p}/{c}/{n}.png": png(n) for p in ("train", "test") for c in "ab" for n in range(4)}
    seed(hub, "pics", files)
    data = opened("hf://datasets/alice/pics#test")
    assert len(data) == 8 and data.classes == ("a", "b")
    assert [data.read(i).size for i in range(8)] == [(12, 12)] * 8


def test_a_revision_a_tag_and_a_commit_name_what_was_there(hub: HubServer):
    first = seed(hub)
    seed(hub, files={"data/train-00001-of-00002.parquet": None})
    hub.repos["datasets/alice/tiny"].tags["v1"] = first
    assert len(opened(TINY)) == 45
    assert len(opened(f"{TINY}@v1")) == len(opened(f"{TINY}@{first}")) == 90
    line = refused(f"{TINY}@v2", "hf://datasets/alice/tiny has no such revision: v2.")
    assert "Leave @REVISION out" in line


def test_what_is_here_needs_no_request(hub: HubServer, monkeypatch):
    commit = seed(hub)
    before = len(opened(TINY)), opened(TINY).fingerprint()
    count = len(asked(hub))
    data = opened(f"{TINY}@{commit}")
    assert (len(data), data.fingerprint()) == before and asked(hub, count) == []
    seed(hub, files={"data/train-00001-of-00002.parquet": None})  # main moves on
    for name in ("HF_HUB_OFFLINE", "ZOO_OFFLINE"):
        monkeypatch.setenv(name, "1")
        assert opened(TINY).fingerprint() == before[1]  # as main was when it was last seen
        refused("hf://datasets/alice/other", "is not in the cache")
        refused(f"{TINY}@{'b' * 40}", "is not in the cache")
        refused(f"{TINY}?stream=true", "is not in the cache")
        monkeypatch.delenv(name)
    assert asked(hub, count) == []


def test_offline_without_a_network_at_all(hub: HubServer, tmp_path):
    """In a process that knows from its begin that it is offline, and has no Hub."""
    commit = seed(hub)
    opened(TINY)
    hub.stop()
    code = f"from zoo_core.data import open_data; print(len(open_data('{TINY}', progress=False)))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "90\n", done.stderr
    assert len(commit) == 40
    hub.start()


# --- who may -------------------------------------------------------------------------------------


def test_a_private_one_needs_its_token(hub: HubServer, monkeypatch):
    seed(hub, private=True)
    line = refused(TINY, "hf://datasets/alice/tiny does not exist, or is private.")
    assert "hf auth login" in line
    monkeypatch.setenv("HF_TOKEN", "hf_other")
    refused(TINY, "does not exist, or is private.")
    monkeypatch.setenv("HF_TOKEN", "hf_read")
    assert len(opened(TINY)) == 90 and hub.leaks() == []


def test_a_gated_one_says_what_to_do(hub: HubServer, monkeypatch):
    seed(hub, gated=True)
    for token in (None, "hf_other"):
        if token:
            monkeypatch.setenv("HF_TOKEN", token)
        line = refused(TINY, "hf://datasets/alice/tiny is gated")
        assert "Ask for it on the page of the repository" in line and "HF_TOKEN" in line
    monkeypatch.setenv("HF_TOKEN", "hf_read")
    assert len(opened(TINY)) == 90


def test_one_that_is_not_there(hub: HubServer):
    refused("hf://datasets/alice/nothing", "does not exist, or is private.")


# --- what is named -------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", ["hf://alice/tiny", "hf:alice/tiny"])
def test_a_repository_of_models_is_none_of_data(spec):
    refused(spec, 'Did you mean "hf://datasets/alice/tiny"?')


@pytest.mark.parametrize(
    "rest", ["alice", "alice/../tiny", "alice/tiny/x", "alice/tiny@", "alice/tiny:", "a/b\\c", ""]
)
def test_what_is_no_name(rest):
    refused(f"hf://datasets/{rest}", "names no data set on the Hub")


def test_a_part_that_is_not_there(hub: HubServer):
    seed(hub)
    for spec in (f"{TINY}#val", f"{TINY}?stream=true#val"):
        assert "A part is #train or #test." in refused(spec, 'No part "val"')
    assert not any(".parquet" in line for line in asked(hub))  # before anything is fetched


def test_columns_are_found_or_named(hub: HubServer):
    two = table(range(9)).add_column("fine_label", [n % 2 for n in range(9)])
    two = two.cast_column("fine_label", datasets.ClassLabel(names=["x", "y"]))
    seed(hub, "two", {"train.parquet": parquet(two)})
    for stream in ("", "stream=true"):
        spec = f"hf://datasets/alice/two?{stream}".rstrip("?")
        line = refused(spec, "has several label columns: label, fine_label.")
        assert "Name one: ?label=COLUMN behind hf://datasets/alice/two" in line
        line = refused(
            f"hf://datasets/alice/two?label=fine&{stream}".rstrip("&"), "no label column"
        )
        assert "label, fine_label" in line
    assert opened("hf://datasets/alice/two?label=fine_label").classes == ("x", "y")
    faces = table(range(9)).rename_column("image", "face")
    faces = faces.add_column("scan", [{"bytes": png(n), "path": None} for n in range(9)])
    faces = faces.cast_column("scan", datasets.Image())
    seed(hub, "faces", {"train.parquet": parquet(faces)})
    refused("hf://datasets/alice/faces", "has several image columns: face, scan.")
    assert len(opened("hf://datasets/alice/faces?image=scan")) == 9


@pytest.mark.parametrize("column, kind", [("image", "image"), ("label", "label")])
def test_a_column_that_is_not_there(hub: HubServer, column, kind):
    left = table(range(9)).remove_columns(column).add_column("text", ["a"] * 9)
    seed(hub, "left", {"train.parquet": parquet(left)})
    rest = ", ".join(left.column_names)
    for stream in ("", "?stream=true"):
        refused(f"hf://datasets/alice/left{stream}", f"has no {kind} column: {rest}.")


CONFIGS = """configs:
- config_name: small
  data_files: [{split: train, path: small/*.parquet}]
- config_name: large
  data_files: [{split: train, path: large/*.parquet}]
"""


def test_a_configuration_is_chosen(hub: HubServer, monkeypatch):
    files = {f"{n}/0.parquet": parquet(table(range(c))) for n, c in (("small", 6), ("large", 12))}
    seed(hub, "both", {**files, "README.md": f"---\n{CONFIGS}---\n".encode()})
    both = "hf://datasets/alice/both"
    for stream in ("", "?stream=true"):
        line = refused(f"{both}{stream}", "has several configurations: small, large.")
        assert f"Name one behind a colon: {both}:small" in line
        line = refused(f"{both}:smal{stream}", 'has no configuration "smal": small, large.')
        assert 'Did you mean "small"?' in line or "small" in line
    assert len(opened(f"{both}:small")) == 6 and len(opened(f"{both}:large")) == 12
    default = CONFIGS.replace("name: large\n", "name: large\n  default: true\n")
    seed(hub, "both", {"README.md": f"---\n{default}---\n".encode()})
    assert len(opened(both)) == 12
    opened(f"{both}:small")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # both are here, and it is still the default one
    assert len(opened(both)) == 12 and len(opened(f"{both}:small")) == 6


def test_options_that_are_none(hub: HubServer):
    refused(f"{TINY}?stream=yes", "is true or false")
    refused(f"{TINY}?streaming=true", "streaming")


def test_datasets_is_an_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    refused(TINY, "Run: pip install 'zoo-core[datasets]'")


# --- what strangers wrote ------------------------------------------------------------------------


@pytest.fixture
def elsewhere():
    """An address where somebody listens, who is asked for nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(TimeoutError):
            server.accept()


@pytest.mark.parametrize("card", ["README.md", ".huggingface.yaml"])
@pytest.mark.parametrize(
    "files",
    ["{url}/x.parquet", "hf://datasets/bob/own/x.parquet", "/etc/passwd", "../../x/*.parquet",
     "zip://x.csv::{url}/x.zip", "x.parquet\n  data_dir: {url}"],
)  # fmt: skip
@pytest.mark.parametrize("stream", ["", "?stream=true"])
def test_a_card_that_leads_elsewhere_is_refused(hub: HubServer, elsewhere, card, files, stream):
    text = f"configs:\n- config_name: default\n  data_files: {files.format(url=elsewhere)}\n"
    body = f"---\n{text}---\n" if card == "README.md" else text
    seed(hub, "bad", {"x.parquet": parquet(table(range(9))), card: body.encode()})
    refused(f"hf://datasets/alice/bad{stream}", f"{card} of hf://datasets/alice/bad names")
    assert not any("bob" in line or "parquet" in line for line in asked(hub))


@pytest.mark.parametrize("card", [b"---\nconfigs: [1\n---\n", b"---\nconfigs: 7\n---\n", b"\xff"])
def test_a_card_that_is_none_is_one_line(hub: HubServer, card):
    seed(hub, "bad", {"x.parquet": parquet(table(range(9))), "README.md": card})
    with pytest.raises(zoo.ZooError) as caught:
        opened("hf://datasets/alice/bad")
    assert "\n" not in str(caught.value)


def test_no_code_of_a_repository_runs(hub: HubServer, tmp_path):
    code = f"open({str(tmp_path / 'ran')!r}, 'w')\n"
    seed(hub, "script", {"script.py": code.encode(), "x.parquet": parquet(table(range(9)))})
    refused("hf://datasets/alice/script", "scripts are no longer supported")
    assert not (tmp_path / "ran").exists()


def test_other_kinds_of_data_are_not_opened(hub: HubServer):
    seed(hub, "text", {"train.txt": b"a\nb\n"})
    refused("hf://datasets/alice/text", "holds data of the kind text")


def test_a_folder_of_that_name_here_is_not_meant(hub: HubServer, tmp_path, monkeypatch):
    seed(hub)
    (tmp_path / "alice" / "tiny").mkdir(parents=True)
    (tmp_path / "alice" / "tiny" / "x.csv").write_text("a,b\n1,2\n")
    monkeypatch.chdir(tmp_path)
    assert len(opened(TINY)) == 90


@pytest.mark.parametrize("stream", [False, True])
def test_cells_that_name_files_elsewhere_are_refused(hub: HubServer, elsewhere, stream, tmp_path):
    (tmp_path / "own.png").write_bytes(png(1))
    from pyarrow import parquet as pq

    away = table(range(2)).data.table.to_pylist()
    away[0]["image"] = {"bytes": None, "path": f"{elsewhere}/x.png"}
    away[1]["image"] = {"bytes": None, "path": str(tmp_path / "own.png")}
    import pyarrow

    file = tmp_path / "x.parquet"
    pq.write_table(pyarrow.Table.from_pylist(away, table(range(2)).data.table.schema), file)
    seed(hub, "away", {"train.parquet": file.read_bytes()})
    data = open_data(
        f"hf://datasets/alice/away{'?stream=true' * stream}", progress=False, streams=True
    )
    for index in range(2):
        with pytest.raises(zoo.DataError, match=f"Row {index} of .* (names|has no picture in it)"):
            data.read(index)


@pytest.mark.parametrize("stream", ["", "?stream=true"])
def test_damage_is_one_line(hub: HubServer, stream):
    whole = parquet(table(range(60)), 20)
    cut = whole[: len(whole) // 2]
    flipped = whole[:300] + bytes(200) + whole[500:]
    for name, body in (("cut", cut), ("flipped", flipped), ("empty", b"PAR1PAR1")):
        seed(hub, name, {"train.parquet": body})
        with pytest.raises(zoo.DataError) as caught:
            data = open_data(f"hf://datasets/alice/{name}{stream}", progress=False, streams=True)
            [data.read(i) for i in range(len(data))]
        assert "\n" not in str(caught.value)


# --- pinned --------------------------------------------------------------------------------------


def test_a_spec_is_pinned(hub: HubServer):
    commit = seed(hub)
    assert pinned(f"{TINY}:default?label=label#test") == f"{TINY}@{commit}:default?label=label#test"
    assert pinned("digits") == "digits" and pinned(None) is None
    before = f"{TINY}@{'c' * 40}#test"
    assert pinned(f"{TINY}#test", before) == before
    assert pinned(f"{TINY}@main#test", before) == pinned(f"{TINY}#train", before)[:-6] + "#test"
    assert place_of(f"//datasets/alice/tiny@{commit}:x").config == "x"


def test_a_run_stays_with_its_commit(hub: HubServer, tmp_path):
    commit = seed(hub)
    how = {"epochs": 1, "progress": False, "freeze_until": "head"}
    run = zoo.finetune("lenet5", TINY, out=tmp_path / "run", **how)
    spec = f"{TINY}@{commit}"
    assert run.recipe["data"]["spec"] == spec and run.recipe["data"]["content"]
    seed(hub, files={"data/train-00001-of-00002.parquet": None})
    longer = how | {"epochs": 2}
    again = zoo.finetune("lenet5", TINY, out=tmp_path / "run", resume=True, **longer)
    assert again.recipe["data"]["spec"] == spec and again.recipe["data"]["count"] == 72
    replayed = replay(tmp_path / "run", out=tmp_path / "more", progress=False)
    assert replayed.history[-1]["loss"] == again.history[-1]["loss"]
    figures = zoo.evaluate(tmp_path / "run", f"{spec}#train", progress=False)
    assert figures["trained_on"] == 72
    assert zoo.evaluate(tmp_path / "run", progress=False)["accuracy"] == again.accuracy
    with pytest.raises(zoo.RecipeError, match="spec"):
        zoo.finetune("lenet5", f"{TINY}@main", out=tmp_path / "run", resume=True, **longer)


def test_the_card_names_the_data_set(hub: HubServer, tmp_path, signed_in):
    seed(hub)
    run = zoo.finetune("lenet5", TINY, out=tmp_path / "run", epochs=1, progress=False)
    zoo.push(run, "alice/bugs")
    assert "\ndatasets:\n- alice/tiny\n" in hub.file("alice/bugs", "README.md").decode()


@pytest.mark.slow
def test_on_the_command_line(hub: HubServer, tmp_path):
    seed(hub)
    words = [sys.executable, "-m", "zoo_core", "finetune", "lenet5", "--data", TINY]
    words += ["--epochs", "1", "--freeze-until", "head", "--out", str(tmp_path / "run")]
    own = {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(words, capture_output=True, text=True, env=os.environ | own, cwd=TESTS)
    assert done.returncode == 0, done.stderr
    assert "Fetching hf://datasets/alice/tiny at " in done.stderr
    words[6] = "hf://datasets/alice/none"
    done = subprocess.run(words, capture_output=True, text=True, env=os.environ | own, cwd=TESTS)
    assert done.returncode == 1 and "does not exist, or is private" in done.stderr
    assert "Traceback" not in done.stderr


# --- objects of datasets -------------------------------------------------------------------------


def test_objects_in_python():
    whole = table(range(60))
    run = zoo.finetune("lenet5", whole, val=table(range(90, 120)), **EASY)
    assert zoo.evaluate(run.model, whole, progress=False)["trained_on"] == 60
    for data in (whole, whole.to_iterable_dataset(), whole.remove_columns("label")):
        found = zoo.predict(run.model, data, progress=False)
        wanted = zoo.predict(run.model, [row["image"] for row in whole], progress=False)
        assert [each["top"] for each in found] == [each["top"] for each in wanted]
    parts = datasets.DatasetDict(train=whole)
    with pytest.raises(zoo.DataError, match=r"Give one of its parts: data\[NAME\]"):
        open_data(parts)
    with pytest.raises(zoo.DataError, match="Give one of its parts: 'train'"):
        zoo.predict(run.model, parts)
    with pytest.raises(
        zoo.DataError, match=r"to stream from the Hub, stream=True and hf://datasets/"
    ):
        open_data(whole.to_iterable_dataset())


def test_json_facts_of_the_hub_are_as_datasets_asks_for_them(hub: HubServer):
    from huggingface_hub import HfApi

    commit = seed(hub)
    facts = HfApi().dataset_info("alice/tiny")
    assert (facts.id, facts.sha) == ("alice/tiny", commit)
    assert json.dumps([each.rfilename for each in facts.siblings]).count("parquet") == 3
    assert [m.id for m in HfApi().list_models(author="alice")] == []
