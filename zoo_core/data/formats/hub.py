"""Data sets of the Hugging Face Hub, at a commit, by `datasets`: whole, or as a stream.

What strangers wrote leads nowhere else: their card is looked at before `datasets` sees it, no code
of theirs runs, and nothing is opened but files of the repository at that commit. A data set that
was prepared once is read again without a request.
"""

from __future__ import annotations

import contextlib
import glob
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from zoo_core.cache import is_offline
from zoo_core.data.formats.hfds import columns, pictures_of
from zoo_core.data.formats.hub_place import Place, commit_of, place_of
from zoo_core.data.formats.local_dataset import BUILDERS, CARDS, checked_card, refuse_damage
from zoo_core.data.pictures import Pictures
from zoo_core.data.specs import Spec, bits_of, chosen_part
from zoo_core.errors import DataError, NotCached, ZooError, described, did_you_mean
from zoo_core.humanize import readable_name

Say = Callable[[str], None]


def open_hub(spec: Spec, say: Say) -> Pictures:
    """`hf://datasets/OWNER/NAME[@REVISION][:CONFIG][#SPLIT]`; `?image=img&label=fine_label`.

    With `?stream=true` nothing is stored: see `Streamed`. Private and gated ones need a token.
    """
    try:
        import datasets  # noqa: F401
    except ImportError as error:
        hint = "Run: pip install 'zoo-core[datasets]'"
        raise DataError(f'The data "{spec.text}" needs datasets.', hint=hint) from error
    place, stream = place_of(spec.location), _wants_stream(spec)
    hint = f"Name one: ?{{}}=COLUMN behind {place.name}"  # errors show no query of an address
    commit = commit_of(place)
    with _explained(place, commit), _silent():
        config = _config(spec, place, commit)
        if stream:
            from zoo_core.data.formats.hub_stream import open_stream

            return open_stream(spec, place, _builder(place, config, commit), hint)
        dataset = _cached(place, config, commit) or _prepared(spec, place, config, commit, say)
    table = dataset[chosen_part(spec, dataset)]
    if len(table) == 0:
        raise DataError(f"{spec.text} has no rows.")
    refuse_damage(table, spec.text)
    plain = table.with_format(None)
    chosen = columns(plain.features, spec.name, hint, spec.options)
    return pictures_of(plain, chosen, spec.name, spec.text, bits_of(spec), _folders(place))


def _wants_stream(spec: Spec) -> bool:
    said = spec.options.get("stream", "false")
    if said not in ("true", "false"):
        raise DataError(f'stream in "{spec.text}" is true or false, not "{said}".')
    return said == "true"


@contextlib.contextmanager
def _explained(place: Place, commit: str) -> Iterator[None]:
    """Whatever is raised inside is an error of zoo: `datasets` raises what its readers raise."""
    from zoo_core.hub.failures import explained

    try:
        with explained(f"datasets/{place.repository}", "data", DataError, commit):
            yield
    except ZooError:
        raise
    except Exception as error:
        said = described(error.__cause__ if isinstance(error.__cause__, Exception) else error)
        raise DataError(f"{place.name} cannot be read as a dataset: {said}.") from error


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Without the bars of the libraries: they ask nobody whether a bar is wanted."""
    import datasets
    from huggingface_hub import utils

    bars = [
        (datasets.are_progress_bars_disabled(), datasets),
        (utils.are_progress_bars_disabled(), utils),
    ]
    for _, library in bars:
        library.disable_progress_bars()
    try:
        yield
    finally:
        for off, library in bars:
            if not off:
                library.enable_progress_bars()


# --- what the repository says --------------------------------------------------------------------


def _config(spec: Spec, place: Place, commit: str) -> str:
    """The configuration that is asked for, else the default or only one. Raises DataError."""
    from datasets.utils.metadata import MetadataConfigs
    from huggingface_hub import DatasetCardData

    data: dict[str, Any] = {}
    for name in CARDS:
        path = _file(place, name, commit)
        if path is not None:
            data |= checked_card(path, f"{name} of {place.name}", "repository")
    configs = MetadataConfigs.from_dataset_card_data(DatasetCardData(**data))
    names = list(configs) or ["default"]
    if place.config is not None and place.config in names:
        return place.config
    default = configs.get_default_config_name() if configs else "default"
    if place.config is None and default is not None:
        return default
    listed = ", ".join(map(readable_name, names[:20])) + (", …" if len(names) > 20 else "")
    fault = f'no configuration "{place.config}"' if place.config else "several configurations"
    raise DataError(
        f"{place.name} has {fault}: {listed}. {did_you_mean(place.config or '', names)}".strip(),
        hint=f"Name one behind a colon: {place.name}:{readable_name(names[0])}",
    )


def _file(place: Place, name: str, commit: str) -> Path | None:
    """A file of the repository; None where there is none of that name."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    from zoo_core.hub.client import api, persistently

    known = try_to_load_from_cache(place.repository, name, repo_type="dataset", revision=commit)
    if known is not None:
        return Path(known) if isinstance(known, str) else None
    if is_offline():
        raise NotCached(f"{place.name} at {commit[:7]} is not in the cache.")

    def download() -> str:
        return api().hf_hub_download(place.repository, name, repo_type="dataset", revision=commit)

    try:
        return Path(persistently(download))
    except LocalEntryNotFoundError:
        raise
    except EntryNotFoundError:
        return None


# --- the data ------------------------------------------------------------------------------------


def _builder(place: Place, config: str, commit: str) -> Any:
    """What `datasets` reads the repository with. Raises DataError for what zoo does not open."""
    import datasets

    if is_offline():
        raise NotCached(f"{place.name} at {commit[:7]} is not in the cache.")
    builder = datasets.load_dataset_builder(place.name, config, revision=commit)
    kind = type(builder).__module__.rpartition(".")[2]
    if kind not in BUILDERS:
        raise DataError(f"{place.name} holds data of the kind {kind}, not a table or pictures.")
    own = f"{place.name}@{commit}/"
    named = [each for parts in (builder.config.data_files or {}).values() for each in parts]
    away = next((each for each in named if not each.startswith(own) or "::" in each), None)
    if away is not None or builder.hash != commit:
        raise DataError(f"{place.name} names {readable_name(away)}, which is not a file of it.")
    return builder


def _prepared(spec: Spec, place: Place, config: str, commit: str, say: Say) -> Any:
    """All parts, fetched and stored in the cache of `datasets`."""
    builder = _builder(place, config, commit)
    parts = {str(name): paths for name, paths in (builder.config.data_files or {}).items()}
    chosen_part(spec, parts)
    count = sum(map(len, parts.values()))
    say(f"Fetching {place.name} at {commit[:7]}: {count:,} file{'' if count == 1 else 's'}.")
    builder.download_and_prepare()
    return builder.as_dataset()


def _cached(place: Place, config: str, commit: str) -> Any:
    """The data set as it was prepared before, at this very commit; None where it was not."""
    from datasets import config as places
    from datasets.naming import camelcase_to_snakecase
    from datasets.packaged_modules.cache.cache import Cache

    owner, _, name = place.repository.partition("/")
    name = camelcase_to_snakecase(name)
    folder = Path(places.HF_DATASETS_CACHE, f"{owner}___{name}")
    found = next(folder.glob(f"{glob.escape(config)}/*/{commit}/dataset_info.json"), None)
    if found is None:
        return None
    version = found.parent.parent.name
    where = {"repo_id": place.repository, "dataset_name": name, "config_name": config}
    return Cache(**where, version=version, hash=commit).as_dataset()


def _folders(place: Place) -> list[Path]:
    """Where cells may lie that name files: what was fetched of the repository, or unpacked."""
    from datasets import config as places
    from huggingface_hub.constants import HF_HUB_CACHE

    fetched = Path(HF_HUB_CACHE, f"datasets--{place.repository.replace('/', '--')}")
    return [fetched, Path(places.EXTRACTED_DATASETS_PATH)]
