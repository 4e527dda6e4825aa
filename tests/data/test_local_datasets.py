"""A folder for `datasets` leads nowhere else, and what is in it cannot end the process."""

import http.server
import json
import shutil
import subprocess
import sys
import threading

import pytest
from PIL import Image
from support.pictures import colours

import zoo_core as zoo
from zoo_core.data.opening import open_data

datasets = pytest.importorskip("datasets")


@pytest.fixture
def server():
    """An address on this machine, and the requests that came."""
    asked = []

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        do_HEAD = do_GET

        def log_message(self, *args):
            pass

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{running.server_port}", asked
    running.shutdown()
    running.server_close()


def refused(folder, message):
    with pytest.raises(zoo.DataError, match=message):
        open_data(f"hfds/{folder}", progress=False)


def table(cells=None, count=3):
    kinds = datasets.ClassLabel(names=["cat", "dog", "owl"])
    cells = cells or [Image.new("L", (6, 5), i) for i in range(count)]
    rows = {"image": cells, "label": [i % 3 for i in range(len(cells))]}
    return datasets.Dataset.from_dict(
        rows, datasets.Features({"image": datasets.Image(), "label": kinds})
    )


CARD = "configs:\n- config_name: default\n  data_files: {}\n"


@pytest.mark.parametrize("card", ["README.md", ".huggingface.yaml"])
@pytest.mark.parametrize(
    "files",
    [
        "{url}/x.csv",
        "zip://x.csv::{url}/x.zip",
        "[{{split: train, path: [a.csv, '{url}/b.csv']}}]",
        "hf://datasets/a/b/x.parquet",
        "/etc/passwd",
        "../elsewhere/*.csv",
        "'~/x.csv'",
        "x.csv\n  data_dir: {url}",
        "x.csv\n  storage_options: {{a: &a [{url}], b: [*a, *a]}}",
    ],
)
def test_a_card_that_leads_elsewhere_is_refused(tmp_path, server, card, files):
    url, asked = server
    (tmp_path / "x.csv").write_text("image,label\n1.png,0\n")
    text = CARD.format(files.format(url=url))
    (tmp_path / card).write_text(f"---\n{text}---\n" if card == "README.md" else text)
    refused(tmp_path, f'{card} names ".*", which is not in its folder. Nothing is downloaded')
    assert asked == []


def test_a_card_of_files_in_the_folder_is_followed(tmp_path):
    for name, count in (("first", 3), ("second", 6)):
        table(count=count).to_parquet(tmp_path / "data" / f"{name}.parquet")
    files = "\n  - split: train\n    path: data/second.parquet"
    (tmp_path / "README.md").write_text(f"---\n{CARD.format(files)}---\n# See https://a.b/c\n")
    data = open_data(f"hfds/{tmp_path}", progress=False)
    assert len(data) == 6 and data.classes == ("cat", "dog", "owl")


def test_cells_that_name_what_is_elsewhere_are_refused(tmp_path, server):
    from pyarrow import parquet as pq

    url, asked = server
    Image.new("L", (6, 5)).save(tmp_path / "mine.png")
    (tmp_path / "d").mkdir()
    Image.new("L", (6, 5)).save(tmp_path / "d" / "own.png")
    inside = str(tmp_path / "d" / "own.png")
    paths = [f"{url}/1.png", str(tmp_path / "mine.png"), "mine.png", f"{inside}/../../mine.png"]
    cells = [{"bytes": None, "path": path} for path in [*paths, inside]]
    pq.write_table(table(cells).data.table, tmp_path / "d" / "x.parquet")
    data = open_data(f"hfds/{tmp_path}/d", progress=False)
    for index, path in enumerate(paths):
        with pytest.raises(zoo.DataError, match=f'Row {index} of .* names "{path}", which is'):
            data.read(index)
    assert data.read(len(paths)).size == (6, 5)
    own = table([{"bytes": None, "path": f"{url}/1.png"}] * 2)
    for given in (own, own.with_transform(lambda rows: rows)):
        with pytest.raises(zoo.DataError, match="is a URL"):
            open_data(given, progress=False).read(0)
    assert asked == []


@pytest.mark.parametrize("name", ["../other/x.arrow", "/etc/passwd", "a/x.arrow", "..", 3, None])
def test_a_saved_dataset_names_its_own_files(tmp_path, name):
    table().save_to_disk(tmp_path / "d")
    state = json.loads((tmp_path / "d" / "state.json").read_text())
    state["_data_files"] = [{"filename": name}]
    (tmp_path / "d" / "state.json").write_text(json.dumps(state))
    refused(tmp_path / "d", r"state\.json names .*, which is not in its folder")


@pytest.mark.parametrize("part", ["../d", "x::http://127.0.0.1:9/y", "/etc"])
def test_so_do_its_parts(tmp_path, part):
    datasets.DatasetDict(train=table()).save_to_disk(tmp_path / "d")
    (tmp_path / "d" / "dataset_dict.json").write_text(json.dumps({"splits": [part]}))
    refused(tmp_path / "d", r"dataset_dict\.json names .*, which is not in its folder")


def test_a_loading_script_is_not_run(tmp_path):
    folder = tmp_path / "script"
    folder.mkdir()
    (folder / "script.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    refused(folder, "cannot be read as a dataset")
    assert not (tmp_path / "ran").exists()


def test_other_kinds_of_data_are_not_opened(tmp_path):
    (tmp_path / "x.txt").write_text("text\n")
    refused(tmp_path, "holds data of the kind text")


# --- damage --------------------------------------------------------------------------------------

CRASH = """
import sys
from zoo_core.data import open_data
import zoo_core as zoo
try:
    data = open_data(sys.argv[1], progress=False)
    [data.read(i) for i in range(len(data))]
except zoo.DataError as error:
    print(error)
"""


@pytest.mark.parametrize("saved", [True, False])
def test_an_arrow_file_whose_offsets_lie_is_an_error_and_no_crash(tmp_path, saved):
    import pyarrow

    table().save_to_disk(tmp_path / "d")
    [path] = (tmp_path / "d").glob("*.arrow")
    with pyarrow.memory_map(str(path)) as mapped:
        batch = next(iter(pyarrow.ipc.open_stream(mapped)))
        sizes = [len(cell["bytes"].as_py()) for cell in batch.column(0)]
    ends = [sum(sizes[:i]) for i in range(4)]
    offsets, lies = (
        b"".join(n.to_bytes(4, "little") for n in numbers)
        for numbers in (ends, [0, 2**30, 2**31 - 1, ends[-1]])
    )
    content = path.read_bytes()
    assert content.count(offsets) == 1
    path.write_bytes(content.replace(offsets, lies))
    if not saved:
        (tmp_path / "a").mkdir()
        shutil.copy(path, tmp_path / "a" / "x.arrow")
    spec = f"hfds/{tmp_path}/{'d' if saved else 'a'}"
    done = subprocess.run([sys.executable, "-c", CRASH, spec], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert ".arrow is damaged: ArrowInvalid" in done.stdout


def test_rows_that_are_not_there_are_not_asked_for(tmp_path):
    import pyarrow

    table().select([0, 2]).save_to_disk(tmp_path / "d")
    own = table().select([0, 2])
    own._indices = datasets.table.InMemoryTable(
        pyarrow.table({"indices": pyarrow.array([0, 10**9], pyarrow.uint64())})
    )
    with pytest.raises(zoo.DataError, match="is damaged: IndexError"):
        open_data(own, progress=False)


def test_a_folder_of_pictures_is_read_as_before(tmp_path):
    colours(tmp_path / "train", {"a": (0, 0, 0), "b": (9, 9, 9)})
    data = open_data(f"hfds/{tmp_path}", progress=False)
    assert len(data) == 8 and all(data.read(i).size == (40, 30) for i in range(8))
