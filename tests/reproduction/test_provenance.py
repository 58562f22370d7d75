import hashlib

import pytest

from reproduction.loading import load_cases
from reproduction.provenance import (
    credit,
    data_checksums,
    file_checksum,
    weight_checksums,
    weight_files,
)
from stemlib.datasets import load_registry


def test_weights_are_taken_from_the_folder_asked_for(tmp_path):
    for name in ("loop_cascade.xml", "loop_screening.safetensors"):
        (tmp_path / name).write_bytes(name.encode())
    files = weight_files(tmp_path, methods=["cascade"])
    assert sorted(files) == ["cascade", "screening"]
    assert weight_checksums(files)["loop_cascade.xml"] == hashlib.sha256(b"loop_cascade.xml").hexdigest()


def test_a_missing_weight_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="loop_fcn.safetensors is not in"):
        weight_files(tmp_path, methods=["fcn"])


def test_every_file_read_has_its_checksum(real_data):
    checksums = data_checksums(load_cases("loops", "six"), ["fecral-loops/testimages.txt"])
    registry = load_registry()
    assert len([path for path in checksums if path.endswith(".jpg")]) == 6
    assert any("boxes_a" in path for path in checksums)
    assert "fecral-loops/testimages.txt" in checksums
    assert all(registry.loc[path, "sha256"] == value for path, value in checksums.items())


def test_a_file_of_ones_own_has_its_checksum_and_a_folder_none(tmp_path):
    (tmp_path / "mine.dm4").write_bytes(b"image")
    assert file_checksum(tmp_path / "mine.dm4") == {"mine.dm4": hashlib.sha256(b"image").hexdigest()}
    assert file_checksum(tmp_path) == {}


def test_credit_names_the_images_that_are_shown_only():
    assert credit("atomic", ["nsmo-perfect"]).endswith("(GPL-3.0)")
    assert credit("atomic", ["wse2-cr"]).endswith("(MIT)")
    assert credit("atomic", []) == ""
    assert credit("atomic").count("(") > 1
    assert credit("synthetic", []) == "Simulated by stemlib.synthetic"
