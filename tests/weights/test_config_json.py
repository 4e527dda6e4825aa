"""config.json as a stranger may have written it: one clear line, and nothing large is made."""

from __future__ import annotations

import json
import socket
import tracemalloc
from pathlib import Path
from typing import Any

import msgspec
import pytest

import zoo_core as zoo
from zoo_core.types import InputSpec
from zoo_core.weights.config_json import FORBIDDEN, read_config
from zoo_core.weights.published import saved_input, written_input
from zoo_timm.networks import network

INPUT = {"size": [3, 32, 32], "mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic"}
ZOO: dict[str, Any] = {
    "schema": 1,
    "format": "whole",
    "model": "resnet18",
    "distribution": "zoo-core",
    "version": "1",
    "num_classes": 3,
    "in_chans": 3,
    "input": {**INPUT, "crop": 0.9},
}
TIMM: dict[str, Any] = {"architecture": "resnet18", "num_classes": 3}
CFG = {"input_size": [3, 32, 32], "mean": [0.5] * 3, "std": [0.5] * 3}


def refused(tmp_path: Path, body: object, message: str) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(body if isinstance(body, bytes) else json.dumps(body).encode())
    tracemalloc.start()
    try:
        with pytest.raises(zoo.WeightsError, match=message) as caught:
            read_config(path, "hf://a/b")
        assert tracemalloc.get_traced_memory()[1] < 64e6
    finally:
        tracemalloc.stop()
    assert str(caught.value).startswith("hf://a/b: config.json")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"in_chans": 300_000_000}, "in_chans"),
        ({"num_classes": 10**9}, "num_classes"),
        ({"input": {**ZOO["input"], "size": [3, 10**6, 10**6]}}, "size"),
        ({"input": {**ZOO["input"], "mean": []}}, "mean and std need 3"),
        ({"input": {**ZOO["input"], "crop_mode": "squish"}}, "no crop_mode 'squish'"),
        ({"input": {**ZOO["input"], "crop_mode": 1}}, "crop_mode"),
        ({"input": {**ZOO["input"], "crop": 2.5}}, r"crop in \(0, 2\]"),
        ({"input": []}, "Expected .*array"),
        ({"config": []}, "Expected .*array"),
        ({"config": {"depth": 10**9}}, "config"),
        ({"config": {"layers": [1] * 1_001}}, "config"),
        ({"config": {"a": {"b": 1}}}, "config"),
        ({"config": {"word": "x" * 1_001}}, "config"),
        ({"config": {"variant": "hf-hub:timm/resnet50"}}, "no option may say variant"),
        ({"config": {"variant": "local-dir:x"}}, "no option may say variant"),
        ({"config": {"file": "..\\x"}}, "no option may say file"),
        ({"config": {"files": ["a", "/etc/passwd"]}}, "no option may say files"),
        ({"config": {"name": "\x1b]0;x"}}, r"no option may say name"),
        ({"labels": ["a"]}, "1 labels for 3 classes"),
    ],
)
def test_what_zoo_wrote_and_somebody_changed(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    refused(tmp_path, {"zoo": {**ZOO, **change}}, message)


def test_how_pictures_are_cropped_is_written_where_it_is_not_the_usual_way(tmp_path: Path) -> None:
    """So an older zoo, which knows the usual way only, reads what it can prepare pictures for."""
    path = tmp_path / "config.json"
    for mode in ("center", "squash", "border"):
        spec = InputSpec((3, 32, 32), crop=1.15, crop_mode=mode)
        table = msgspec.to_builtins(saved_input(spec))
        usual = mode == "center"
        assert table.get("crop_mode") == written_input(spec).get("crop_mode")
        assert table.get("crop_mode") == (None if usual else mode)
        path.write_text(json.dumps({"zoo": {**ZOO, "input": table}}))
        assert read_config(path, "hf://a/b").spec == spec


@pytest.mark.parametrize("option", FORBIDDEN)
def test_an_option_that_asks_for_other_weights(tmp_path: Path, option: str) -> None:
    refused(tmp_path, {"zoo": {**ZOO, "config": {option: True}}}, f"no option may say {option} = ")
    if option not in ("num_classes", "in_chans"):  # which are facts there
        refused(tmp_path, {**TIMM, "model_args": {option: True}}, f"no option may say {option} = ")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_args": {"in_chans": 300_000_000}}, "in_chans"),
        ({"model_args": {"in_chans": "3"}}, "in_chans"),
        ({"model_args": {"depth": 10**9}}, "config"),
        ({"model_args": []}, "model_args"),
        ({"pretrained_cfg": []}, "pretrained_cfg"),
        ({"pretrained_cfg": {**CFG, "crop_mode": "squish"}}, "no crop_mode 'squish'"),
        ({"pretrained_cfg": "hf-hub:a/b"}, "pretrained_cfg"),
        ({"pretrained_cfg": {**CFG, "input_size": [3, 10**9, 10**9]}}, "input_size"),
        ({"pretrained_cfg": {**CFG, "input_size": [10**8, 1, 1]}}, "input_size"),
        ({"pretrained_cfg": {**CFG, "mean": []}, "model_args": {"in_chans": 5}}, "mean and std"),
        ({"architecture": ["resnet18"]}, "architecture"),
        ({"num_classes": 10**9}, "num_classes"),
        ({"label_names": ["a"]}, "1 labels for 3 classes"),
        ({"label_names": {"n0144": "a"}}, 'label_names has "n0144"'),
        ({"label_names": {"3": "a"}}, 'label_names has "3"'),
        ({"label_names": {"00": "a"}}, 'label_names has "00"'),
    ],
)
def test_what_timm_wrote_and_somebody_changed(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    refused(tmp_path, {**TIMM, **change}, message)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"[]", "it is no table"),
        (b'{"zoo": []}', "zoo is no table"),
        (b'{"zoo": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (b'{"a": ' + b"9" * 100_000 + b"}", "too large a number"),
        (b'{"a": NaN}', "NaN is no number"),
        (b'{"a": -Infinity}', "-Infinity is no number"),
        (b'{"zoo": 1, "zoo": 2}', '"zoo" stands there twice'),
        (b"{" + b",".join(b'"%d":1' % i for i in range(9**5)) + b',"1":2}', "twice|bytes"),
        (b"\xff\xfe{\x00}\x00", "config.json"),
        (b'{"x": "' + b"x" * 5_000_000 + b'"}', "more than"),
    ],
)
def test_json_that_is_none(tmp_path: Path, body: bytes, message: str) -> None:
    refused(tmp_path, body, message)


def test_a_description_without_end_is_not_hashed(tmp_path: Path) -> None:
    with (tmp_path / "config.json").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(zoo.WeightsError, match=r"config.json has .* bytes, more than any"):
        zoo.create(tmp_path)


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"zoo": ZOO}), encoding="utf-8-sig")
    assert read_config(tmp_path / "config.json", "x").model == "resnet18"


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        ({"10": "k", "2": "c", "0": "a"}, ("a", *"1", "c", *"3456789", "k")),
        ([*"abcdefghijk"], tuple("abcdefghijk")),
        ({}, None),
        ([], None),
    ],
)
def test_names_of_classes_by_number_are_in_the_order_of_the_numbers(
    tmp_path: Path, names: Any, labels: tuple[str, ...] | None
) -> None:
    config = {**TIMM, "num_classes": 11, "label_names": names}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert read_config(tmp_path / "config.json", "x").labels == labels


def test_names_of_classes_say_how_many_where_nothing_else_does(tmp_path: Path) -> None:
    config = {"architecture": "resnet18", "label_names": ["a", "b"]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert read_config(tmp_path / "config.json", "x").num_classes == 2


@pytest.mark.parametrize("model", ["resnet18", "inception_v3", "timm/test_resnet"])
@pytest.mark.parametrize(
    "variant", ["hf-hub:a/b", "hf_hub:a/b", "local-dir:/x", "resnet18.a1_in1k", "no_such_net"]
)
def test_a_variant_is_a_plain_name_of_timms(
    model: str, variant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    with pytest.raises(ValueError, match=f'timm .* has no "{variant}"'):
        network(variant)
    with pytest.raises(zoo.ZooError, match=f"variant='{variant}' would make another model"):
        zoo.create(model, variant=variant)


def test_a_variant_of_another_kind_is_refused() -> None:
    with pytest.raises(zoo.ZooError, match=r"variant='resnet18' would make another model"):
        zoo.create("inception_v3", variant="resnet18")
    with pytest.raises(zoo.ZooError, match=r"img_size is 4,096 at most"):
        zoo.create("timm/test_vit", img_size=100_000)
