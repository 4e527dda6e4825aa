"""timm's own tests of models, run on the same networks as zoo makes them, and as timm does.

    python -m benchmarks.peers TIMM_CHECKOUT [NAME ...]

`TIMM_CHECKOUT` is a clone of timm's repository; its tests/test_models.py is run as it is, with
`timm.create_model` replaced by `zoo.create`. What does not pass so is run again as timm makes the
networks. Prints how many cases pass, test by test, and every one that passes with timm alone, with
its error.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from unittest import mock
from xml.etree import ElementTree

ROOT = Path(__file__).parent.parent
NAMES = """
resnet18 resnet18d resnet26 resnet26d resnet34 resnet34d resnet50 resnet50d
inception_v3 inception_v4 inception_resnet_v2
vgg11 densenet121 mobilenetv2_100 mobilenetv3_small_050 efficientnet_b0 tf_efficientnet_lite0
test_efficientnet test_byobnet test_convnext test_mambaout test_nfnet test_resnet test_vit test_vit2
convnext_atto convnextv2_atto regnetx_002 regnety_002 repvgg_a0 resnetv2_50 ghostnet_050
hardcorenas_a lcnet_050 rexnet_100 dla46x_c cspresnet50 cs3darknet_s edgenext_xx_small
efficientvit_b0 efficientvit_m0 fastvit_t8 levit_128s repvit_m0_9 shvit_s1 starnet_s1
mobilevit_xxs poolformer_s12 pvt_v2_b0 swin_tiny_patch4_window7_224 swinv2_tiny_window8_256
vit_tiny_patch16_224 deit_tiny_patch16_224 volo_d1_224 xcit_nano_12_p8_224 mixer_s32_224
tnt_s_patch16_224
""".split()  # fmt: skip
OURS = "ZOO_PEERS_NAMES"  # what the run is limited to; and whether zoo makes the models
MAKER = "ZOO_PEERS_MAKER"
ONLY = "ZOO_PEERS_ONLY"  # the names of the cases that are run, a line each; all where it is empty
CREATE_MODEL: object = None  # timm's own, where another stands in its place

Result = dict[str, str]
"""Of each case: "" where it passed, else the last line of its error; skipped ones are not there."""


def pytest_configure() -> None:
    """As a plugin of timm's test run: other lists of models, and another maker of them."""
    import timm

    chosen = os.environ[OURS].split()
    global CREATE_MODEL
    CREATE_MODEL, listed = timm.create_model, timm.list_models

    def list_models(*args: object, **given: object) -> list[str]:
        if given.get("pretrained"):  # the weights are on the Hub, and no test of networks
            return []
        return [name for name in listed(*args, **given) if name.partition(".")[0] in chosen]

    timm.list_models = list_models
    timm.list_pretrained = lambda *args, **given: []
    if os.environ[MAKER] == "zoo":
        timm.create_model = _made_by_zoo


def pytest_collection_modifyitems(items: list[Any]) -> None:
    only = os.environ[ONLY].split("\n")
    if only != [""]:
        items[:] = [item for item in items if item.name in only]


def _made_by_zoo(name: str, **given: object) -> object:
    import zoo_core as zoo

    plain = name.partition(".")[0]
    known = plain in zoo.list_models()
    with mock.patch("timm.create_model", CREATE_MODEL):  # which zoo calls
        return zoo.create(plain if known else f"timm/{plain}", **given)


def results(checkout: Path, names: list[str], maker: str, only: Iterable[str] = ()) -> Result:
    """Run the tests with one maker; `only`: no others than these cases."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "benchmarks.peers", "-n", "auto"]
        command += ["-o", "addopts=", "-p", "no:cacheprovider", "-W", "ignore", "--tb=line"]
        command += [f"--junitxml={report}", f"--rootdir={checkout}", "-c", os.devnull]
        command += [str(checkout / "tests" / "test_models.py")]
        environment = {**os.environ, OURS: " ".join(names), MAKER: maker, "PYTHONPATH": str(ROOT)}
        environment[ONLY] = "\n".join(only)
        subprocess.run(command, env=environment, stdout=sys.stderr, check=False)
        return dict(filter(None, map(_outcome, ElementTree.parse(report).iter("testcase"))))


def _outcome(case: ElementTree.Element) -> tuple[str, str] | None:
    name = case.get("name", "")
    if case.find("skipped") is not None:
        return None
    for kind in ("failure", "error"):
        failed = case.find(kind)
        if failed is not None:
            return name, " ".join((failed.get("message") or "failed").split())[:200]
    return name, ""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("checkout", type=Path, metavar="TIMM_CHECKOUT")
    parser.add_argument("names", nargs="*", metavar="NAME", help="networks; by default, many")
    given = parser.parse_args()
    if not (given.checkout / "tests" / "test_models.py").is_file():
        parser.error(f"{given.checkout} has no tests/test_models.py: give a clone of timm.")
    names = given.names or NAMES
    ours = results(given.checkout, names, "zoo")
    failed = [case for case, error in ours.items() if error]
    theirs = results(given.checkout, names, "timm", failed) if failed else {}
    print("| test | cases | with zoo | of the others with timm |\n|---|--:|--:|--:|")
    for kind in sorted({case.partition("[")[0] for case in ours}):
        print(f"| {kind} | {_row(kind, ours, theirs)} |")
    print(f"| all | {_row('', ours, theirs)} |")
    short = {case: error for case, error in ours.items() if error and theirs.get(case) == ""}
    print(f"\n{len(short)} cases pass with timm alone:")
    for error, count in Counter(short.values()).most_common():
        cases = [case for case, other in short.items() if other == error]
        print(f"- {count}: {error}\n  {', '.join(cases[:6])}{', …' if count > 6 else ''}")


def _row(kind: str, ours: Result, theirs: Result) -> str:
    """How many cases there are of a test, or of all, and how many of them pass."""
    own = [error for case, error in ours.items() if case.startswith(kind)]
    passing = [case for case, error in theirs.items() if case.startswith(kind) and not error]
    return f"{len(own)} | {own.count('')} | {len(passing)}"


if __name__ == "__main__":
    main()
