"""The page of all models, used as a person would, in a browser."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.browser import Looking
from support.hostile import HOSTILE
from support.in_process import run

import zoo_core as zoo
from zoo_core.browsing.browse import browse
from zoo_core.plugins.catalogue import Catalogue, using_catalogue
from zoo_core.plugins.entry_points import load_plugins
from zoo_core.plugins.manager import Plugin


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return browse(tmp_path_factory.mktemp("browse") / "models.html")


def shown(page: Any) -> list[str]:
    """The names in the rows, in their order."""
    return page.eval_on_selector_all("button.name", "all => all.map(one => one.textContent)")


def until(page: Any, holds: Callable[[], bool]) -> None:
    """Wait for what a page does by and by, for two seconds at most."""
    for _ in range(40):
        if holds():
            return
        page.wait_for_timeout(50)
    raise AssertionError("it does not come")


def counted(page: Any) -> int:
    return int(page.inner_text("#count").split()[0].replace(",", ""))


def column(page: Any, number: int) -> list[str]:
    cells = f"#rows tr:not(.details) > :nth-child({number})"
    return page.eval_on_selector_all(cells, "all => all.map(one => one.firstChild.textContent)")


# --- what is in it -------------------------------------------------------------------------------


def test_every_trained_set_is_there(whole: Path, look: Looking) -> None:
    assert whole.stat().st_size < 1_500_000
    page = look(whole)
    models = [zoo.info(name) for name in [*zoo.list_models(), *zoo.list_models("timm")]]
    assert counted(page) == sum(max(len(model.weights), 1) for model in models)
    assert len(shown(page)) == 50
    page.click("#more")
    assert len(shown(page)) == 450
    paint = "performance.getEntriesByType('paint')[0].startTime"
    assert page.evaluate(paint) < 1_000


def test_accuracy_against_cost(whole: Path, look: Looking) -> None:
    page = look(whole)
    assert page.locator("#plot circle.front").count() > 10
    label = page.get_attribute("#plot svg", "aria-label")
    page.check("#front")
    front = counted(page)
    assert f"{front} are on the Pareto front" in label
    assert len(shown(page)) == front == page.locator("span.best").count()
    cost = [float(text[:-1]) * {"M": 1, "G": 1e3, "T": 1e6}[text[-1]] for text in column(page, 3)]
    assert cost == sorted(cost, reverse=True)  # the more accurate, the dearer: by top-1 it is so
    page.select_option("#by", "speed-rtx4090")
    assert "pictures/s, rtx4090" in page.inner_text("#pointed")
    assert page.locator("#plot circle.front").count() == counted(page)


def test_what_is_not_drawn_is_counted(whole: Path, look: Looking) -> None:
    page = look(whole)
    page.fill("#name", "resnet50.")
    assert page.inner_text("#undrawn") == ""
    page.select_option("#by", "speed-rtx4090")  # official weights have theirs
    fits, drawn = counted(page), page.get_attribute("#plot svg", "aria-label").split()[0]
    lacking = fits - int(drawn)
    said = f"Rows that fit and are not drawn: {lacking} for want of top-1 or pictures/s, rtx4090."
    assert page.inner_text("#undrawn") == (said if lacking else "")
    page.fill("#name", "alexnet")
    assert "not drawn: 1 for want of top-1 or pictures/s" in page.inner_text("#undrawn")
    page.fill("#name", "lenet5")
    page.select_option("#by", "gmacs")
    assert page.inner_text("#undrawn").endswith("not drawn: 2 measured on other data.")


def test_large_numbers_are_short(whole: Path, look: Looking) -> None:
    page = look(whole)
    page.click("[data-key=gmacs]")
    page.click("[data-key=gmacs]")
    page.fill("#gmacs", "2T")
    most = column(page, 3)[0]
    assert most.endswith("T") and 1 <= float(most[:-1]) <= 2


def test_a_dot_leads_to_its_row(whole: Path, look: Looking) -> None:
    page = look(whole, viewport={"width": 1280, "height": 900})
    box = page.locator("circle.front").last.bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(*middle)
    told = page.inner_text("#pointed").split(":")[0]
    assert told.startswith("timm/")
    page.mouse.click(*middle)
    assert page.get_attribute("button[aria-expanded=true]", "data-place")
    assert page.inner_text("button[aria-expanded=true]") == told


# --- filters -------------------------------------------------------------------------------------


def test_filters(whole: Path, look: Looking) -> None:
    page = look(whole)
    page.locator("#name").press_sequentially("Tiny conv")
    names = shown(page)
    assert "timm/convnext_tiny.in12k_ft_in1k" in names
    assert all("conv" in name and "tiny" in name for name in names)
    before = counted(page)
    page.fill("#params", "10M")
    assert 0 < counted(page) < before
    page.click("#reset")
    page.select_option("#licence", "apache-2.0")
    assert set(column(page, 8)) == {"apache-2.0"}
    page.fill("#top1", "85")
    assert min(float(text) for text in column(page, 4)) >= 85
    assert "more lack a figure to tell" in page.inner_text("#count")
    page.select_option("#input", "224")
    assert all(int(text.rpartition("x")[2]) <= 224 for text in column(page, 5))
    page.fill("#gmacs", "5G")
    assert counted(page) < 20
    page.click("#reset")
    page.select_option("#from", "official")
    assert not any(name.startswith("timm/") for name in shown(page))
    page.check("#installed")
    assert "lenet5.mnist5k" in shown(page)
    page.check("#default")
    assert "lenet5.fashion_mnist" not in shown(page)


def test_a_number_that_is_none_is_said(whole: Path, look: Looking) -> None:
    page = look(whole)
    every = counted(page)
    page.fill("#params", "30X")
    assert page.inner_text("#fault") == '"30X" is no number above 0: write 80, 30M or 4.5G.'
    assert page.get_attribute("#params", "aria-invalid") == "true"
    assert counted(page) == every
    page.fill("#params", "30m")
    assert page.inner_text("#fault") == ""
    assert page.get_attribute("#params", "aria-invalid") is None


def test_nothing_fits(whole: Path, look: Looking) -> None:
    page = look(whole)
    page.fill("#name", "no such thing")
    assert (counted(page), shown(page)) == (0, [])
    assert "None of these has both figures." in page.inner_text("#plot")


def test_sorting_by_keyboard(whole: Path, look: Looking) -> None:
    page = look(whole)
    page.fill("#name", "resnet")
    page.focus("[data-key=params]")
    page.keyboard.press("Enter")
    heading = page.locator("th", has=page.locator("[data-key=params]"))
    assert heading.get_attribute("aria-sort") == "ascending"
    numbers = [float(text.rstrip("kMG")) for text in column(page, 2) if text.endswith("M")]
    assert numbers == sorted(numbers) and len(numbers) > 40
    page.keyboard.press("Enter")
    assert heading.get_attribute("aria-sort") == "descending"
    assert page.evaluate("document.activeElement.dataset.key") == "params"


# --- a row, and its commands ---------------------------------------------------------------------


def test_the_command_to_copy(whole: Path, look: Looking) -> None:
    page = look(whole, permissions=["clipboard-read", "clipboard-write"])
    page.fill("#name", "timm/convnext_tiny.in12k_ft_in1k")
    name = page.get_by_role("button", name="timm/convnext_tiny.in12k_ft_in1k", exact=True)
    name.focus()
    page.keyboard.press("Enter")
    assert name.get_attribute("aria-expanded") == "true"
    details = page.inner_text(".details")
    for told in ("imagenet-real.top1", "28,589,128", "timm's tables of results", "2025-10-30"):
        assert told in details
    wanted = "zoo finetune timm/convnext_tiny.in12k_ft_in1k --data folder:PICTURES"
    page.get_by_role("button", name=f"Copy: {wanted}").click()
    until(page, lambda: page.text_content("#said") == f"Copied: {wanted}")
    assert page.evaluate("navigator.clipboard.readText()") == wanted
    name.press("Enter")
    assert page.locator(".details").count() == 0
    assert page.evaluate("document.activeElement.textContent") == name.inner_text()


def test_what_it_says_to_type_works(whole: Path, look: Looking) -> None:
    page = look(whole)
    page.fill("#name", "lenet5.fashion")
    page.click("button.name")
    commands = page.eval_on_selector_all("code", "all => all.map(one => one.textContent)")
    shell = [command for command in commands if command.startswith("zoo ")]
    assert len(shell) == 3
    assert run(*shell[0].split()[1:]).returncode == 0  # zoo show
    namespace: dict[str, Any] = {"zoo": zoo}
    exec(commands[-1], namespace)
    assert namespace["model"].info.num_classes == 10


# --- the address ---------------------------------------------------------------------------------


def test_a_view_can_be_sent(whole: Path, look: Looking) -> None:
    page = look(whole)
    page.fill("#name", "vit")
    page.fill("#params", "30M")
    page.select_option("#licence", "mit")
    page.click("[data-key=gmacs]")
    page.select_option("#by", "params")
    page.locator("button.name").nth(3).click()
    address, names = page.url, shown(page)
    assert "name=vit" in address and "params=30M" in address

    again = look(whole)
    again.goto(address)
    again.reload()
    assert shown(again) == names
    assert again.input_value("#licence") == "mit"
    assert again.input_value("#by") == "params"
    opened = again.inner_text("button[aria-expanded=true]")
    assert opened == names[3]
    again.click("#reset")
    again.goto(address)  # by its part after # alone
    until(again, lambda: again.input_value("#name") == "vit")
    assert shown(again) == names


def test_an_address_that_says_nonsense(whole: Path, look: Looking) -> None:
    page = look(whole)
    page.goto(f"{whole.as_uri()}#sort=__proto__&by=constructor&open=<b>&params=%E0%A4&licence=none")
    page.reload()
    assert counted(page) > 2_000
    told = page.inner_text("#fault")
    assert (
        'is no number above 0: write 80, 30M or 4.5G. "none" is the licence of no weights' in told
    )
    page.click("#reset")
    assert (counted(page) > 2_000, page.inner_text("#fault")) == (True, "")


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ("from=nobody", '"nobody" is the origin of no model here.'),
        ("input=250", '"250" is the side of no pictures that these models take.'),
        ("licence=wtf", '"wtf" is the licence of no weights here.'),
        ("top1=101", '"101" is no percentage above 0 and up to 100: write 80 or 78.5%.'),
    ],
)
def test_an_address_asks_for_nothing_that_cannot_be_seen(
    whole: Path, look: Looking, said: str, fault: str
) -> None:
    page = look(whole)
    every, field = counted(page), f"#{said.partition('=')[0]}"
    page.goto(f"{whole.as_uri()}#{said}")
    until(page, lambda: page.inner_text("#fault") == fault)
    assert counted(page) == every
    assert page.get_attribute(field, "aria-invalid") == "true"
    page.fill("#name", "resnet50")  # the first touch of a field leaves what the fields show
    assert (page.inner_text("#fault") == "") == (field != "#top1")


def test_a_licence_is_compared_without_case(whole: Path, look: Looking) -> None:
    page = look(whole)
    page.goto(f"{whole.as_uri()}#licence=MIT&top1=80%25")
    until(page, lambda: page.input_value("#licence") == "mit")
    assert page.inner_text("#fault") == ""
    assert set(column(page, 8)) == {"mit"}
    assert min(float(text) for text in column(page, 4)) >= 80


# --- anybody, anywhere ---------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_readable_by_anybody(
    whole: Path, look: Looking, findings: Any, scheme: str, width: int
) -> None:
    page = look(whole, color_scheme=scheme, viewport={"width": width, "height": 900})
    page.locator("button.name").nth(1).click()
    page.fill("#params", "x")
    assert findings(page) == []
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= width  # the table scrolls in itself


def test_it_is_quick_in_three_thousand_rows(whole: Path, look: Looking, tmp_path: Path) -> None:
    """The benchmark says how quick; here, that it is no matter of waiting, on a busy machine."""
    page = look(many(whole, tmp_path / "many.html", 3_000))
    assert counted(page) == 3_000
    took = page.evaluate(TYPING, list("convnext"))
    assert min(took) < 100


TYPING = """letters => letters.map((_, n) => {
  const field = document.getElementById("name");
  field.value = letters.slice(0, n + 1).join("");
  const start = performance.now();
  field.dispatchEvent(new Event("input", { bubbles: true }));
  document.body.getBoundingClientRect();
  return performance.now() - start;
})"""


def many(page: Path, to: Path, rows: int) -> Path:
    """The same page with so many rows."""
    text = page.read_text(encoding="utf-8")
    found = re.search(r'<script id="models" type="application/json">(.*?)</script>', text)
    assert found is not None
    data = json.loads(found[1])
    data["rows"] = (data["rows"] * 3)[:rows]
    to.write_text(text.replace(found[1], json.dumps(data)), encoding="utf-8")
    return to


# --- strangers' names ----------------------------------------------------------------------------

EVIL = HOSTILE + "</script><script>document.title = 'owned'</script><img src=x onerror=alert(1)>"

FACTS = """
schema = 1
measured = {evil}
[models."evil"]
architecture = "lenet"
params = 5
summary = {evil}
paper = "javascript:alert(1)"
[models."evil".weights.a]
default = true
source = "file:/nowhere.safetensors"
license = {evil}
metrics = {{ {evil_top1} = 99.5, "imagenet-1k.top5" = 1.0 }}
speed = {{ {evil} = 1 }}
[models."evil".weights.long]
source = "file:/nowhere.safetensors"
license = "{long}"
metrics = {{ "imagenet-1k.top1" = 12.5 }}
gmacs = 1
"""


@pytest.fixture
def strangers(tmp_path: Path) -> Iterator[None]:
    manifest = tmp_path / "evil.toml"
    texts = {"evil": json.dumps(EVIL), "evil_top1": json.dumps(f"{EVIL}.top1")}
    manifest.write_text(FACTS.format(**texts, long="x" * 10_000), encoding="utf-8")
    plugins = load_plugins(only=())
    hooks = SimpleNamespace(zoo_manifests=zoo.hookimpl(lambda: [manifest]))
    plugins.register(hooks, Plugin("zoo_evil", EVIL, "1.0"))
    with using_catalogue(Catalogue(plugins)):
        yield


@pytest.mark.usefixtures("strangers")
def test_strangers_names_are_text(tmp_path: Path, look: Looking, findings: Any) -> None:
    page = look(browse(tmp_path / "models.html"))
    page.fill("#name", "evil")
    assert len(shown(page)) == 2
    page.locator("button.name").nth(1).click()
    page.locator("button.name").nth(0).click()
    assert page.title() == "Models of the zoo"
    assert page.locator("img").count() == 0 and page.locator("a").count() == 0
    assert page.locator("script").count() == 2
    marks = page.locator("span.third")
    assert marks.count() == 2
    assert marks.first.inner_text().startswith("third party: x\\x1b]0;owned")
    assert "\u202e" not in page.content()
    options = page.locator("#from option").evaluate_all("all => all.map(one => one.value)")
    (theirs,) = [value for value in options if value.startswith("x\\x1b]0;owned")]
    page.select_option("#from", theirs)
    assert len(shown(page)) == 2
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280
    assert findings(page) == []


def test_a_script_of_others_would_not_run(whole: Path, look: Looking, tmp_path: Path) -> None:
    """Even if something got in: the page names the one script that may run."""
    edited = tmp_path / "edited.html"
    text = whole.read_text(encoding="utf-8")
    edited.write_text(text.replace("<main>", "<main><script>document.title = 'owned'</script>"))
    looking = look(edited)
    assert looking.title() == "Models of the zoo"
    look.said.clear()  # the browser says that it refused


# --- the file ------------------------------------------------------------------------------------


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(2):  # its own page is replaced
        done = run("browse", "lenet")
        assert (done.returncode, done.stderr) == (0, "")
        assert re.fullmatch(r"zoo-models\.html \(\d+ kB\): open it in a browser\.\n", done.stdout)
    assert [path.name for path in tmp_path.iterdir()] == ["zoo-models.html"]


@pytest.mark.parametrize(
    ("out", "code", "said"),
    [
        ("mine.txt", 1, "mine.txt is there, and is no page of zoo.\nWrite to another:"),
        ("folder", 2, "folder is a folder."),
        ("none/a.html", 2, "there is no folder none to write into."),
        ("x" * 300 + ".html", 1, "File name too long"),
    ],
)  # fmt: skip
def test_places_that_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str, code: int, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.txt").write_text("mine")
    Path("folder").mkdir()
    done = run("browse", "lenet", "--out", out)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    assert Path("mine.txt").read_text() == "mine"


def test_weights_by_name(tmp_path: Path) -> None:
    page = browse(tmp_path / "models.html", "lenet5.mnist5k").read_text()
    assert "lenet5.mnist5k" in page and "lenet5.fashion_mnist" not in page


def test_no_models(tmp_path: Path) -> None:
    with pytest.raises(zoo.UnknownName, match=r'No model matches "resnet51"\. Closest: "resnet50"'):
        browse(tmp_path / "models.html", "resnet51")
    assert not (tmp_path / "models.html").exists()
    for place in (tmp_path, tmp_path / "none" / "a.html"):
        with pytest.raises(zoo.ZooError, match="folder"):
            browse(place)
