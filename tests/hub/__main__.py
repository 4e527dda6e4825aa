"""A Hub by hand, in the folder `tests`: `python -m hub --port 8080 --seed alice/tiny=FOLDER`."""

from __future__ import annotations

import argparse
import contextlib
import shlex
import signal
import sys
import tempfile
import threading
from pathlib import Path

from hub.log import Entry
from hub.server import HubServer


def main() -> None:
    options = arguments()
    folder = Path(options.folder or tempfile.mkdtemp(prefix="hub-")).resolve()
    hub = HubServer(options.port, xet=folder / "xet-store" if options.xet else None)
    with hub:
        hub.log.watch = show  # before anybody knows its address
        for name, source in map(pair, options.seed):
            print(f"# {name} {hub.seed(name, contents(source), private=options.private)}")
        for path, body in contents(options.static).items():
            print(f"# {hub.publish(path, body)}")
        for name, value in hub.environment(folder / "home", options.token).items():
            print(f"export {name}={shlex.quote(value)}", flush=True)
        wait()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m hub", description="A Hugging Face Hub for tests."
    )
    parser.add_argument("--port", type=int, default=0, help="of the site (any)")
    parser.add_argument("--folder", help="for HF_HOME and the store of Xet (a temporary one)")
    parser.add_argument("--xet", action="store_true", help="upload and download with Xet")
    parser.add_argument("--token", default="hf_write", help="hf_write, hf_read, hf_other or ''")
    parser.add_argument("--private", action="store_true", help="make the seeded ones private")
    parser.add_argument("--static", type=Path, help="a folder to serve below /static/")
    parser.add_argument(
        "--seed",
        action="append",
        default=[],
        metavar="NAME=FOLDER",
        help="a repository to begin with",
    )
    return parser.parse_args()


def pair(seed: str) -> tuple[str, Path]:
    name, _, source = seed.partition("=")
    if name.count("/") != 1 or not Path(source).is_dir():
        raise SystemExit(f"--seed {seed}: want OWNER/NAME=FOLDER, with a folder that is there")
    return name, Path(source)


def contents(folder: Path | None) -> dict[str, bytes]:
    """Path in the folder -> bytes."""
    found = sorted(path for path in folder.rglob("*") if path.is_file()) if folder else []
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found if folder}


def show(entry: Entry) -> None:
    print(entry.host, entry, file=sys.stderr, flush=True)


def wait() -> None:
    """Until the terminal or a signal ends it."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):
        threading.Event().wait()


if __name__ == "__main__":
    main()
