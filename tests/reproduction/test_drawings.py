"""What was drawn by hand on the atomic images fits them, and says how far two drawings lie apart."""

import numpy as np
import pytest
from scipy.spatial import cKDTree
from skimage.measure import points_in_poly

from reproduction import drawings
from stemlib import datasets

LABELLED = ["wse2-ti/adf1", "wse2-ti/adf2", "wse2-cr", "mose2-40kv", "ws2te2-edge"]


def test_what_was_not_drawn_is_said():
    with pytest.raises(ValueError, match="name='wse2-cr' has nothing drawn on it in boundaries.json"):
        drawings.drawn_boundaries("wse2-cr")
    with pytest.raises(ValueError, match="name='fe-boundary' has nothing drawn on it in polygons.json"):
        drawings.drawn_polygon("fe-boundary")
    with pytest.raises(ValueError, match="name='wse2-cr' has nothing drawn on it in vacancies.json"):
        drawings.drawn_vacancies("wse2-cr")


def test_every_labelled_image_has_a_polygon_inside_it():
    images = datasets.atomic_images()
    labelled = images.index[images["truth"].str.contains("columns")]
    assert labelled.tolist() == LABELLED
    for name in labelled:
        vertices = drawings.drawn_polygon(name)
        size = images.loc[name, ["height_px", "width_px"]].to_numpy(float)
        assert vertices.shape[1] == 2 and len(vertices) >= 4
        assert (vertices > 0).all() and (vertices < size - 1).all()


def test_marked_vacancies_lie_apart_from_each_other_inside_the_image_and_outside_what_is_undecided():
    drawing = drawings.drawn_vacancies("mose2-40kv")
    marks = drawing["marks"]
    size = datasets.atomic_images().loc["mose2-40kv", ["height_px", "width_px"]].to_numpy(float)
    at = marks[["y", "x"]].to_numpy()
    assert (at >= 0).all() and (at <= size - 1).all()
    # Se2 sites are 24 px apart: no site is marked twice.
    assert cKDTree(at).query(at, k=2)[0][:, 1].min() > 18
    for polygon in drawing["undecided"]:
        assert not points_in_poly(at, polygon).any()
    assert set(marks["kind"]) == {"missing", "half"}
    assert marks["drawing_error_px"].max() < 4


def test_a_mark_is_the_mean_of_both_drawings_and_as_sure_as_the_less_sure_of_them(monkeypatch):
    marks = [
        {"kind": "half", "first": [10, 20, "sure"], "second": [12, 20, "likely"]},
        {"kind": "missing", "first": None, "second": [5, 6, "sure"]},
    ]
    content = {"images": {"mose2-40kv": {"how": "", "undecided": [], "marks": marks}}}
    monkeypatch.setattr(drawings, "_content", lambda file: content)
    both, once = drawings.drawn_vacancies("mose2-40kv")["marks"].to_dict("records")
    assert (both["y"], both["x"], both["certainty"], both["drawings"]) == (11, 20, "likely", 2)
    assert both["drawing_error_px"] == 2
    assert (once["y"], once["x"], once["certainty"], once["drawings"]) == (5, 6, "doubtful", 1)
    assert np.isnan(once["drawing_error_px"])


def mean_distance(one, other):
    """Mean distance of points along `one` from the polyline `other`."""
    length = np.hypot(*np.diff(one, axis=0).T)
    along = np.r_[0, np.cumsum(length)]
    at = np.linspace(0, along[-1], 2000)
    points = np.column_stack([np.interp(at, along, one[:, 0]), np.interp(at, along, one[:, 1])])
    start, step = other[:-1], np.diff(other, axis=0)
    off = points[:, None] - start
    t = np.clip((off * step).sum(axis=2) / (step**2).sum(axis=1), 0, 1)
    return np.hypot(*np.moveaxis(off - t[..., None] * step, 2, 0)).min(axis=1).mean()


def test_the_drawing_error_is_the_distance_of_the_two_drawings():
    images = datasets.atomic_images()
    drawn = images.index[images["truth"].str.contains("boundaries")]
    assert set(drawn) == {"fe-boundary", "llto-domains", "cdte-faults", "ws2te2-edge"}
    for name in drawn:
        boundaries = drawings.drawn_boundaries(name)
        assert boundaries["n_areas"] >= boundaries["n_domains"] == 2
        size = images.loc[name, ["height_px", "width_px"]].to_numpy(float)
        for line in boundaries["lines"].values():
            first, second = line["first"], line["second"]
            assert not np.array_equal(first, second)
            for vertices in (first, second):
                assert (vertices >= -0.5).all() and (vertices <= size - 0.5).all()
            error = (mean_distance(first, second) + mean_distance(second, first)) / 2
            assert line["drawing_error_px"] == pytest.approx(error, abs=0.05)
