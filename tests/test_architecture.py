"""The rules of the house: who may import whom, as the contracts in pyproject.toml say, and the picture of it."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LINT = "from importlinter.cli import lint_imports_command; lint_imports_command()"


def lint(folder):
    return subprocess.run(
        [sys.executable, "-c", LINT, str(ROOT / "pyproject.toml"), "--no-cache"],
        cwd=folder,
        env={"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
    )


def test_every_import_keeps_the_rules_of_the_house():
    linted = lint(ROOT)
    assert linted.returncode == 0, linted.stdout
    assert "0 broken" in linted.stdout


def test_tests_mirror_the_package():
    rooms = {folder.name for folder in (ROOT / "stemlib").iterdir() if (folder / "__init__.py").is_file()}
    mirrored = {folder.name for folder in (ROOT / "tests").iterdir() if list(folder.glob("test_*.py"))}
    assert rooms - mirrored == {"weights"}


def test_the_picture_names_every_room_and_only_files_that_are_there():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rooms = {folder.name for folder in (ROOT / "stemlib").iterdir() if (folder / "__init__.py").is_file()}
    assert all(f"<b>{room}</b>" in text or f"`{room}/`" in text for room in rooms)
    named = set(re.findall(r"`(\w+/\w+\.py)`", text))
    assert len(named) > 20
    assert [path for path in sorted(named) if not (ROOT / "stemlib" / path).is_file()] == []
