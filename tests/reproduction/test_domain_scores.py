"""Domain cases and their scores, on labels whose agreement is known."""

from types import SimpleNamespace

import numpy as np
import pytest

import stemlib
from reproduction.cases import DomainCase
from reproduction.domain_maps import sides
from reproduction.domain_scores import domain_results, domain_score, domain_score_table, twin_table
from reproduction.loading import find_in_cases, load_cases


def as_found(labels, boundaries=(), faults=()):
    return SimpleNamespace(
        labels=labels, n_domains=int(labels.max()) + 1, boundaries=list(boundaries), faults=list(faults)
    )


@pytest.fixture
def case():
    """Two domains, vacuum at the right, a fault in the first domain."""
    labels = np.zeros((60, 100), int)
    labels[:, 50:] = 1
    labels[:, 80:] = -1
    line, again = np.array([[0, 49.5], [59, 49.5]]), np.array([[0, 51.5], [59, 51.5]])
    fault = np.array([[20.0, 0.0], [20.0, 40.0]])
    return DomainCase(
        "drawn",
        None,
        n_domains=2,
        labels=labels,
        boundaries=(line,),
        second=(again,),
        faults=(fault,),
        drawing_error_px=2.0,
        cell_edge=5.0,
    )


def test_what_is_drawn_scores_full(case):
    row = domain_score(
        case, as_found(1 - case.labels * (case.labels >= 0) - 2 * (case.labels < 0), case.boundaries)
    )
    assert (row["expected"], row["found"], row["accuracy"], row["outside"]) == (2, 2, 1.0, 1.0)
    assert row["distance_px"] == pytest.approx(0, abs=1e-9)
    assert row["allowed_px"] == 7
    assert row["faults"] == 0


def test_the_second_drawing_widens_the_band(case):
    found = case.labels.copy()
    found[:, 50:56] = 0
    assert domain_score(case, as_found(found))["accuracy"] == 1
    found[:, 50:60] = 0
    assert domain_score(case, as_found(found))["accuracy"] < 1


def test_crystal_found_in_vacuum_counts_against_outside_only(case):
    found = case.labels.copy()
    found[:, 80:] = 1
    row = domain_score(case, as_found(found))
    assert (row["accuracy"], row["outside"]) == (1.0, 0.0)


def test_undecided_areas_count_neither_in_labels_nor_in_boundaries(case):
    found = case.labels.copy()
    found[:20, :40] = 1
    stray = np.array([[10.0, 0.0], [10.0, 30.0]])
    undecided = np.zeros((60, 100), bool)
    undecided[:25, :45] = True
    strict = domain_score(case, as_found(found, [*case.boundaries, stray]))
    assert strict["accuracy"] < 0.9 and strict["distance_px"] > 3
    fields = {name: getattr(case, name) for name in case.__dataclass_fields__}
    lenient = domain_score(
        DomainCase(**(fields | {"undecided": undecided})), as_found(found, [*case.boundaries, stray])
    )
    assert lenient["accuracy"] == 1
    assert lenient["distance_px"] == pytest.approx(0, abs=1e-9)


def test_faults_are_seen_by_a_fault_or_a_boundary_nearby(case):
    near, far = np.array([[23.0, 0.0], [23.0, 20.0]]), np.array([[40.0, 0.0], [40.0, 20.0]])
    row = domain_score(case, as_found(case.labels, [near]))
    assert row["faults"] == pytest.approx(0.6, abs=0.03)
    assert np.isnan(row["stray_faults"])
    row = domain_score(case, as_found(case.labels, [], [near, far]))
    assert row["faults"] == pytest.approx(0.6, abs=0.03)
    assert row["stray_faults"] == pytest.approx(0.5, abs=0.03)
    assert domain_score(case, as_found(case.labels, [], [far]))["faults"] == 0


def test_areas_take_turns_across_lines():
    lines = [[(-0.5, 9.5), (19.5, 9.5)], [(9.5, 29.5), (12.2, 20.3), (19.5, 19.6)]]
    labels = sides((20, 30), lines)
    assert set(labels[:, :10].ravel()) == {0}
    assert set(labels[:8, 10:].ravel()) == {1}
    assert labels[19, 29] == 0 and labels[19, 15] == 1
    upwards = sides((20, 30), [line[::-1] for line in lines])
    np.testing.assert_array_equal(labels, upwards)


def test_lines_across_all_sides_divide():
    ends = {"top": (-0.5, 14.5), "right": (9.5, 29.5), "bottom": (19.5, 14.5), "left": (9.5, -0.5)}
    for first in ends:
        for second in ends:
            if first != second:
                labels = sides((20, 30), [[ends[first], (9.5, 14.5), ends[second]]])
                assert labels[0, 0] == 0
                share = labels.mean()
                opposite = {first, second} in ({"top", "bottom"}, {"left", "right"})
                assert min(share, 1 - share) == pytest.approx(0.5 if opposite else 0.25, abs=0.01)


def test_images_that_are_not_at_hand_stay_in_the_list(monkeypatch, tmp_path):
    monkeypatch.setenv("STEMLIB_DATA", str(tmp_path))
    monkeypatch.setenv("STEMLIB_OFFLINE", "1")
    cases = load_cases("domains", "atomic")
    assert [case.n_domains for case in cases] == [2, 2, 2, 2, 1, 1, 1]
    assert all(case.source is None and case.paths == () for case in cases)
    assert find_in_cases(cases, stemlib.find_domains) == {}
    shown = {case.name: case.may_be_shown for case in cases}
    assert not shown["cdte-faults"] and shown["fe-boundary"]


def test_real_maps_have_both_domains_on_either_side_of_each_line(real_data):
    for case in load_cases("domains", "atomic"):
        if case.source is None:
            pytest.skip(f"needs {case.name}, which this data folder lacks")
        assert case.labels.shape == case.source.image.shape
        assert set(np.unique(case.labels)) == set(range(case.n_domains))
        for line in case.boundaries:
            y, x = np.clip(np.rint(line[1:-1]).astype(int), 6, np.array(case.labels.shape) - 7).T
            around = np.stack([case.labels[y + dy, x + dx] for dy in (-6, 6) for dx in (-6, 6)])
            assert (around.min(axis=0) < around.max(axis=0)).all()


def test_the_twin_is_scored_over_dose_and_tilt(monkeypatch):
    seen = []

    def find_domains(source, *, method):
        seen.append(method)
        scene = np.zeros(source.image.shape, int)
        scene[:, 128:] = 1
        return as_found(scene)

    monkeypatch.setattr(stemlib, "find_domains", find_domains)
    table = twin_table([1e5, 1e6], [10], usual_dose=1e7, n_images=1, side_px=256)
    assert list(table["over"]) == ["dose"] * 4 + ["tilt"] * 2
    assert list(table["dose_per_nm2"]) == [1e5] * 2 + [1e6] * 2 + [1e7] * 2
    assert list(table["tilt_deg"]) == [0] * 4 + [10] * 2
    assert seen == ["mixture", "one-class"] * 3
    assert table["accuracy"].between(0.4, 1).all()


def test_an_image_that_is_refused_holds_no_domain(monkeypatch):
    def find_domains(source, *, method):
        raise ValueError("image shows nothing periodic")

    monkeypatch.setattr(stemlib, "find_domains", find_domains)
    table = twin_table([1.0], [], usual_dose=1e7, n_images=1, side_px=256, methods=["mixture"])
    assert table["found"].tolist() == [0] and table["accuracy"].tolist() == [0]
    assert table["outside"].tolist() == [1] and table["distance_px"].isna().all()


def test_what_is_not_in_every_image_is_no_result_and_a_boundary_not_found_has_no_distance(case):
    found = as_found(np.zeros_like(case.labels))
    control = DomainCase("control", None, n_domains=1, labels=np.zeros((8, 8), int))
    table = domain_score_table([case, control], {"drawn": found, "control": as_found(np.zeros((8, 8), int))})
    results = {row["id"]: row["value"] for row in domain_results(table, ["drawn", "control"])}
    assert results["domains.drawn.found"] == 1 and results["domains.drawn.boundary-distance"] is None
    assert results["domains.control.accuracy"] == 1 and "domains.control.boundary-distance" not in results
    assert "domains.control.faults-found" not in results and results["domains.drawn.faults-found"] == 0


def test_an_image_that_was_not_searched_is_not_available():
    results = domain_results(domain_score_table([], {}).reindex(columns=["image"]), ["llto"])
    assert [row["id"].split(".")[-1] for row in results] == [
        "found",
        "expected",
        "accuracy",
        "boundary-distance",
    ]
    assert all(row["value"] is None for row in results)
