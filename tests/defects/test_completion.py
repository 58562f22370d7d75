"""Columns that were overlooked are added where the image shows them, vacancies are not filled."""

import numpy as np

from stemlib.columns.find import Columns
from stemlib.defects.completion import complete_columns
from stemlib.lattice.find import find_lattice
from stemlib.synthetic import crystal_image, render_columns


def completed(scene, overlooked):
    seen = scene.columns.drop(index=overlooked).assign(probability=0.9)
    columns = Columns(seen, scene.image, scene.spacing, 2.2, None)
    return complete_columns(scene.image, columns, find_lattice(scene.image))


def test_overlooked_columns_are_added_and_vacancies_stay_empty():
    scene = crystal_image("honeycomb", (220, 220), spacing=10, vacancies=0.03, seed=1)
    inner = scene.columns[["y", "x"]].apply(lambda c: c.between(30, 190)).all(axis=1)
    overlooked = scene.columns.index[inner][::40]
    table, sites = completed(scene, overlooked)
    added = table[table["probability"] == 0]
    assert len(added) == len(overlooked) >= 5
    truth = scene.columns.loc[overlooked, ["y", "x"]].to_numpy()
    distance = np.linalg.norm(truth[:, None] - added[["y", "x"]].to_numpy(), axis=-1).min(axis=1)
    assert distance.max() < 0.8
    assert abs((sites.columns < 0).sum() - len(scene.missing)) <= 2
    assert (table["site"] >= 0).all()


def test_where_nothing_was_overlooked_the_columns_are_as_they_were():
    scene = crystal_image("square", (160, 160), spacing=10.7, seed=2)
    table, sites = completed(scene, [])
    np.testing.assert_array_equal(table[["y", "x"]], scene.columns[["y", "x"]])
    assert (sites.columns >= 0).all()


def test_faint_columns_are_added_where_they_stand_out_of_the_noise():
    scene = crystal_image("square", (220, 220), spacing=11, snr=40, seed=5)
    inner = scene.columns[["y", "x"]].apply(lambda c: c.between(30, 190)).all(axis=1)
    faint = scene.columns.index[inner][::30]
    at = scene.columns.loc[faint, ["y", "x"]].to_numpy()
    change = render_columns(at, np.full(len(at), -0.65), scene.image.shape, 0.22 * 11)
    seen = scene.columns.drop(index=faint).assign(probability=0.9)
    columns = Columns(seen, scene.image, scene.spacing, 0.22 * 11, None)
    table, _ = complete_columns(scene.image + change, columns, find_lattice(scene.image))
    assert (table["probability"] == 0).sum() == len(faint) >= 5
