"""Registry, local folder and download; the server is a small one on loopback."""

import hashlib
import http.server
import threading
import urllib.parse

import pandas as pd
import pytest

from stemlib import datasets
from stemlib.datasets import registry, subsets

PATHS = [
    "fecral-loops/images/BF X500K, 05 (3).jpg",
    "fecral-loops/testimages.txt",
    "316l-loops/samples/marat.png",
]


# Nothing listens at the discard port.
NO_SERVER = "http://127.0.0.1:9"


@pytest.fixture
def small_registry(monkeypatch, tmp_path):
    """A registry of three files of a few bytes, an empty cache, and no local folder."""
    monkeypatch.delenv("STEMLIB_DATA", raising=False)
    monkeypatch.delenv("STEMLIB_OFFLINE", raising=False)
    monkeypatch.setenv("STEMLIB_CACHE", str(tmp_path / "cache"))
    table = registry.table().loc[PATHS].copy()
    contents = {path: f"content of {path}".encode() for path in PATHS}
    table["bytes"] = [len(contents[path]) for path in PATHS]
    table["sha256"] = [hashlib.sha256(contents[path]).hexdigest() for path in PATHS]
    monkeypatch.setattr(registry, "table", lambda: table)
    return contents


@pytest.fixture
def server(small_registry, monkeypatch):
    """A server that has every file of the small registry; `answers` may be changed, `asked` records."""
    answers = {
        urllib.parse.urlsplit(registry.public_address(path)).path: content
        for path, content in small_registry.items()
    }
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            content = answers.get(self.path)
            if content is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments):
            pass

    instance = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=instance.serve_forever, args=(0.02,), daemon=True).start()
    instance.answers, instance.asked = answers, asked
    monkeypatch.setenv("STEMLIB_BASE_URL", f"http://127.0.0.1:{instance.server_port}")
    yield instance
    instance.shutdown()
    instance.server_close()


def files_under(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def test_registry_is_complete_and_well_formed():
    table = datasets.load_registry()
    assert list(table.columns[:8]) == [
        "path",
        "bytes",
        "sha256",
        "repository",
        "commit",
        "source_path",
        "licence",
        "kind",
    ]
    assert table.index.is_unique
    assert table["sha256"].str.fullmatch("[0-9a-f]{64}").all()
    assert table["commit"].str.fullmatch("[0-9a-f]{40}").all()
    assert table["repository"].str.fullmatch(r"[\w.-]+/[\w.-]+").all()
    assert (table["bytes"] > 0).all()
    loops = table[table["path"].str.startswith("fecral-loops/")]
    assert loops["kind"].value_counts()[["image", "boxes-a", "ellipses-c", "cascade"]].to_list() == [
        295,
        295,
        9,
        3,
    ]


def test_registry_agrees_with_the_local_folder_file_by_file(real_data):
    if not (real_data / "SOURCES.csv").is_file():
        pytest.skip("needs the SOURCES.csv that the development data come with")
    table = pd.read_csv(real_data / "SOURCES.csv", keep_default_na=False).set_index("path")
    ours = datasets.load_registry()
    assert set(table.index) == set(ours.index)
    columns = ["bytes", "sha256", "repository", "commit", "source_path", "licence"]
    pd.testing.assert_frame_equal(ours.loc[table.index, columns], table[columns], check_names=False)
    for path in datasets.available("316l"):
        assert datasets.fetch(path).stat().st_size == ours.loc[path, "bytes"]


def test_address_is_percent_encoded_and_decodes_to_the_source(monkeypatch):
    monkeypatch.setenv("STEMLIB_BASE_URL", "http://host/")
    for path in datasets.load_registry()["path"]:
        address = registry.public_address(path)
        assert not set(address) & set(" ,()[]'\"")
        row = datasets.load_registry().loc[path]
        decoded = urllib.parse.unquote(urllib.parse.urlsplit(address).path)
        assert decoded == f"/{row['repository']}/{row['commit']}/{row['source_path']}"


def test_download_once_then_from_the_cache(server, small_registry):
    file = datasets.fetch(PATHS[0])
    assert file.read_bytes() == small_registry[PATHS[0]]
    assert datasets.fetch(PATHS[0]) == file
    assert len(server.asked) == 1
    assert "%2C%20" in server.asked[0]


def test_local_folder_wins_over_cache_and_server(server, small_registry, monkeypatch, tmp_path):
    datasets.fetch(PATHS[0])
    local = tmp_path / "data" / PATHS[0]
    local.parent.mkdir(parents=True)
    local.write_bytes(small_registry[PATHS[0]])
    monkeypatch.setenv("STEMLIB_DATA", str(tmp_path / "data"))
    assert datasets.fetch(PATHS[0]) == local
    # What the folder lacks still comes from elsewhere.
    assert datasets.fetch(PATHS[1]).is_relative_to(tmp_path / "cache")


def test_local_file_with_another_content_is_refused_by_name(small_registry, monkeypatch, tmp_path):
    local = tmp_path / PATHS[0]
    local.parent.mkdir(parents=True)
    local.write_bytes(small_registry[PATHS[0]])
    monkeypatch.setenv("STEMLIB_DATA", str(tmp_path))
    datasets.fetch(PATHS[0])
    # Changed after it was checked once: the cache of checksums must not hide it.
    local.write_bytes(b"X" + small_registry[PATHS[0]][1:])
    with pytest.raises(ValueError, match=r"BF X500K, 05 \(3\)\.jpg does not match its checksum"):
        datasets.fetch(PATHS[0])


def test_corrupted_download_is_refused_and_leaves_nothing(server, tmp_path):
    for address in server.answers:
        server.answers[address] = b"corrupted"
    with pytest.raises(ValueError, match=r"testimages\.txt.*does not match the registered checksum"):
        datasets.fetch(PATHS[1])
    assert files_under(tmp_path) == []


def test_interrupted_download_leaves_nothing(server, small_registry, tmp_path, monkeypatch):
    def cut(self):
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"half")

    monkeypatch.setattr(server.RequestHandlerClass, "do_GET", cut)
    with pytest.raises(FileNotFoundError, match="STEMLIB_DATA"):
        datasets.fetch(PATHS[1])
    assert files_under(tmp_path) == []


def test_file_that_the_server_lacks_names_file_and_remedy(server, tmp_path):
    server.answers.clear()
    with pytest.raises(FileNotFoundError, match=r"testimages\.txt .*404.*set STEMLIB_DATA"):
        datasets.fetch(PATHS[1])
    assert files_under(tmp_path) == []


def test_no_server_names_file_and_remedy(small_registry, monkeypatch):
    monkeypatch.setenv("STEMLIB_BASE_URL", NO_SERVER)
    with pytest.raises(FileNotFoundError, match=r"testimages\.txt .*no server answered.*set STEMLIB_DATA"):
        datasets.fetch(PATHS[1], timeout_s=2)


def test_offline_never_asks(server, monkeypatch):
    monkeypatch.setenv("STEMLIB_OFFLINE", "1")
    with pytest.raises(FileNotFoundError, match="STEMLIB_OFFLINE is set"):
        datasets.fetch(PATHS[1])
    assert datasets.fetch_all("fecral-loops", timeout_s=2) == 0
    assert server.asked == []


def test_real_data_that_does_not_exist_is_an_error(small_registry, monkeypatch, tmp_path):
    monkeypatch.setenv("STEMLIB_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match="STEMLIB_DATA='.*nowhere' is not a folder"):
        datasets.fetch(PATHS[1])


def test_unknown_path_suggests_the_nearest():
    with pytest.raises(ValueError, match=r"did you mean 'fecral-loops/testimages\.txt'"):
        datasets.fetch("fecral-loops/testimage.txt")


def test_converted_file_is_not_downloaded(monkeypatch, tmp_path):
    monkeypatch.delenv("STEMLIB_DATA", raising=False)
    monkeypatch.setenv("STEMLIB_CACHE", str(tmp_path))
    monkeypatch.setenv("STEMLIB_BASE_URL", NO_SERVER)
    table = datasets.load_registry()
    path = table.index[table["converted"]][0]
    with pytest.raises(FileNotFoundError, match="was converted from its source"):
        datasets.fetch(path)


def test_fetch_all_counts_what_is_there_and_reports_progress(server):
    server.answers.pop(next(address for address in server.answers if "testimages" in address))
    reports = []
    count = datasets.fetch_all("fecral-loops", timeout_s=2, progress=lambda *report: reports.append(report))
    assert count == 1
    assert reports == [(1, 2), (2, 2)]
    assert datasets.available("fecral-loops") == [PATHS[0]]


def test_fetch_all_gives_up_at_once_without_a_server(small_registry, monkeypatch):
    monkeypatch.setenv("STEMLIB_BASE_URL", NO_SERVER)
    tried = []
    true_download = registry.download
    monkeypatch.setattr(
        registry, "download", lambda row, *rest: tried.append(row["path"]) or true_download(row, *rest)
    )
    assert datasets.fetch_all("fecral-loops", timeout_s=0.5) == 0
    assert len(tried) == 1


def test_fetch_all_with_a_silent_server_takes_no_longer_than_its_timeout(server, monkeypatch):
    silence = threading.Event()
    monkeypatch.setattr(server.RequestHandlerClass, "do_GET", lambda self: silence.wait(10))
    assert datasets.fetch_all("fecral-loops", timeout_s=0.3) == 0
    assert len(server.asked) == 0
    silence.set()


def test_subsets_hold_images_and_their_labels():
    paths = subsets.paths_of("six")
    assert sum("/images/" in path for path in paths) == 6
    assert sum("/boxes_a/" in path for path in paths) == 6
    assert len(subsets.paths_of("wse2-cr")) == 3
    with pytest.raises(ValueError, match="subset='seven' is unknown"):
        subsets.paths_of("seven")
