from pathlib import Path

import pytest

from stemlib.many.store import Store, described, publish


def names(folder):
    return sorted(path.name for path in folder.rglob("*"))


def test_a_disk_that_is_full_leaves_the_old_files_or_none(tmp_path, monkeypatch):
    write = Path.write_bytes

    def full(path, content):
        if path.name == "b.json":
            raise OSError(28, "No space left on device")
        return write(path, content)

    place = tmp_path / "images" / "one"
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        publish(place, {"a.csv": b"1", "b.json": b"1"})
    assert names(tmp_path / "images") == []
    monkeypatch.undo()
    publish(place, {"a.csv": b"1", "b.json": b"1", "c.png": b"1"})
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        publish(place, {"a.csv": b"2", "b.json": b"2"})
    assert {path.name: path.read_bytes() for path in place.iterdir()} == {
        "a.csv": b"1",
        "b.json": b"1",
        "c.png": b"1",
    }
    monkeypatch.undo()
    publish(place, {"a.csv": b"3", "b.json": b"3"})
    assert {path.name: path.read_bytes() for path in place.iterdir()} == {"a.csv": b"3", "b.json": b"3"}
    assert names(tmp_path / "images") == ["a.csv", "b.json", "one"]


def test_what_a_killed_run_left_half_written_goes_with_the_next(tmp_path):
    left = tmp_path / "out" / "images" / ".unfinished-1"
    with Store(tmp_path / "out", described("loops", {})):
        left.mkdir(parents=True)
        (left / "a.csv").write_bytes(b"1")
    with Store(tmp_path / "out", described("loops", {})):
        assert not left.exists()


def test_settings_are_told_apart_by_what_they_are(tmp_path):
    weights = tmp_path / "mine.safetensors"
    weights.write_bytes(b"one")
    before = described("loops", {"weights": {"fcn": weights}})
    weights.write_bytes(b"two")
    assert described("loops", {"weights": {"fcn": weights}}) != before
    with pytest.raises(TypeError, match="cannot be kept with the results"):
        described("loops", {"threshold": object()})
