"""What `make release` does: dist/ with a wheel, an sdist and an SBOM, each tried; nothing leaves.

    python tools/release.py [--shared]

It builds twice from exports of HEAD, asks that both are the same bytes, has the metadata checked,
installs each file into a new environment and works there with it. All that happens in a temporary
folder; dist/ is replaced at the end. The first step that fails ends it, and dist/ is as before.

`--shared`: requirements come from the environment that runs this, and not from an index. That is
quicker and needs no gigabytes, but does not show that zoo's list of requirements is whole.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parent.parent

# Its jsonschema is older than that of cyclonedx-bom: it gets an environment of its own.
CFFCONVERT = ("cffconvert==2.0.0", "setuptools<81")


class Stop(Exception):
    """A step that failed: what it was, and what its programs said."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Build, check and try a release.")
    parser.add_argument("--shared", action="store_true", help="use the requirements that are here")
    shared = parser.parse_args().shared
    try:
        with tempfile.TemporaryDirectory(prefix="zoo-release-") as folder:
            release(Path(folder), shared)
    except Stop as stop:
        print(f"stopped: {stop}\ndist/ is as it was.", file=sys.stderr)
        return 1
    return 0


def release(folder: Path, shared: bool) -> None:
    refuse_changes()
    version = one_version()
    check_citation(folder)
    built = build_twice(folder)
    check_files(built)
    wheel, sdist = sorted(built, key=lambda file: file.suffix, reverse=True)
    sbom = folder / f"zoo_core-{version}.cdx.json"
    python = install(folder / "wheel", wheel, shared)
    try_out(folder / "wheel")
    write_sbom(python, sbom, shared)
    shutil.rmtree(folder / "wheel")  # gigabytes, and as many come
    install(folder / "sdist", sdist, shared)
    try_out(folder / "sdist")
    replace_dist([wheel, sdist, sbom])
    print(still_to_do(version, shared))


def run(*words: str | Path, cwd: Path = ROOT, variables: Mapping[str, str] | None = None) -> str:
    """Run a program without this checkout's variables; what it printed. Raises Stop."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("ZOO_", "PYTHON"))}
    env = {**kept, "MPLBACKEND": "agg", "PIP_DISABLE_PIP_VERSION_CHECK": "1", **(variables or {})}
    done = subprocess.run(words, capture_output=True, text=True, cwd=cwd, env=env, check=False)
    if done.returncode:
        line = " ".join(str(word) for word in words)
        raise Stop(f"{line}\n{done.stdout}{done.stderr}".rstrip())
    return done.stdout


def say(line: str) -> None:
    print(f"- {line}", flush=True)


def refuse_changes() -> None:
    changed = run("git", "status", "--porcelain").splitlines()
    if changed:
        names = ", ".join(line[3:] for line in changed[:5])
        more = f" and {len(changed) - 5} more" if len(changed) > 5 else ""
        raise Stop(f"the tree is not clean: {names}{more}. Commit or stash them.")
    say(f"clean tree at {run('git', 'rev-parse', '--short', 'HEAD').strip()}")


def one_version() -> str:
    """The version in pyproject.toml, which zoo_core and CITATION.cff say too."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    version: str = project["version"]
    for name, line in (
        ("zoo_core/version.py", f'__version__ = "{version}"'),
        ("CITATION.cff", f"version: {version}"),
    ):
        if line not in (ROOT / name).read_text(encoding="utf-8").splitlines():
            raise Stop(f"{name} has no line {line}, which is the version in pyproject.toml.")
    say(f"version {version}, in all three places")
    return version


def check_citation(folder: Path) -> None:
    run(sys.executable, "-m", "venv", folder / "cff")
    python = folder / "cff" / "bin" / "python"
    run(python, "-m", "pip", "install", "-q", *CFFCONVERT)
    run(folder / "cff" / "bin" / "cffconvert", "--validate", "-i", ROOT / "CITATION.cff")
    say("CITATION.cff is valid (cffconvert)")


def build_twice(folder: Path) -> list[Path]:
    """Wheel and sdist. Raises Stop where a second build, from another export, has other bytes."""
    first, second = (build(folder / name) for name in ("first", "second"))
    for one, other in zip(first, second, strict=True):
        if one.name != other.name or one.read_bytes() != other.read_bytes():
            raise Stop(f"two builds of {one.name} differ.")
    for file in first:
        say(f"{file.name}: {file.stat().st_size:,} bytes, twice the same")
    return first


def build(folder: Path) -> list[Path]:
    """Only what is committed is built, at the time of the commit."""
    tree, dist = folder / "tree", folder / "dist"
    tree.mkdir(parents=True)
    run("git", "archive", "--output", folder / "tree.tar", "HEAD")
    shutil.unpack_archive(folder / "tree.tar", tree, filter="data")
    epoch = {"SOURCE_DATE_EPOCH": run("git", "log", "-1", "--format=%ct").strip()}
    words = (sys.executable, "-m", "build", "--no-isolation", "--outdir", dist)
    run(*words, tree, cwd=folder, variables=epoch)
    return sorted(dist.iterdir())


def check_files(built: list[Path]) -> None:
    run(sys.executable, "-m", "twine", "check", "--strict", *built)
    say("metadata and README are as an index wants them (twine check --strict)")
    wheel = next(file for file in built if file.suffix == ".whl")
    run(sys.executable, "-m", "check_wheel_contents", wheel)
    say("the wheel holds what it should (check-wheel-contents)")


def install(folder: Path, file: Path, shared: bool) -> Path:
    """A new environment with one of the built files in it; its python."""
    run(sys.executable, "-m", "venv", folder / "venv")
    python = folder / "venv" / "bin" / "python"
    pip = (python, "-m", "pip", "install", "-q")
    if shared:
        paths = "\n".join(here())
        ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
        (Path(run(python, "-c", ask).strip()) / "others.pth").write_text(f"{paths}\n")
        backend = ("--no-build-isolation", "--no-deps")
        run(*pip, *backend, "--ignore-installed", file)
    else:
        run(*pip, "-c", ROOT / "constraints.txt", f"{file}[demo]")
    says = run(python, "-c", "import zoo_core; print(zoo_core.__file__)", cwd=folder).strip()
    if not Path(says).is_relative_to(folder):
        raise Stop(f"{file.name} is installed, but what is imported is {says}.")
    whence = "required packages from another environment" if shared else "all it requires, anew"
    say(f"{file.name} installed in a new environment; {whence}")
    return python


def here() -> list[str]:
    """Where packages are imported from now; a folder in a .pth file is one of them."""
    paths = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    paths |= {path for path in sys.path if path.endswith("-packages")}
    return sorted(paths)


def try_out(folder: Path) -> None:
    run(folder / "venv" / "bin" / "zoo", "demo", cwd=folder)
    say("zoo demo works there")


def write_sbom(python: Path, file: Path, shared: bool) -> None:
    """Every package of the wheel's environment, with version, licence and where it came from."""
    words = ("--pyproject", ROOT / "pyproject.toml", "--output-reproducible", "--of", "JSON")
    run(sys.executable, "-m", "cyclonedx_py", "environment", *words, "-o", file, python)
    whose = "the shared environment, more than zoo requires" if shared else "the new environment"
    say(f"{file.name}: a CycloneDX SBOM of {whose}")


def replace_dist(files: list[Path]) -> None:
    dist, new = ROOT / "dist", ROOT / "dist" / ".new"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    for file in files:
        shutil.copy2(file, new)
    for old in dist.iterdir():
        if old.is_file():
            old.unlink()
    for file in new.iterdir():
        file.rename(dist / file.name)
    new.rmdir()
    say(f"dist/ has {', '.join(file.name for file in files)}")


def still_to_do(version: str, shared: bool) -> str:
    todo = []
    waiting = [file for file in (ROOT / "changes").glob("*.md") if file.name != "README.md"]
    if waiting or f"## [{version}]" not in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"):
        todo.append(
            f"towncrier build --version {version}, read CHANGELOG.md, commit, and run this again"
        )
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    if "urls" not in project:
        todo.append(
            "[project.urls] in pyproject.toml, and whole addresses for README's links and picture: "
            "an index shows them, and knows no relative ones"
        )
    if shared:
        todo.append("run this again without --shared, for an environment that is truly empty")
    todo += [
        "make test-all and make test-oldest on each Python that docs/versions.md names",
        f"git tag -s v{version}; git push --tags",
        f"twine upload dist/zoo_core-{version}*.whl dist/zoo_core-{version}.tar.gz",
        f"a release where the code is hosted, with dist/zoo_core-{version}.cdx.json",
        "the next version in pyproject.toml, zoo_core/version.py and CITATION.cff",
    ]
    lines = [f"  {number}. {line}" for number, line in enumerate(todo, 1)]
    return "\n".join(["Still to do by a person:", *lines])


if __name__ == "__main__":
    raise SystemExit(main())
