"""https:// -> a file: resumed, converted once, and never a half one."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from hub.server import HubServer
from support.fetching import digest, lenet, own_places, pickled, safetensors, same, weights

import zoo_core as zoo
from zoo_core.weights import pickles
from zoo_core.weights.sources import local_file

__all__ = ["own_places"]
pytestmark = pytest.mark.usefixtures("own_places")

BODY = safetensors(lenet())


@pytest.mark.parametrize("at", [0, 1, 0.5, -1])
def test_a_connection_that_is_cut_goes_on_where_it_was(hub: HubServer, at: float) -> None:
    url = hub.publish("lenet.safetensors", BODY)
    hub.faults.cut("GET /static/*", at=at)
    fetched = local_file(weights(url))
    assert fetched.path.read_bytes() == BODY
    requests = hub.log.matching("GET /static/*")
    assert len(requests) == 2
    assert ("Range" in requests[1].headers) == (at != 0)


def test_a_file_that_changed_meanwhile_starts_over(hub: HubServer) -> None:
    url = hub.publish("lenet.safetensors", safetensors(lenet(1)))
    hub.faults.cut("GET /static/*", at=0.5)
    hub.faults.call("GET /static/*", lambda: hub.publish("lenet.safetensors", BODY), nth=2)
    assert local_file(weights(url)).path.read_bytes() == BODY


def test_a_server_without_ranges_sends_all_of_it_again(hub: HubServer) -> None:
    url = hub.publish("lenet.safetensors", BODY)
    hub.faults.cut("GET /static/*", at=0.5)
    hub.faults.no_ranges("GET /static/*", times=None)
    assert local_file(weights(url)).path.read_bytes() == BODY


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_asked_again(hub: HubServer, status: int) -> None:
    url = hub.publish("lenet.safetensors", BODY)
    hub.faults.status("GET /static/*", status, times=2)
    assert local_file(weights(url)).path.read_bytes() == BODY


def test_a_file_that_is_not_there_is_one_error_and_leaves_nothing(
    hub: HubServer, own_places: Path
) -> None:
    with pytest.raises(zoo.SourceError, match=r"answers 404"):
        local_file(weights(f"{hub.url}/static/none.safetensors"))
    assert not list((own_places / "cache").rglob("*none*"))


def test_a_body_that_is_longer_or_shorter_than_was_said(hub: HubServer) -> None:
    url = hub.publish("lenet.safetensors", BODY)
    hub.faults.length("GET /static/*", by=7)
    assert local_file(weights(url)).path.read_bytes() == BODY


def test_a_server_that_is_down_is_one_error(hub: HubServer) -> None:
    url = hub.publish("lenet.safetensors", BODY)
    hub.stop()
    with pytest.raises(zoo.SourceError, match=r"cannot be fetched.*5 attempts"):
        local_file(weights(url))
    hub.start()
    assert local_file(weights(url)).path.read_bytes() == BODY


def test_a_flipped_byte_is_fetched_again_where_the_hash_is_known(hub: HubServer) -> None:
    url = hub.publish("lenet.safetensors", BODY)
    hub.faults.flip("GET /static/*")
    assert local_file(weights(url, digest(BODY))).path.read_bytes() == BODY


def test_no_token_is_sent_to_other_servers(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_write")
    url = hub.publish("lenet.safetensors", BODY)
    local_file(weights(url))
    assert all(entry.authorization is None for entry in hub.log)


def test_a_redirect_out_of_this_machine_in_the_clear_is_refused(hub: HubServer) -> None:
    url = hub.publish("lenet.safetensors", BODY)
    hub.faults.redirect("GET /static/*", "http://127.0.0.2.invalid/x", times=None)
    with pytest.raises(zoo.SourceError):
        local_file(weights(url))


def test_a_process_that_is_killed_leaves_a_part_that_the_next_one_goes_on_with(
    hub: HubServer, own_places: Path
) -> None:
    body = safetensors({"x": torch.arange(600_000.0)})
    url = hub.publish("big.safetensors", body)
    hub.faults.slow("GET /static/*", 0.05, chunk=1 << 14)
    code = (
        "from zoo_core.weights.sources import local_file; from zoo_core.types import WeightsInfo; "
        f"local_file(WeightsInfo(tag='', source={url!r}))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    cache = own_places / "cache"
    deadline = time.monotonic() + 60
    while not any(part.stat().st_size for part in cache.rglob("*.part")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not list(cache.rglob("big.safetensors"))
    assert local_file(weights(url, digest(body))).path.read_bytes() == body


# --- .pth ----------------------------------------------------------------------------------------


def test_a_pth_becomes_safetensors_once(
    hub: HubServer, own_places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = pickled(lenet())
    url = hub.publish("lenet.pth", body)
    model = zoo.create("lenet5", pretrained=url)
    assert same(model, lenet())
    assert model.origin.sha256 == digest(body)
    assert not list((own_places / "cache").rglob("*.pth"))
    hub.log.clear()
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("a pickle was read again"))
    assert same(zoo.create("lenet5", pretrained=url), lenet())
    assert hub.log == []


def test_torchvisions_own_file_becomes_a_googlenet_without_auxiliary_heads(hub: HubServer) -> None:
    import torchvision

    theirs = torchvision.models.googlenet(aux_logits=True, init_weights=False).eval()
    url = hub.publish("googlenet-1378be20.pth", pickled(theirs.state_dict()))
    model = zoo.create("googlenet", pretrained=url).eval()
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(model(x), theirs(x))


def test_a_damaged_conversion_is_made_again(hub: HubServer, own_places: Path) -> None:
    url = hub.publish("lenet.pth", pickled(lenet()))
    zoo.create("lenet5", pretrained=url)
    [place] = (own_places / "cache/converted").glob("*.safetensors")
    damaged = bytearray(place.read_bytes())
    damaged[-1] ^= 0xFF
    place.write_bytes(damaged)
    assert same(zoo.create("lenet5", pretrained=url), lenet())


def test_a_pth_of_ones_own_stays_where_it_is(tmp_path: Path) -> None:
    path = tmp_path / "mine.pth"
    path.write_bytes(pickled({"state_dict": lenet(), "epoch": 3}))
    assert same(zoo.create("lenet5", pretrained=path), lenet())
    assert path.exists()


class Gadget:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch gadget-ran",)


@pytest.mark.parametrize(
    "body",
    [
        pickled({"w": Gadget()}),
        pickle.dumps(Gadget()),
        pickled(torch.nn.Linear(2, 2)),
        pickled(lenet())[:5000],
        pickled({"epoch": 3}),
        b"",
        b"\x80\x02",
    ],
    ids=["gadget", "raw gadget", "module", "cut", "no tensors", "empty", "two bytes"],
)
def test_a_pth_that_is_no_plain_checkpoint_is_refused_and_runs_nothing(
    tmp_path: Path, own_places: Path, body: bytes
) -> None:
    path = tmp_path / "bad.pth"
    path.write_bytes(body)
    with pytest.raises(zoo.WeightsError):
        zoo.create("lenet5", pretrained=path)
    assert not Path("gadget-ran").exists()
    assert not list((own_places / "cache").glob("converted/*.safetensors"))


def test_a_process_killed_while_converting_leaves_nothing_half(
    hub: HubServer, own_places: Path
) -> None:
    url = hub.publish("lenet.pth", pickled(lenet()))
    code = (
        "import os, signal; from zoo_core.weights import pickles\n"
        "def half(tensors, path, **_):\n"
        "    open(path, 'wb').write(b'half'); os.kill(os.getpid(), signal.SIGKILL)\n"
        "pickles.save_file = half\n"
        f"import zoo_core as zoo; zoo.create('lenet5', pretrained={url!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL
    assert not list((own_places / "cache/converted").glob("[!.]*"))
    assert same(zoo.create("lenet5", pretrained=url), lenet())


def test_a_full_disk_is_one_error_and_leaves_no_half_file(
    hub: HubServer, own_places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = hub.publish("lenet.pth", pickled(lenet()))

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(pickles, "save_file", full)
        with pytest.raises(zoo.WeightsError, match=r"cannot be written: No space left.*ZOO_CACHE"):
            zoo.create("lenet5", pretrained=url)
    assert not list((own_places / "cache/converted").glob("*"))
    assert same(zoo.create("lenet5", pretrained=url), lenet())
