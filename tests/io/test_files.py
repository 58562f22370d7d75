import pytest

from stemlib.io.files import write_atomically


@pytest.mark.parametrize(
    "writer",
    ["columns\n", b"columns\n", lambda path: path.write_bytes(b"columns\n")],
    ids=["text", "bytes", "function"],
)
def test_writes_the_content_into_a_new_folder(tmp_path, writer):
    path = write_atomically(tmp_path / "new" / "table.csv", writer)
    assert path.read_bytes() == b"columns\n"
    assert [p.name for p in path.parent.iterdir()] == ["table.csv"]


def test_a_failing_writer_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")

    def fail(temporary):
        temporary.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, fail)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_temporary_file_has_the_suffix_of_the_real_one(tmp_path):
    seen = []
    write_atomically(tmp_path / "figure.png", lambda p: (seen.append(p.suffix), p.write_bytes(b"")))
    assert seen == [".png"]


def test_refuses_what_it_cannot_write(tmp_path):
    with pytest.raises(TypeError, match="int"):
        write_atomically(tmp_path / "a", 3)
    assert not list(tmp_path.iterdir())
