"""What can go wrong between here and the Hub: each ends in success, or in one clear error."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from hub.server import HubServer
from support.fetching import digest, lenet, own_places, safetensors, same, seeded, weights

import zoo_core as zoo
from zoo_core.weights.sources import local_file

__all__ = ["own_places"]
pytestmark = pytest.mark.usefixtures("own_places")


def whole(reference: str) -> bool:
    """Whether what create() gives is what was seeded, and its file has the right bytes."""
    fetched = local_file(weights(reference))
    good = digest(fetched.path.read_bytes()) == digest(safetensors(lenet())) == fetched.sha256
    return good and same(zoo.create("lenet5", pretrained=reference), lenet())


@pytest.mark.parametrize("at", [0, 1, 0.5, -1])
@pytest.mark.parametrize("reset", [False, True])
def test_a_connection_cut_in_the_body(hub: HubServer, at: float, reset: bool) -> None:
    reference = seeded(hub)
    hub.faults.cut("GET /get/*", at=at, reset=reset)
    assert whole(reference)


@pytest.mark.parametrize("status", [429, 500, 503])
@pytest.mark.parametrize("pattern", ["HEAD */resolve/*", "GET /get/*", "GET /api/models/*"])
def test_a_busy_hub_that_is_fine_again(hub: HubServer, pattern: str, status: int) -> None:
    seeded(hub)
    hub.faults.status(pattern, status, times=2)
    assert whole("hf://alice/digits/model.safetensors")


def test_a_hub_that_is_down_is_one_error_and_then_fine_again(hub: HubServer) -> None:
    reference = seeded(hub)
    hub.stop()
    for name in (reference, "hf://alice/digits/model.safetensors"):
        with pytest.raises(zoo.SourceError, match=r"hf://alice/digits.*(reached|answer)"):
            local_file(weights(name))
    hub.start()
    assert whole(reference)


def test_a_slow_hub(hub: HubServer) -> None:
    reference = seeded(hub)
    hub.faults.slow("GET /get/*", 0.02, chunk=1 << 14)
    assert whole(reference)


@pytest.mark.parametrize("by", [-7, 7])
def test_a_length_that_is_wrong_once(hub: HubServer, by: int) -> None:
    reference = seeded(hub)
    hub.faults.length("GET /get/*", by)
    assert whole(reference)


def test_another_body_of_another_length_is_never_taken(hub: HubServer) -> None:
    reference = seeded(hub)
    hub.faults.replace("GET /get/*", b"short", times=None)
    with pytest.raises(zoo.WeightsError):
        local_file(weights(reference))
    hub.faults.clear()
    assert whole(reference)


@pytest.mark.parametrize("etag", ['"../../../../outside"', '"/etc/outside"', '"x"'])
def test_an_etag_that_is_a_path_is_refused_before_it_is_used(
    hub: HubServer, own_places: Path, etag: str
) -> None:
    reference = seeded(hub)
    named = {"X-Linked-Etag": etag, "ETag": etag}
    hub.faults.header("HEAD */resolve/*", named, times=None)
    with pytest.raises(zoo.SourceError, match="which is no hash"):
        local_file(weights(reference))
    home = Path(os.environ["HF_HOME"])
    assert not list(home.rglob("outside*"))
    assert not list(own_places.rglob("outside*"))


def test_no_token_reaches_the_cdn_or_another_host(
    hub: HubServer, signed_in: str, own_places: Path
) -> None:
    reference = seeded(hub)
    assert whole(reference)
    assert hub.requests("GET /get/*")
    assert hub.leaks() == []
    with HubServer() as other:
        elsewhere = other.publish("x", b"x").replace("127.0.0.1", "localhost")
        hub.seed("alice/moved", {"model.safetensors": safetensors(lenet(1))})
        hub.faults.redirect("* /alice/moved/resolve/*", elsewhere, times=None)
        with pytest.raises(zoo.ZooError):
            local_file(weights("hf://alice/moved/model.safetensors"))
        assert all(entry.authorization is None for entry in other.log)


def client(reference: str) -> list[str]:
    return [sys.executable, "-m", "zoo_core", "fetch", reference]


def places(hub: HubServer, folder: Path) -> dict[str, str]:
    own = {"ZOO_CACHE": str(folder / "zoo"), "XDG_CONFIG_HOME": str(folder / "config")}
    return {**os.environ, **hub.environment(folder / "hf", None), **own}


def test_a_process_killed_while_downloading_leaves_no_half_file(
    hub: HubServer, own_places: Path
) -> None:
    body = safetensors({"x": torch.arange(600_000.0)})
    commit = hub.seed("alice/big", {"model.safetensors": body})
    reference = f"hf://alice/big@{commit}/model.safetensors"
    hub.faults.slow("GET /get/*", 0.05, chunk=1 << 14)
    environment = places(hub, own_places)
    process = subprocess.Popen(client(reference), env=environment, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not hub.requests("GET /get/*"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not list((own_places / "hf").rglob("model.safetensors"))
    done = subprocess.run(client(reference), env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    [path] = (own_places / "hf").rglob("model.safetensors")
    assert digest(path.read_bytes()) == digest(body)


def test_a_full_disk_is_one_line(hub: HubServer, own_places: Path) -> None:
    reference = seeded(hub)
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        f"from zoo_core.cli import main; sys.exit(main(['fetch', {reference!r}]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=places(hub, own_places),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "cannot be written: File too large" in done.stderr
    assert "HF_HOME" in done.stderr
    assert not list((own_places / "hf").rglob("model.safetensors"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody who may not write")
def test_a_cache_that_is_read_only_serves_what_it_has(hub: HubServer, own_places: Path) -> None:
    reference = seeded(hub)
    other = seeded(hub, "alice/other")
    code = (
        "import os; from zoo_core.cli import main\n"
        f"assert main(['fetch', {reference!r}]) == 0\n"
        "os.seteuid(65534)\n"
        f"print(main(['fetch', {reference!r}]), main(['fetch', {other!r}]))"
    )
    for path in (own_places, *own_places.parents):
        path.chmod(path.stat().st_mode | 0o055)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=places(hub, own_places),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines()[-1] == "0 1", done.stderr
    assert "cannot be written: Permission denied" in done.stderr
    assert "Traceback" not in done.stderr
