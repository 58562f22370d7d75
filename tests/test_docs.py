"""The pages of docs/: their notebooks run, nothing is missing, and every link inside them leads somewhere."""

import html
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGES = ("index", "many-images", "command", "hyperspy", "reading", "validation")


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Every page by its name, built as `make docs` does."""
    pytest.importorskip("myst_nb", reason="needs myst-nb, of stemlib[dev]")
    folder = tmp_path_factory.mktemp("pages")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", DOCS, folder]
    built = subprocess.run(command, capture_output=True, text=True, timeout=1200)
    assert built.returncode == 0, built.stderr
    return {path.stem: path for path in folder.glob("*.html")}


def text_of(path):
    article = re.search(r"<article.*</article>", path.read_text(encoding="utf-8"), re.DOTALL).group()
    return html.unescape(re.sub(r"<[^>]+>", "", article))


def test_what_notebooks_show_is_what_the_pages_say(pages):
    assert set(PAGES) <= set(pages)
    many, command, hyperspy = (text_of(pages[name]) for name in PAGES[1:4])
    assert "image file is truncated" in many
    assert "output='results' holds results of other settings (pixel_size_nm=0.5, not 0.48)" in many
    assert "#SBATCH --cpus-per-task=8" in many
    assert "Traceback" not in many + command + hyperspy
    assert "picture, table and numbers in results/haadf.npy" in command
    assert "exit code 1" in command
    assert "command not found" not in command
    assert "3 images, 3 rows in all/lattice.csv" in command
    assert "stemlib_loops = <stemlib_loops (Ellipses)" in hyperspy
    # The last line of two cells: the same table from a cluster, and from a file.
    assert "True" in many and "True" in hyperspy


def test_every_link_inside_the_pages_leads_somewhere(pages):
    ids = {name: set(re.findall(r'id="([^"]+)"', path.read_text())) for name, path in pages.items()}
    broken, seen = [], 0
    for name, path in pages.items():
        for link in re.findall(r'(?:href|src)="([^"]+)"', path.read_text(encoding="utf-8")):
            parts = urlsplit(html.unescape(link))
            if parts.scheme or parts.netloc or link in ("#", ""):
                continue
            seen += 1
            target = path.parent / unquote(parts.path) if parts.path else path
            known = ids.get(target.stem, set()) if target.suffix == ".html" else set()
            if not target.exists() or (
                parts.fragment and target.suffix == ".html" and parts.fragment not in known
            ):
                broken.append(f"{name}: {link}")
    assert seen > 50
    assert broken == []


def test_pages_load_nothing_from_elsewhere(pages):
    for name in PAGES:
        text = pages[name].read_text(encoding="utf-8")
        loaded = re.findall(r'<(?:script|img|iframe)[^>]*src="([^"]+)"', text)
        loaded += re.findall(r'<link[^>]*rel="stylesheet"[^>]*href="([^"]+)"', text)
        assert [one for one in loaded if urlsplit(one).scheme or urlsplit(one).netloc] == [], name
