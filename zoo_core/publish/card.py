"""The card of a published model: what it came from, what was trained on what, and how to load it.

An existing README is merged. Its own text stays; what stands between zoo's two marks is written
anew, and so are the keys of the metadata that are facts about the weights.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from zoo_core.data.formats.hub_place import repository_of
from zoo_core.errors import PublishError
from zoo_core.humanize import one_line, readable_name
from zoo_core.publish.markdown import check_marks, code, own_part, plain, with_own_part
from zoo_core.types import ModelInfo
from zoo_core.weights.part import KEEP_UNTIL
from zoo_core.weights.published import Saved


def merged_card(old: str | None, metadata: Mapping[str, Any], text: str, title: str) -> str:
    """The new README from the one that is there (or None). Raises PublishError for a broken one."""
    from zoo_core.publish.front_matter import divided, joined

    own = own_part(text)
    if old is None:
        old = f"# {plain(title)}\n\n{own}"
    check_marks(old)
    try:
        data, body = divided(old)
        data = _merged_data(data, metadata)
    except Exception as error:  # YAML raises errors of many kinds
        raise PublishError(
            f"The README.md that is there has metadata that cannot be read: {one_line(error)}.",
            hint="Mend or remove it on the page of the repository, and push again.",
        ) from error
    return joined(data, with_own_part(body, own))


def _merged_data(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Facts about the weights are replaced; lists grow; whatever else somebody wrote stays."""
    merged = dict(old)
    for key, value in new.items():
        if key in ("tags", "datasets"):
            before = merged.get(key) or []
            listed = list(before) if isinstance(before, list) else [before]
            merged[key] = [*listed, *(item for item in value if item not in listed)]
        elif key == "model-index":
            merged[key] = _merged_index(merged.get(key), value)
        else:
            merged[key] = value
    return {key: value for key, value in merged.items() if value is not None}


def _merged_index(old: Any, new: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Results on other data that somebody added stay beside the new ones."""
    ours = {_result_key(result) for result in new[0]["results"]}
    kept = [
        result
        for model in (old if isinstance(old, list) else [])
        for result in model.get("results", [])
        if _result_key(result) not in ours
    ]
    return [{**new[0], "results": [*new[0]["results"], *kept]}]


def _result_key(result: Mapping[str, Any]) -> str:
    return str(result.get("dataset", {}).get("name"))


def metadata(
    saved: Saved,
    title: str,
    result: Mapping[str, Any],
    data: str,
    parent: str | None,
    timm: bool,
) -> dict[str, Any]:
    """The part of the card that machines read. `parent`: the repository that it was tuned from."""
    facts: dict[str, Any] = {
        "license": readable_name(saved.license) if saved.license else None,
        "library_name": "timm" if timm and saved.format == "whole" else "zoo",
        "pipeline_tag": "image-classification",
        "tags": ["zoo", "image-classification", "transfer-learning"],
        "base_model": parent,
    }
    repository = repository_of(data)
    if repository is not None:
        facts["datasets"] = [repository]
    metrics = [
        {"type": metric, "name": name, "value": round(result[key], 6)}
        for metric, name, key in (
            ("accuracy", "Accuracy", "val_accuracy"),
            ("log_loss", "Log-loss", "val_loss"),
        )
        if key in result
    ]
    if metrics:
        task = {"type": "image-classification", "name": "Image Classification"}
        dataset = {"type": "image-classification", "name": readable_name(f"{data} (validation)")}
        results = [{"task": task, "dataset": dataset, "metrics": metrics}]
        facts["model-index"] = [{"name": readable_name(title), "results": results}]
    return {key: value for key, value in facts.items() if value is not None}


def text(
    saved: Saved,
    info: ModelInfo,
    reference: str,
    stages: Sequence[tuple[str, int, bool]],
    recipe: Mapping[str, Any] | None,
    timm: bool,
) -> str:
    """What people read. `reference`: how create() gets it. `stages`: name, size, if changed."""
    parts = [_what(saved, info), _load(saved, reference, timm), _stages(saved, stages)]
    if recipe is not None:
        parts += [_results(recipe), _training(recipe)]
    if saved.labels:
        shown = ", ".join(map(plain, saved.labels[:100])) + (
            ", …" if len(saved.labels) > 100 else ""
        )
        parts.append(f"## Classes\n\n{len(saved.labels)}, in this order: {shown}")
    parts.append(_files(saved))
    return "\n\n".join(part for part in parts if part)


def _what(saved: Saved, info: ModelInfo) -> str:
    about = code(saved.model) + (f" ({plain(info.summary)})" if info.summary else "")
    until = saved.config.get(KEEP_UNTIL)
    if until is not None:
        about = f"What feeds {code(str(until))} of {about}, with a pooling and a head"
    several = ", any number of them in a picture" if saved.multilabel else ""
    size = f"{saved.num_classes} classes{several}, input {'x'.join(map(str, saved.input.size))}"
    if saved.base is None:
        return f"{about}, {size}."
    same = (
        f" Its licence, {plain(saved.license)}, is that of the weights it was tuned from."
        if saved.license
        else ""
    )
    return f"{about}, {size}, fine-tuned from {code(saved.base.name)}.{same}"


def _load(saved: Saved, reference: str, timm: bool) -> str:
    lines = [
        "import zoo_core as zoo  # pip install zoo-core",
        "",
        f"model = zoo.create({readable_name(json.dumps(reference, ensure_ascii=False))})",
        'zoo.predict(model, "picture.jpg")',
    ]
    if saved.distribution != "zoo-core":
        lines[0] = f"import zoo_core as zoo  # pip install {readable_name(saved.distribution)}"
    use = "## Use\n\n```python\n" + "\n".join(lines) + "\n```"
    scheme, _, repository = reference.partition("://")
    if timm and saved.format == "whole" and scheme == "hf":
        use += f'\n\nIn timm: `timm.create_model("hf-hub:{repository}", pretrained=True)`.'
    if saved.format == "delta" and saved.base is not None:
        use += (
            f"\n\nThis repository holds only what differs from {code(saved.base.name)}. "
            "zoo fetches those weights too, and checks that they are the same."
        )
    return use


def _stages(saved: Saved, stages: Sequence[tuple[str, int, bool]]) -> str:
    head = "| stage | parameters |" + (" |\n|---|--:|---|\n" if saved.base else "\n|---|--:|\n")
    rows = [
        f"| {plain(name)} | {count:,} |"
        + (f" {'changed' if moved else 'as it was'} |" if saved.base else "")
        for name, count, moved in stages
    ]
    return "## Stages\n\n" + head + "\n".join(rows)


def _results(recipe: Mapping[str, Any]) -> str:
    result = recipe.get("result", {})
    if "val_accuracy" not in result:
        return ""
    data = recipe.get("data", {})
    answers = " of the answers" if recipe.get("model", {}).get("multilabel") else ""
    scores = (
        f"{result['val_accuracy']:.2%}{answers} right and a log-loss of {result['val_loss']:.4f}"
    )
    return (
        f"## Results\n\n{scores} on {plain(data.get('val_count'))} pictures that were kept "
        "for validation, and that chose the epoch."
    )


def _training(recipe: Mapping[str, Any]) -> str:
    train, data = recipe.get("train", {}), recipe.get("data", {})
    facts = {
        "data": f"{data.get('name') or data.get('spec')} ({data.get('count')} pictures)",
        "regularizers": ", ".join(train.get("regularizers") or []) or "none",
        **{key: value for key, value in train.items() if key != "regularizers"},
        "best epoch": recipe.get("result", {}).get("epoch"),
        "versions": ", ".join(f"{k} {v}" for k, v in recipe.get("versions", {}).items()),
    }
    rows = [
        f"| {plain(key)} | {plain(value)} |" for key, value in facts.items() if value is not None
    ]
    return (
        "## Training\n\n| | |\n|---|---|\n" + "\n".join(rows) + "\n\n`recipe.toml` has all of it."
    )


def _files(saved: Saved) -> str:
    base = (
        f" Base: {code(saved.base.name)}, sha256 {code(saved.base.sha256)}." if saved.base else ""
    )
    return f"## Files\n\n{code(saved.file)}, sha256 {code(saved.sha256)}.{base}"
