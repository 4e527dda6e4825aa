"""Training on a stream of the Hub: the same for any number of readers and processes."""

import contextlib
import json
import os
import re
import subprocess
import sys

import pytest
import torch
from hub import HubServer
from support.hub_sets import shards
from support.places import TESTS

import zoo_core as zoo
from zoo_core.data.lanes import Lanes, StreamFeed
from zoo_core.data.opening import open_data
from zoo_core.data.samples import Samples

pytest.importorskip("datasets")

TINY = "hf://datasets/alice/tiny"
STREAM, TEST = f"{TINY}?stream=true", f"{TINY}#test"
GROUPS, ROWS = 24, 20
SCRIPT = TESTS / "support" / "streamed_run.py"


@pytest.fixture
def tiny(hub: HubServer):
    hub.seed("datasets/alice/tiny", shards(4, GROUPS * ROWS // 4, rows=ROWS))
    return hub


def fetched(hub):
    """How often a part of a file of training pictures was fetched."""
    return sum(bool(re.match(r"GET .*/get/.*train.* 206", str(e))) for e in hub.requests())


def trained(**more):
    torch.manual_seed(0)
    model = zoo.create("lenet5", num_classes=3)
    how = {"out": False, "progress": False, "epochs": 2, "batch_size": 48, "augment": True}
    how |= {"val": TEST, "workers": 0, "freeze_until": "fc1"}
    return zoo.finetune(model, more.pop("data", STREAM), **(how | more))


def same(one, other):
    assert [row["loss"] for row in one.history] == [row["loss"] for row in other.history]
    ours, theirs = one.model.state_dict(), other.model.state_dict()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())


def launched(hub, folder, given, *, processes=1, steps=()):
    folder.mkdir(exist_ok=True)
    own = hub.environment(folder / "hf", None) | {"OMP_NUM_THREADS": "1"}
    own |= {"PYTHONPATH": os.pathsep.join(sys.path), "ACCELERATE_USE_CPU": "true"}
    start = [sys.executable]
    if processes > 1:
        start += ["-m", "torch.distributed.run", f"--nproc-per-node={processes}", "--standalone"]
    words = [str(SCRIPT), str(folder), json.dumps(given), *map(str, steps)]
    return subprocess.run(
        start + words, env=os.environ | own, capture_output=True, text=True, timeout=400
    )


# --- what is in a batch --------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_hold_the_pictures_that_the_order_names(tiny, workers):
    whole = open_data(TINY, progress=False)
    stream = open_data(STREAM, progress=False, streams=True)
    assert len(stream) == len(whole) == GROUPS * ROWS and stream.classes == whole.classes
    transform = zoo.create("lenet5").transform()
    samples = Samples(stream, transform, random=False, seed=0)
    feed = StreamFeed(samples, Lanes(stream.rows, 50, seed=3), workers)
    with contextlib.closing(feed):
        for start in (0, 4):
            seen = list(feed.epoch(1, start))
            assert len(seen) == len(feed) - start
            for batch in seen:
                places = batch.indices.tolist()
                assert batch.y.tolist() == [whole.targets[i] for i in places]
                wanted = torch.stack([transform(whole.read(i)) for i in places])
                assert torch.equal(batch.x, wanted)


def test_each_row_group_is_fetched_once(tiny):
    stream = open_data(STREAM, progress=False, streams=True)
    before = fetched(tiny)
    samples = Samples(stream, zoo.create("lenet5").transform(), random=False, seed=0)
    list(StreamFeed(samples, Lanes(stream.rows, 50, seed=3), 0).epoch(1))
    assert fetched(tiny) - before == GROUPS


def test_it_goes_on_without_fetching_what_was_before(tiny):
    stream = open_data(STREAM, progress=False, streams=True)
    before = fetched(tiny)
    samples = Samples(stream, zoo.create("lenet5").transform(), random=False, seed=0)
    feed = StreamFeed(samples, Lanes(stream.rows, 50, seed=3), 0)
    assert len(list(feed.epoch(1, len(feed) - 1))) == 1
    assert fetched(tiny) - before < GROUPS


# --- training ------------------------------------------------------------------------------------


def test_readers_change_nothing(tiny):
    alone = trained()
    same(alone, trained(workers=2))
    same(alone, trained(data=TINY, stream=True))
    assert alone.history[-1]["loss"] < alone.history[0]["loss"]
    figures = zoo.evaluate(alone.model, TEST, progress=False)
    assert "trained_on" not in figures  # it is not known of a stream


@pytest.mark.slow
def test_a_killed_training_goes_on_bit_for_bit(tiny, tmp_path):
    given = {"data": STREAM, "val": TEST, "epochs": 2, "batch_size": 48, "augment": True}
    given |= {"workers": 2, "freeze_until": "fc1"}
    whole = launched(tiny, tmp_path / "whole", given | {"out": str(tmp_path / "w")})
    assert whole.returncode == 0, whole.stderr
    mine = given | {"out": str(tmp_path / "k"), "resume": True}
    killed = launched(tiny, tmp_path / "killed", mine, steps=[14])
    assert killed.returncode == -9, killed.stderr
    tiny.seed("datasets/alice/tiny", {"data/train-00000-of-00004.parquet": None})  # main moves on
    done = launched(tiny, tmp_path / "killed", mine)
    assert done.returncode == 0, done.stderr
    (rows, ours), (expected, theirs) = (
        torch.load(tmp_path / name / "0.pt", weights_only=True) for name in ("killed", "whole")
    )
    assert [row["loss"] for row in rows] == [row["loss"] for row in expected]
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())


@pytest.mark.slow
def test_two_processes_share_the_groups_and_give_what_one_gives(tiny, tmp_path):
    given = {"data": STREAM, "val": TEST, "epochs": 1, "batch_size": 48, "out": False, "workers": 0}
    before = fetched(tiny)
    one = launched(tiny, tmp_path / "one", given)
    assert one.returncode == 0, one.stderr
    between = fetched(tiny)
    two = launched(tiny, tmp_path / "two", given, processes=2)
    assert two.returncode == 0, two.stderr
    ends = 4  # the first requests for the ends of the files, in each process
    assert between - before == GROUPS + ends
    # The first picture is looked at by both, to see what kind it is; lanes share a few groups.
    assert fetched(tiny) - between <= GROUPS + 2 * ends + 8 + 2
    rows, weights = torch.load(tmp_path / "one" / "0.pt", weights_only=True)
    for rank in range(2):
        ours, theirs = torch.load(tmp_path / "two" / f"{rank}.pt", weights_only=True)
        losses = [row["loss"] for row in rows]
        assert [row["loss"] for row in ours] == pytest.approx(losses, rel=1e-5)
        for name, tensor in theirs.items():
            assert torch.allclose(tensor, weights[name], rtol=1e-4, atol=1e-7), name


# --- what a stream has not -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "more, message",
    [
        ({"val": None}, "no fifth of it can be held out"),
        ({"balance": "sampler"}, "how many pictures each class has is not known"),
        ({"balance": "weights"}, "how many pictures each class has is not known"),
        ({"unreadable": "skip"}, "what cannot be read is not known beforehand"),
        ({"cache": True, "freeze_until": "head", "augment": False}, "streamed"),
        ({"head": "ridge", "freeze_until": "head"}, "a head is solved on all pictures"),
        ({"val": STREAM}, "is a stream, which is for training"),
        ({"data": "digits", "stream": True}, "stream=True is for data on the Hub"),
    ],
)
def test_what_takes_knowing_all_pictures_is_refused(tiny, more, message):
    with pytest.raises(zoo.ZooError, match=message) as caught:
        trained(**more)
    assert "\n" not in str(caught.value)


def test_evaluation_is_of_what_is_here(tiny):
    with pytest.raises(zoo.DataError, match="is a stream, which is for training"):
        zoo.evaluate("lenet5", STREAM, progress=False)
    stream = open_data(STREAM, progress=False, streams=True)
    for ask in (stream.class_counts, stream.target_tensor, lambda: stream.subset([0])):
        with pytest.raises(zoo.DataError, match="is read as a stream"):
            ask()


def test_pictures_in_other_files_are_not_streamed(hub: HubServer):
    from support.hub_sets import png

    hub.seed("datasets/alice/pics", {f"{c}/{n}.png": png(n) for c in "ab" for n in range(3)})
    with pytest.raises(zoo.DataError, match="of the kind imagefolder, and cannot be streamed"):
        open_data("hf://datasets/alice/pics?stream=true", streams=True)


def test_the_hub_fails_in_the_middle(tiny):
    stream = open_data(STREAM, progress=False, streams=True)
    tiny.repos["datasets/alice/tiny"].disabled = True
    with pytest.raises(zoo.DataError, match="hf://datasets/alice/tiny"):
        stream.read(0)
