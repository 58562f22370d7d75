"""The atomic images: their table, and the formats of their labels."""

import hashlib

import numpy as np
import pandas as pd
import pytest

from stemlib import datasets, read
from stemlib.datasets import atomic, registry, subsets

LABELLED = ["wse2-ti/adf1", "wse2-ti/adf2", "wse2-cr", "mose2-40kv", "ws2te2-edge"]


@pytest.fixture
def small_set(monkeypatch, tmp_path):
    """The files of wse2-cr and mose2-40kv replaced by tiny ones; call it to register them."""
    monkeypatch.setenv("STEMLIB_DATA", str(tmp_path))
    monkeypatch.setenv("STEMLIB_CACHE", str(tmp_path / "cache"))
    table = registry.table().copy()
    facts = atomic._facts().copy()
    facts.loc[["wse2-cr", "mose2-40kv"], ["height_px", "width_px"]] = [6, 8]
    monkeypatch.setattr(registry, "table", lambda: table)
    monkeypatch.setattr(atomic, "_facts", lambda: facts)
    image = np.arange(48.0).reshape(6, 8)

    def write(points=((3, 2), (7, 5), (0, 0)), classes=(0, 2, 3)):
        for folder in ("wse2-cr", "mose2-40kv"):
            (tmp_path / folder).mkdir(exist_ok=True)
        np.save(tmp_path / "wse2-cr/Cr_Cr_ADF2_9.npy", image)
        np.save(tmp_path / "wse2-cr/Cr_pts_Cr_9.npy", np.array(points))
        np.save(tmp_path / "wse2-cr/Cr_lbs_Cr_9.npy", np.array(classes))
        np.savez(tmp_path / "mose2-40kv/MoSe2_40kV.npz", image=image, xy=np.array(points))
        for file in tmp_path.rglob("*.np*"):
            path = file.relative_to(tmp_path).as_posix()
            table.loc[path, "sha256"] = hashlib.sha256(file.read_bytes()).hexdigest()

    return write


def test_every_image_has_a_registered_source_and_a_role():
    images = datasets.atomic_images()
    assert images.index.is_unique
    assert set(images["role"]) == {"development", "test"}
    assert images.index[images["role"] == "development"].tolist() == [
        "wse2-cr",
        "ws2te2-edge",
        "fe-boundary",
    ]
    known = datasets.load_registry()
    for column in ("path", "points", "classes"):
        assert set(images[column]) - {""} <= set(known.index)
    assert (known.loc[images["path"], "kind"] == "image").all()
    assert images["address"].str.startswith("http").all()
    assert images.loc["cdte-faults", "licence"] == "none"
    # A size is either known and has a basis, or neither.
    unknown = images["pixel_size_certainty"] == "unknown"
    assert images["pixel_size_nm"].isna().equals(unknown)
    assert (images["pixel_size_basis"] == "").equals(unknown)


def test_an_image_is_available_only_with_its_labels(small_set, tmp_path):
    assert not datasets.atomic_images()["available"].any()
    small_set()
    available = datasets.atomic_images()["available"]
    assert available[available].index.tolist() == ["wse2-cr", "mose2-40kv"]
    (tmp_path / "wse2-cr/Cr_lbs_Cr_9.npy").unlink()
    assert not datasets.atomic_images().loc["wse2-cr", "available"]


def test_the_whole_set_is_a_subset_that_can_be_fetched(small_set):
    paths = subsets.paths_of("atomic")
    assert len(paths) == len(set(paths)) == 17
    small_set()
    assert len(datasets.available("atomic")) == datasets.fetch_all("atomic") == 4


def test_image_and_labels_from_npy_and_npz(small_set):
    small_set()
    for name, size in (("wse2-cr", 0.026), ("mose2-40kv", 0.0131)):
        micrograph = datasets.read_atomic_image(name)
        assert np.array_equal(micrograph.image, np.arange(48).reshape(6, 8))
        assert micrograph.pixel_size_nm == size
        assert datasets.atomic_labels(name)[["y", "x"]].to_numpy().tolist() == [[2, 3], [5, 7], [0, 0]]
    labels = datasets.atomic_labels("wse2-cr")
    assert labels["class"].tolist() == [0, 2, 3]
    assert labels["is_minority"].tolist() == [False, True, True]
    assert datasets.atomic_labels("mose2-40kv")["class"].tolist() == [-1, -1, -1]


def test_malformed_labels_name_file_and_row(small_set):
    small_set(points=((3, 2), (8, 5)), classes=(0, 1))
    with pytest.raises(ValueError, match=r"Cr_pts_Cr_9\.npy, row 2: the position x=8, y=5 is not in the 6 x"):
        datasets.atomic_labels("wse2-cr")
    small_set(classes=(0, 1))
    with pytest.raises(ValueError, match=r"Cr_lbs_Cr_9\.npy holds .*one whole number for each of the 3"):
        datasets.atomic_labels("wse2-cr")
    small_set(points=(1, 2, 3))
    with pytest.raises(ValueError, match=r"MoSe2_40kV\.npz holds int64 \(3,\); positions are numbers"):
        datasets.atomic_labels("mose2-40kv")
    small_set(points=((np.nan, 1.0),))
    with pytest.raises(ValueError, match=r"row 1: the position x=nan"):
        datasets.atomic_labels("mose2-40kv")


def test_an_image_of_another_size_is_refused(small_set, monkeypatch):
    small_set()
    atomic._facts().loc["wse2-cr", "width_px"] = 9
    with pytest.raises(ValueError, match=r"holds \(6, 8\) px where \(.*6.*9.*\) are registered"):
        datasets.read_atomic_image("wse2-cr")


def test_what_there_is_not_is_said():
    with pytest.raises(ValueError, match="name='wse2' is not an atomic image; use one of"):
        datasets.read_atomic_image("wse2")
    with pytest.raises(ValueError, match="name='nsmo-perfect' has no labelled columns"):
        datasets.atomic_labels("nsmo-perfect")


def test_real_images_and_labels_fit_together(real_data):
    images = datasets.atomic_images()
    here = images[images["available"]]
    if here.empty:
        pytest.skip("needs the atomic images, which this data folder lacks")
    counts = {
        "wse2-ti/adf1": 7708,
        "wse2-ti/adf2": 7708,
        "wse2-cr": 3478,
        "mose2-40kv": 1017,
        "ws2te2-edge": 1285,
    }
    for name in here.index.intersection(LABELLED):
        micrograph, labels = datasets.read_atomic_image(name), datasets.atomic_labels(name)
        assert len(labels) == counts[name]
        # Columns are bright: were x and y swapped, the labels would lie on average intensity.
        at = micrograph.image[labels["y"].astype(int), labels["x"].astype(int)]
        assert at.mean() > micrograph.image.mean() + 0.4 * micrograph.image.std()


def test_the_registered_pixel_size_is_that_of_the_file(real_data):
    images = datasets.atomic_images()
    sure = images[images["pixel_size_sure"] & images["available"]]
    if sure.empty:
        pytest.skip("needs the atomic images, which this data folder lacks")
    for name, row in sure.iterrows():
        select = None if pd.isna(row["select"]) else int(row["select"])
        own = read(registry.fetch(row["path"]), select=select).pixel_size_nm
        assert own == pytest.approx(row["pixel_size_nm"], rel=1e-9), name


def test_labels_of_dopants_are_counted(real_data):
    if not datasets.atomic_images().loc["wse2-ti/adf1", "available"]:
        pytest.skip("needs wse2-ti, which this data folder lacks")
    labels = datasets.atomic_labels("wse2-ti/adf1")
    assert labels["class"].value_counts().to_dict() == {2: 3851, 0: 3711, 1: 141, 3: 5}
    assert labels["is_minority"].sum() == 146
    assert pd.api.types.is_float_dtype(labels["y"])
