import json
import subprocess

import pytest

from reproduction import comparison as results

CONTENT = {
    "name": "loop-detection-six",
    "results": [
        {"name": "recall", "value": 0.871234, "unit": "", "low": 0.82, "high": 0.91, "published": 0.8512},
        {"name": "mean diameter", "value": 31.25, "unit": "nm"},
        {"name": "recall, image 3", "value": None, "unit": ""},
    ],
}


def test_each_result_stands_beside_what_was_published_and_committed():
    rows = results.rows(CONTENT, {"recall": 0.871234, "mean diameter": 30.0})
    assert rows == [
        ("recall", "0.8712 (0.82 to 0.91)", "0.8512", "0.8712", "none"),
        ("mean diameter", "31.25 nm", "", "30 nm", "+1.25"),
        ("recall, image 3", "not available", "", "", ""),
    ]


def test_the_last_digits_of_a_float_are_no_drift():
    content = {"results": [{"name": "recall", "value": 0.1 + 0.2, "unit": ""}]}
    assert results.rows(content, {"recall": 0.3})[0][-1] == "none"
    assert results.rows(content, {"recall": 0.3001})[0][-1] == "-0.0001"


def test_columns_line_up_under_the_header():
    lines = results.format_table([("six", results.rows(CONTENT, {}))]).splitlines()
    assert lines[2] == "six"
    assert lines[0].index("published") == lines[3].index("0.8512")


@pytest.fixture
def repository(tmp_path, monkeypatch):
    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True)

    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "loop-detection-six.json").write_text(json.dumps(CONTENT))
    git("init", "-q")
    git("add", "figures")
    git("commit", "-q", "-m", "figures")
    monkeypatch.setattr(results, "repository_root", lambda: tmp_path)
    return tmp_path


def test_committed_numbers_are_those_of_the_commit_not_of_the_folder(repository):
    (repository / "figures" / "loop-detection-six.json").write_text("{}")
    assert results.committed_results("loop-detection-six")["mean diameter"] == 31.25


def test_a_new_figure_has_no_committed_numbers(repository):
    assert results.committed_results("loop-sizes-c-nine") == {}
