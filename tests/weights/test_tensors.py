"""Weight files in create(): mapped and never changed, refused with a reason when they are bad."""

from __future__ import annotations

import copy
import hashlib
import io
import json
import os
import pickle
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save, save_file
from support.model_fixtures import Files, Offer
from support.peak import on_linux, peak
from support.twins import BUNDLED, assert_equal, mapped, twin
from torch import Tensor

import zoo_core as zoo
from zoo_lenet.lenet import LeNet5

pytestmark = pytest.mark.usefixtures("own_cache", "one_thread")


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A copy of the bundled LeNet-5 weights."""
    path = tmp_path / "lenet5.safetensors"
    path.write_bytes(BUNDLED.read_bytes())
    return path


# --- mapped, and left as it is -------------------------------------------------------------------

OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9, weight_decay=0.01),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, fused=True),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01, foreach=True),
}


def trained(model: torch.nn.Module, optimizer: str) -> torch.nn.Module:
    """The same model after three steps."""
    model.train()
    stepper = OPTIMIZERS[optimizer](model.parameters())
    x = torch.rand(8, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    for _ in range(3):
        stepper.zero_grad(set_to_none=False)
        torch.nn.functional.cross_entropy(model(x), torch.arange(8)).backward()
        stepper.step()
    return model


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_training_changes_the_model_and_not_the_file(file, optimizer):
    before = digest(file)
    model = zoo.create("lenet5", pretrained=file)
    other = zoo.create("lenet5", pretrained=file)
    trained(model, optimizer)
    assert mapped(file, model.conv1.weight, model.conv2.weight)  # still in place
    for name, tensor in trained(twin("lenet5", file), optimizer).state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], tensor)
        assert not torch.equal(tensor, other.state_dict()[name])
    assert_equal(other, twin("lenet5", file), 1, 32)  # the two share no change
    assert_equal(zoo.create("lenet5", pretrained=file), other, 1, 32)
    assert digest(file) == before


def test_batch_statistics_and_weights_move_in_a_mapped_resnet(weights_of: Files):
    path = weights_of("resnet18")
    before = digest(path)
    model = zoo.create("resnet18", pretrained=path)
    model(torch.rand(4, 3, 64, 64)).sum().backward()
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    base = load_file(path)
    moved = {n for n, t in model.state_dict().items() if not torch.equal(t, base[n])}
    assert {"conv1.weight", "bn1.running_mean", "bn1.num_batches_tracked", "fc.bias"} <= moved
    assert digest(path) == before


def test_the_file_may_be_removed_or_renamed_over(file):
    expected = twin("lenet5", file)
    model, other = (zoo.create("lenet5", pretrained=file) for _ in range(2))
    save_file(LeNet5().state_dict(), file.with_name("new"))
    file.with_name("new").replace(file)
    assert_equal(model, expected, 1, 32)
    file.unlink()
    assert_equal(other, expected, 1, 32)


def test_a_model_may_be_saved_over_the_file_that_it_came_from(file):
    model = zoo.create("lenet5", pretrained=file)
    expected = copy.deepcopy(model.state_dict())
    save_file(model.state_dict(), file)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in load_file(file).items())
    assert_equal(model, twin("lenet5", file), 1, 32)


@pytest.mark.parametrize("shift", range(8))
def test_data_at_any_address_gives_the_same(file, shift):
    """The format asks for no alignment; only its usual writer aligns to 8 bytes."""
    header, data = taken_apart(file.read_bytes())
    text = json.dumps(header, separators=(",", ":")).encode()
    file.write_bytes(put_together(text + b" " * ((shift - len(text)) % 8), data))
    model = zoo.create("lenet5", pretrained=file)
    assert mapped(file, model.conv1.weight) and model.conv1.weight.data_ptr() % 8 == shift
    assert_equal(model, twin("lenet5", BUNDLED), 1, 32)
    assert trained(model, "adamw")(torch.rand(2, 1, 32, 32)).isfinite().all()


def test_any_length_of_header_is_read(tmp_path):
    """The first bytes of a file, its header's length, may be those of a pickle or a zip archive."""
    for length, start in ((0x580, b"\x80"), (0x4B50, b"PK")):
        path = tmp_path / "x.safetensors"
        save_file(load_file(BUNDLED), path)
        header, data = taken_apart(path.read_bytes())
        text = json.dumps(header).encode()
        path.write_bytes(put_together(text + b" " * (length - len(text)), data))
        assert path.read_bytes().startswith(start)
        assert_equal(zoo.create("lenet5", pretrained=path), twin("lenet5", BUNDLED), 1, 32)


def taken_apart(whole: bytes) -> tuple[dict[str, Any], bytes]:
    (length,) = struct.unpack("<Q", whole[:8])
    return json.loads(whole[8 : 8 + length]), whole[8 + length :]


def put_together(header: bytes, data: bytes) -> bytes:
    return struct.pack("<Q", len(header)) + header + data


READY = """
import torch, timm, safetensors.torch, zoo_core

zoo_core.create("resnet18").eval()(torch.zeros(1, 3, 64, 64))  # imports and thread pools
"""
READING = """
model = zoo_core.create("resnet50", pretrained=sys.argv[1], num_classes=10)
for tensor in model.state_dict().values():
    tensor.sum()  # a mapped file takes no memory until it is read
"""


@on_linux
def test_creating_takes_no_more_memory_than_the_file(tmp_path):
    import timm

    path = tmp_path / "resnet50.safetensors"
    with torch.device("meta"):
        state = timm.create_model("resnet50").state_dict()
    save_file({name: torch.zeros_like(t, device="cpu") for name, t in state.items()}, path)
    added = peak(READY, READING, str(path))
    assert 0.9 < added / path.stat().st_size < 1.1


# --- files that are refused ----------------------------------------------------------------------

WHOLE = BUNDLED.read_bytes()
HEADER, DATA = taken_apart(WHOLE)
START = len(WHOLE) - len(DATA)
TENSORS = load_file(BUNDLED)


def saved(**change: Tensor | None) -> bytes:
    """The bundled weights with some tensors replaced, added, or (None) left out."""
    tensors = {name: t for name, t in {**TENSORS, **change}.items() if t is not None}
    return save(tensors)


def with_header(**change: Any) -> bytes:
    return put_together(json.dumps({**HEADER, **change}).encode(), DATA)


class Runs:
    """A pickle that would write a file named `ran`."""

    def __reduce__(self) -> tuple:
        return os.mkdir, ("ran",)


def pickled(value: Any, **how: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, **how)
    return buffer.getvalue()


NO_WHOLE = "is not a whole safetensors file"
BAD: dict[str, tuple[bytes, str]] = {
    "empty": (b"", NO_WHOLE),
    **{f"cut at {n}": (WHOLE[:n], NO_WHOLE) for n in (1, 7, 8, 9, 99, START - 1, START)},
    **{f"cut at {n}": (WHOLE[:n], NO_WHOLE) for n in (START + 1, len(WHOLE) - 1)},
    "one byte more": (WHOLE + b"\0", NO_WHOLE),
    "0xff": (b"\xff" * 100, NO_WHOLE),
    "zeros": (bytes(100), NO_WHOLE),
    "no JSON": (put_together(b"{" * 64, DATA), NO_WHOLE),
    "deep JSON": (put_together(b"[" * 100_000, DATA), NO_WHOLE),
    "a list": (put_together(b"[]", DATA), NO_WHOLE),
    "toml": (b"schema = 1\n[models.x]\narchitecture = 'lenet'\n", NO_WHOLE),
    "html": (b"<!DOCTYPE html><html><body>404 Not Found</body></html>", NO_WHOLE),
    "a pointer of git-lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", NO_WHOLE),
    "unknown type": (
        with_header(**{"fc1.bias": {**HEADER["fc1.bias"], "dtype": "F99"}}),
        NO_WHOLE,
    ),
    "offsets too far": (
        with_header(**{"fc1.bias": {**HEADER["fc1.bias"], "data_offsets": [0, 10**15]}}),
        NO_WHOLE,
    ),
    "huge shape": (with_header(**{"fc1.bias": {**HEADER["fc1.bias"], "shape": [2**63]}}), NO_WHOLE),
    "no tensors": (put_together(b"{}", b""), "it lacks conv1.weight, conv1.bias, conv2.weight and"),
    "a key missing": (saved(**{"fc2.bias": None}), "not of this model: it lacks fc2.bias"),
    "a key too many": (saved(extra=torch.ones(1)), "not of this model: it has unknown extra."),
    "a key renamed": (
        saved(**{"fc2.bias": None, "fc2.b": TENSORS["fc2.bias"]}),
        "it lacks fc2.bias and has unknown fc2.b.",
    ),
    "a wrong shape": (
        saved(**{"fc1.weight": torch.ones(120, 399)}),
        "does not fit: fc1.weight is [120, 399], the model has [120, 400].",
    ),
    "as many in another shape": (
        saved(**{"fc1.weight": torch.ones(400, 120)}),
        "fc1.weight is [400, 120], the model has [120, 400]",
    ),
    "channels that nobody asked for": (
        saved(**{"conv1.weight": torch.ones(6, 3, 5, 5)}),
        "conv1.weight is [6, 3, 5, 5], the model has [6, 1, 5, 5]",
    ),
    "half a head": (saved(**{"head.weight": torch.ones(5, 84)}), "head.bias is [10], the model"),
    "a scalar head": (saved(**{"head.weight": torch.ones(())}), "head.weight is []"),
    "a head of nothing": (saved(**{"head.weight": torch.ones(0, 84)}), "head.weight is [0, 84]"),
    "many wrong": (
        saved(**{name: torch.ones(1) for name in TENSORS}),
        "conv2.bias is [1], the model has [16], and 6 more.",
    ),
    **{
        f"of type {kind}": (
            saved(**{"fc1.bias": TENSORS["fc1.bias"].abs().to(kind)}),
            f"fc1.bias is {str(kind)[6:]}, the model has float32",
        )
        for kind in (torch.int8, torch.uint8, torch.int64, torch.bool, torch.complex64)
    },
    "a zip pickle": (pickled(TENSORS), "is a pickle file"),
    "a legacy pickle": (pickled(TENSORS, _use_new_zipfile_serialization=False), "is a pickle file"),
    "a plain pickle": (pickle.dumps({"a": 1}), "is a pickle file"),
    "a pickle of a model": (pickled(LeNet5()), "is a pickle file"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_one_clear_error(tmp_path, case):
    path = tmp_path / "bad.safetensors"
    content, message = BAD[case]
    path.write_bytes(content)
    with pytest.raises(zoo.WeightsError) as caught:
        zoo.create("lenet5", pretrained=path)
    assert message in str(caught.value) and str(path) in caught.value.message
    assert caught.value.hint and len(str(caught.value)) < 500 + len(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("ending", [".pth", ".pt", ".bin", ".safetensors"])
@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickle_never_runs_code(tmp_path, monkeypatch, ending, legacy):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / f"bad{ending}"
    path.write_bytes(pickled({"x": Runs()}, _use_new_zipfile_serialization=not legacy))
    with pytest.raises(zoo.WeightsError, match="code") as caught:
        zoo.create("lenet5", pretrained=path)
    assert str(path) in str(caught.value) and not Path("ran").exists()


def test_folders_and_what_is_no_file(tmp_path):
    (tmp_path / "model.safetensors").mkdir()
    os.mkfifo(tmp_path / "pipe.safetensors")
    (tmp_path / "loop.safetensors").symlink_to("loop.safetensors")
    for name in (
        "",
        "model.safetensors",
        "none.safetensors",
        "pipe.safetensors",
        "loop.safetensors",
    ):
        with pytest.raises(zoo.SourceError, match=r"No file at .*safetensors\. Check the path"):
            zoo.create("lenet5", pretrained=tmp_path / name)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(file):
    file.chmod(0)
    with pytest.raises(zoo.WeightsError, match="cannot be read: Permission denied"):
        zoo.create("lenet5", pretrained=file)


def test_values_are_taken_as_they_are(tmp_path):
    """NaN and infinity are values; smaller types and counters of another type are converted."""
    odd = {
        **TENSORS,
        "fc1.bias": torch.full((120,), torch.nan),
        "fc2.bias": TENSORS["fc2.bias"] / 0,
    }
    save_file(odd, tmp_path / "odd.safetensors")
    model = zoo.create("lenet5", pretrained=tmp_path / "odd.safetensors")
    assert model.fc1.bias.isnan().all() and model.fc2.bias.isinf().all()
    small = {name: tensor.to(torch.float8_e4m3fn) for name, tensor in TENSORS.items()}
    save_file(small, tmp_path / "small.safetensors")
    model = zoo.create("lenet5", pretrained=tmp_path / "small.safetensors")
    assert torch.equal(model.fc1.weight, small["fc1.weight"].float())


def test_counters_of_batches_may_be_of_any_type_or_missing(weights_of: Files, tmp_path):
    tensors = load_file(weights_of("resnet18"))
    counters = {name for name in tensors if name.endswith("num_batches_tracked")}
    save_file({n: t.half() for n, t in tensors.items()}, tmp_path / "all-half.safetensors")
    model = zoo.create("resnet18", pretrained=tmp_path / "all-half.safetensors")
    assert model.bn1.num_batches_tracked.item() == 7
    assert model.bn1.num_batches_tracked.dtype == torch.int64
    old = {n: t for n, t in tensors.items() if n not in counters}
    save_file(old, tmp_path / "old.safetensors")
    model = zoo.create("resnet18", pretrained=tmp_path / "old.safetensors")
    assert {model.state_dict()[name].item() for name in counters} == {0}
    assert model(torch.rand(2, 3, 64, 64)).isfinite().all()


# --- pinned hashes, packages ---------------------------------------------------------------------

PINNED = """
[models.mine]
architecture = "lenet"
num_classes = 10
input = {{ size = [1, 32, 32], mean = [0.1], std = [0.3] }}
[models.mine.weights.own]
source = "{source}"
sha256 = "{sha256}"
"""


def test_one_flipped_byte_is_refused_with_both_digests(offer: Offer, file):
    right = digest(file)
    offer(PINNED.format(source=f"file:{file}", sha256=right))
    assert_equal(zoo.create("mine.own"), twin("lenet5", BUNDLED), 1, 32)
    content = bytearray(WHOLE)
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(zoo.HashMismatch) as caught:
        zoo.create("mine.own")
    for fact in (right, digest(file), str(file)):
        assert fact in str(caught.value)
    assert file.read_bytes() == content  # a file of one's own is never removed
    zoo.create("lenet5", pretrained=file)  # nothing pins it there


def test_a_pinned_reference_given_by_hand_is_pinned_too(offer: Offer, file):
    offer(PINNED.format(source=f"file:{file}", sha256="0" * 64))
    with pytest.raises(zoo.HashMismatch, match="0" * 64):
        zoo.create("mine", pretrained=f"file:{file}")


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("pkg://zoo_lenet/../../registry.toml", "points out of its package"),
        ("pkg://zoo_lenet//etc/passwd", "points out of its package"),
        ("pkg://zoo_lenet/weights/../../zoo_files/__init__.py", "points out of its package"),
        ("pkg://zoo_lenet/weights/none.safetensors", 'has no file "weights/none.safetensors"'),
        ("pkg://zoo_lenet", 'has no file ""'),
        ("pkg://zoo_lennet/x", 'No package "zoo_lennet" is installed'),
        ("pkg://../x", 'No package ".." is installed'),
        ("pkg://", 'No package "" is installed'),
    ],
)
def test_packages_give_only_what_is_in_them(reference, message):
    with pytest.raises(zoo.SourceError) as caught:
        zoo.create("lenet5", pretrained=reference)
    assert message in str(caught.value)


# --- anything at all -----------------------------------------------------------------------------

ANY = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
Flips = st.lists(st.tuples(st.integers(0, START - 1), st.integers(1, 255)), min_size=1, max_size=3)


def loads_equal_or_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    try:
        model = zoo.create("lenet5", pretrained=path)
    except zoo.WeightsError as error:
        assert error.hint and str(path) in str(error)
        return
    assert all(torch.equal(tensor, TENSORS[name]) for name, tensor in model.state_dict().items())


@ANY
@given(flips=Flips)
@example(flips=[(0, 8)])
@example(flips=[(7, 255)])
@example(flips=[(WHOLE.index(b"F32"), ord("F") ^ ord("I"))])
@example(flips=[(WHOLE.index(b"__metadata__") + 2, 1)])
def test_a_damaged_header_loads_equal_or_is_refused(tmp_path, flips):
    content = bytearray(WHOLE)
    for place, bits in flips:
        content[place] ^= bits
    loads_equal_or_is_refused(tmp_path / "x.safetensors", bytes(content))


@ANY
@given(header=st.binary(max_size=80), rest=st.binary(max_size=40), honest=st.booleans())
def test_any_bytes_are_refused(tmp_path, header, rest, honest):
    content = put_together(header, rest) if honest else header + rest
    loads_equal_or_is_refused(tmp_path / "x.safetensors", content)


@ANY
@given(
    name=st.sampled_from(sorted(TENSORS)),
    key=st.sampled_from(["dtype", "shape", "data_offsets", "other"]),
    value=st.one_of(
        st.none(),
        st.integers(-(2**65), 2**65),
        st.text(max_size=5),
        st.sampled_from(["F16", "BF16", "F64", "I8", "BOOL", "F8_E4M3", "U64", "F4", "C64"]),
        st.lists(st.integers(0, 300_000), max_size=4),
        st.lists(st.integers(-5, 2**64), max_size=3),
        st.floats(),
        st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
    ),
)
def test_a_header_that_lies_loads_equal_or_is_refused(tmp_path, name, key, value):
    content = with_header(**{name: {**HEADER[name], key: value}})
    loads_equal_or_is_refused(tmp_path / "x.safetensors", content)
