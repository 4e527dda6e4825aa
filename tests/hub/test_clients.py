"""Clients in processes of their own: Xet, offline, timm, and a Hub started by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from support.places import TESTS

from hub import HubServer
from hub.client import run_client
from hub.tiny import FILES, LARGE, REPO, WEIGHTS, fetch


def test_xet_pushes_and_fetches(xet_hub: HubServer, tmp_path: Path) -> None:
    """And a client without Xet gets the same bytes, from the CDN."""
    xet_hub.seed(REPO, {"other.safetensors": WEIGHTS})
    (tmp_path / "pushed").mkdir()
    (tmp_path / "pushed" / LARGE).write_bytes(WEIGHTS + b"something that packs " * 5000)
    code = f"""if True:
        from pathlib import Path
        from huggingface_hub import HfApi, hf_hub_download
        done = HfApi().upload_folder(folder_path="{tmp_path}/pushed", repo_id="{REPO}")
        fetched = hf_hub_download("{REPO}", "{LARGE}")
        assert Path(fetched).read_bytes() == Path("{tmp_path}/pushed/{LARGE}").read_bytes()
        pull = HfApi().upload_file(
            path_or_fileobj=b"x" * 1000, path_in_repo="{LARGE}", repo_id="{REPO}", create_pr=True
        )
        print(done.oid, pull.pr_revision)"""
    commit, pull = run_client(xet_hub, code, tmp_path / "home").split()
    assert commit == xet_hub.commit(REPO).id
    assert xet_hub.file(REPO, LARGE) == (tmp_path / "pushed" / LARGE).read_bytes()
    assert xet_hub.file(REPO, LARGE, pull) == b"x" * 1000
    assert [str(entry) for entry in xet_hub.requests("*xet-*-token*")] == [
        f"GET /api/models/{REPO}/xet-write-token/main 200",
        f"GET /api/models/{REPO}/xet-read-token/{commit} 200",
        f"GET /api/models/{REPO}/xet-write-token/None 200",
    ]
    assert xet_hub.requests("* /put/*") == xet_hub.requests("* /get/*") == []
    code = f"""if True:
        from pathlib import Path
        from huggingface_hub import hf_hub_download
        plain = Path(hf_hub_download("{REPO}", "{LARGE}")).read_bytes()
        assert plain == Path("{tmp_path}/pushed/{LARGE}").read_bytes()"""
    run_client(xet_hub, code, tmp_path / "plain", HF_HUB_DISABLE_XET="1")
    assert len(xet_hub.requests("GET /get/*")) == 1 and xet_hub.leaks() == []


def test_offline_what_is_cached(hub: HubServer, tmp_path: Path) -> None:
    hub.seed(REPO, FILES)
    code = f'from huggingface_hub import hf_hub_download as get; get("{REPO}", "{LARGE}")'
    run_client(hub, code, tmp_path)
    hub.clear()
    run_client(hub, code, tmp_path, HF_HUB_OFFLINE="1")
    assert list(hub.log) == []


TIMM = """if True:
    import timm, torch
    from timm.models import push_to_hf_hub
    model = timm.create_model("test_resnet", num_classes=3).eval()
    push_to_hf_hub(model, "alice/x")
    again = timm.create_model("hf-hub:alice/x", pretrained=True).eval()
    images = torch.rand(2, 3, 160, 160)
    assert torch.equal(model(images), again(images))"""


def test_timm_pushes_and_loads(hub: HubServer, signed_in: str) -> None:
    exec(TIMM, {})
    files = {".gitattributes", "README.md", "config.json", LARGE}
    assert set(hub.files("alice/x")) >= files and hub.leaks() == []


def test_timm_pushes_and_loads_with_xet(xet_hub: HubServer, tmp_path: Path) -> None:
    run_client(xet_hub, TIMM, tmp_path)
    assert LARGE in xet_hub.files("alice/x") and xet_hub.requests("*xet-read-token*")
    assert xet_hub.requests("PUT *") == xet_hub.requests("GET /get/*") == []


def test_by_hand(tmp_path: Path) -> None:
    (tmp_path / "seed").mkdir()
    (tmp_path / "seed" / "config.json").write_text("{}")
    command = [sys.executable, "-m", "hub", "--seed", f"{REPO}={tmp_path / 'seed'}", "--xet"]
    running = subprocess.Popen(
        [*command, "--folder", tmp_path],
        cwd=TESTS,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stdout is not None and running.stderr is not None
    try:
        lines = [running.stdout.readline() for _ in range(9)]
        exported = dict(line.removeprefix("export ").strip().split("=", 1) for line in lines[1:])
        assert exported["HF_HUB_DISABLE_XET"] == "0"
        info = fetch(f"{exported['HF_ENDPOINT']}/api/models/{REPO}")[1]
        assert lines[0].split() == ["#", REPO, json.loads(info)["sha"]]
        assert f"GET /api/models/{REPO} 200" in running.stderr.readline()
    finally:
        running.terminate()
        running.communicate(timeout=20)
