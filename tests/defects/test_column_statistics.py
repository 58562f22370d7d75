import numpy as np
import pytest

from stemlib.defects.column_statistics import compare_sites, offset_log_p
from stemlib.defects.sites import assign_sites
from stemlib.lattice.find import find_lattice
from stemlib.synthetic import Crystal, PointDefects, Recording, crystal_image, named_crystal, render_columns

SIGMA = 2.2


def compared(scene, image=None, positions=None, mask=None):
    image = scene.image if image is None else image
    positions = scene.columns[["y", "x"]].to_numpy() if positions is None else positions
    sites = assign_sites(scene.image, positions, find_lattice(scene.image), scene.spacing)
    mask = np.ones(image.shape, bool) if mask is None else mask
    return compare_sites(image, positions, sites, sigma=SIGMA, spacing=scene.spacing, mask=mask)


def flagged(table, n_tried, rate=0.5):
    return table[table["log_p"] <= np.log(rate / n_tried)]


def scene_of(crystal="honeycomb", **options):
    return crystal_image(crystal, (240, 240), spacing=10, rotation_deg=11, seed=7, **options)


@pytest.mark.parametrize("crystal", ["honeycomb", "perovskite", "hexagonal"])
def test_vacancies_and_displaced_columns_are_flagged_and_nothing_else(crystal):
    scene = scene_of(crystal, defects=PointDefects(vacancies=0.02, displaced=0.02))
    found = flagged(*compared(scene))
    truth = np.vstack(
        [scene.missing[["y", "x"]], scene.columns.loc[scene.columns["displaced"] > 0, ["y", "x"]]]
    )
    distance = np.linalg.norm(truth[:, None] - found[["y", "x"]].to_numpy(), axis=-1)
    # The place of a column that the edge cuts is its site, here 3 px away.
    cut = np.minimum(truth, 239 - truth).min(axis=1) < 4
    assert distance.min(axis=1)[~cut].max() < 1.5
    assert (distance.min(axis=1)[cut] > 3.5).sum() <= 1
    assert (distance.min(axis=0) > 5).sum() <= 1
    assert (found["kind"] == "missing").sum() == len(scene.missing)


def test_brighter_and_dimmer_columns_are_told_from_their_sublattice():
    scene = scene_of("honeycomb")
    weak = scene.columns[scene.columns["intensity"] < 0.6].iloc[[60, 100]][["y", "x"]].to_numpy()
    strong = scene.columns[scene.columns["intensity"] > 0.6].iloc[[50, 90]][["y", "x"]].to_numpy()
    # Each becomes like the other sublattice: nothing that intensity alone would tell.
    change = render_columns(np.vstack([weak, strong]), [0.5, 0.5, -0.5, -0.5], scene.image.shape, SIGMA)
    found = flagged(*compared(scene, scene.image + change))
    assert sorted(found["kind"]) == ["bright", "bright", "dim", "dim"]
    ratio = found.set_index("kind")["intensity_ratio"]
    assert (ratio["bright"] > 1.6).all()
    assert (ratio["dim"] < 0.7).all()


def test_slow_changes_of_thickness_are_normal():
    scene = scene_of("perovskite")
    thicker = scene.image * np.linspace(1, 1.8, 240)[:, None] + np.linspace(0, 3, 240)
    table, n_tried = compared(scene, thicker.astype(np.float32))
    assert len(flagged(table, n_tried, 2.0)) <= 3


def test_an_interstitial_column_is_flagged_and_a_noise_peak_is_not():
    scene = scene_of("square")
    columns = scene.columns[["y", "x"]].to_numpy()
    lattice = find_lattice(scene.image)
    inner = lattice.points()[1]
    inner = inner[((inner > 60) & (inner < 170)).all(axis=1)]
    places = inner[[5, 40]] + lattice.cell.sum(axis=0) / 2
    image = scene.image + render_columns(places[:1], [0.7], scene.image.shape, SIGMA)
    found = flagged(*compared(scene, image, np.vstack([columns, places])))
    assert found["kind"].tolist() == ["interstitial"]
    np.testing.assert_allclose(found[["y", "x"]].to_numpy(), places[:1])


def test_beside_columns_many_times_as_bright_nothing_is_called_a_defect_for_their_tails():
    scene = scene_of("honeycomb")
    columns = scene.columns[["y", "x"]].to_numpy()
    inner = columns[((columns > 60) & (columns < 180)).all(axis=1)]
    bright = inner[[10, 60]]
    # Not quite the peaks that are fitted: a core that is narrower, and tails.
    image = scene.image + render_columns(bright, [30.0, 30.0], scene.image.shape, 0.93 * SIGMA)
    image += render_columns(bright, [1.0, 1.0], scene.image.shape, 3 * SIGMA)
    found = flagged(*compared(scene, image))
    assert sorted(found["kind"]) == ["bright", "bright"]
    away = np.linalg.norm(found[["y", "x"]].to_numpy()[:, None] - bright, axis=-1)
    assert away.min(axis=0).max() < 1


def test_a_column_beside_the_crystal_is_bright_or_nothing():
    crystalline = np.zeros((240, 240), bool)
    crystalline[:, :150] = True
    scene = scene_of("square", crystalline=crystalline)
    columns = scene.columns[["y", "x"]].to_numpy()
    edge = columns[:, 1].max()
    places = np.array([[100.0, edge + 8.0], [140.0, edge + 8.0]])
    image = scene.image + render_columns(places, [1.0, 4.0], scene.image.shape, SIGMA)
    found = flagged(*compared(scene, image, np.vstack([columns, places])))
    assert found[["kind", "site"]].to_numpy().tolist() == [["bright", -1]]
    np.testing.assert_allclose(found[["y", "x"]].to_numpy(), places[1:])


def test_a_mixture_of_two_metals_is_normal_and_a_third_one_is_not():
    scene = scene_of("square")
    rng = np.random.default_rng(0)
    at = scene.columns[["y", "x"]].to_numpy()
    light = rng.random(len(at)) < 0.45
    inner = np.flatnonzero(((at > 30) & (at < 210)).all(axis=1) & light)[12]
    change = np.where(light, -0.45, 0.0)
    change[inner] = 0.8
    table, n_tried = compared(scene, scene.image + render_columns(at, change, scene.image.shape, SIGMA))
    found = flagged(table, n_tried)
    assert found["kind"].tolist() == ["bright"]
    assert found["column"].tolist() == [inner]


def test_a_site_that_one_of_two_phases_leaves_empty_is_no_row_of_vacancies():
    scene = scene_of("perovskite")
    weak = (
        scene.columns["site"].to_numpy()
        == scene.columns["site"].to_numpy()[scene.columns["intensity"].argmin()]
    )
    gone = weak & (scene.columns["x"].to_numpy() > 130)
    at = scene.columns[["y", "x"]].to_numpy()
    change = -scene.columns["intensity"].to_numpy()[gone]
    image = scene.image + render_columns(at[gone], change, scene.image.shape, SIGMA)
    table, n_tried = compared(scene, image, at[~gone])
    assert gone.sum() > 80
    assert len(flagged(table, n_tried)) <= 4


def test_the_edge_of_the_crystal_is_not_a_row_of_vacancies_and_the_mask_hides():
    crystalline = np.zeros((240, 240), bool)
    crystalline[:150] = True
    scene = scene_of("hexagonal", crystalline=crystalline, defects=PointDefects(vacancies=0.02))
    found = flagged(*compared(scene))
    deep = scene.missing[scene.missing["y"] < 135]
    assert len(deep) >= 3
    assert (found["kind"] == "missing").sum() <= len(scene.missing) + 1
    mask = np.ones((240, 240), bool)
    mask[:100] = False
    table, _ = compared(scene, mask=mask)
    assert table["y"].min() > 99


def test_columns_beyond_the_edge_do_not_change_those_at_it():
    # Faint columns between strong ones: of the strong ones beyond the edge, only the tails are on the image.
    crystal = Crystal(named_crystal("square").cell, np.array([(0.0, 0.0), (0.5, 0.5)]), np.array([1.0, 0.25]))
    scene = crystal_image(
        crystal,
        (300, 300),
        spacing=11,
        rotation_deg=11,
        recording=Recording(relative_sigma=0.27, snr=80),
        seed=7,
    )
    positions = scene.columns[["y", "x"]].to_numpy()
    sites = assign_sites(scene.image, positions, find_lattice(scene.image), scene.spacing)
    mask = np.ones(scene.image.shape, bool)
    table, _ = compare_sites(scene.image, positions, sites, sigma=0.27 * 11, spacing=scene.spacing, mask=mask)
    faint = table[table["intensity"] < 0.6]
    edge = np.minimum(faint[["y", "x"]], 299 - faint[["y", "x"]]).min(axis=1)
    assert (edge < 5).sum() > 10
    assert abs(faint["intensity_ratio"][edge < 5].median() - 1) < 0.05
    assert len(sites.beyond) > 50


def test_displaced_columns_are_reported_where_they_are():
    scene = scene_of("square", defects=PointDefects(displaced=0.01))
    positions = scene.columns[["y", "x"]].to_numpy()
    table, _ = compared(scene, scene.image, positions)
    moved = np.intersect1d(np.flatnonzero(scene.columns["displaced"] > 0), table["column"])
    at = table.set_index("column").loc[moved, ["y", "x"]].to_numpy()
    np.testing.assert_allclose(at, positions[moved], atol=0.3)


def test_columns_that_were_overlooked_are_not_missing():
    scene = scene_of("square", defects=PointDefects(vacancies=0.01))
    positions = scene.columns[["y", "x"]].to_numpy()
    overlooked = np.flatnonzero(((positions > 40) & (positions < 200)).all(axis=1))[::40]
    table, n_tried = compared(scene, scene.image, np.delete(positions, overlooked, axis=0))
    away = np.linalg.norm(table[["y", "x"]].to_numpy()[:, None] - positions[overlooked], axis=-1)
    rows = table.iloc[away.argmin(axis=0)]
    assert away.min(axis=0).max() < 1.0
    assert (rows["column"] == -1).all()
    assert (rows["log_p"] > -np.log(n_tried)).all()
    assert rows["intensity_ratio"].between(0.8, 1.2).all()


def test_the_shoulder_of_a_column_is_no_interstitial():
    scene = scene_of("square")
    positions = scene.columns[["y", "x"]].to_numpy()
    inner = np.flatnonzero(((positions > 40) & (positions < 200)).all(axis=1))[[30, 80]]
    shoulders = positions[inner] + [3.2, 0.0]
    image = scene.image + render_columns(shoulders, [0.2, 0.2], scene.image.shape, SIGMA)
    table, _ = compared(scene, image, np.vstack([positions, shoulders]))
    assert not (table["kind"] == "interstitial").any()


def test_more_columns_of_one_direction_make_it_likelier(monkeypatch):
    scene = scene_of("square", recording=Recording(snr=14))
    positions = scene.columns[["y", "x"]].to_numpy()
    dim = np.arange(len(positions)) % 12 == 0
    image = scene.image + render_columns(positions[dim], np.full(dim.sum(), -0.35), scene.image.shape, SIGMA)
    weighted = compared(scene, image)[0].set_index("column")["log_p"]
    monkeypatch.setattr("stemlib.defects.column_statistics.weighted_p_values", lambda log_p, *_: log_p)
    plain = compared(scene, image)[0].set_index("column")["log_p"]
    judged = np.intersect1d(np.flatnonzero(dim), plain[plain < -3].index)
    assert len(judged) > 20
    assert (weighted[judged] < plain[judged] - np.log(2)).all()


def test_too_few_columns_cannot_be_judged():
    scene = scene_of("square")
    table, n_tried = compared(scene, positions=np.zeros((0, 2)))
    assert len(table) == 0
    assert n_tried == 0


COUNT = 3000


def judged(offsets, kind=None, relative=None, rim=None):
    kind = np.zeros(len(offsets), int) if kind is None else kind
    relative = np.ones(len(offsets)) if relative is None else relative
    rim = np.zeros(len(offsets), int) if rim is None else rim
    return offset_log_p(offsets, kind, relative, rim, 10.0)


@pytest.mark.parametrize("freedom", [6, 1000])
def test_normal_offsets_are_as_rare_as_their_p_values_say_long_tails_too(freedom):
    rng = np.random.default_rng(0)
    found = [judged(0.2 * rng.standard_t(freedom, (COUNT, 2))) for _ in range(6)]
    assert (np.concatenate(found) < np.log(1e-2)).mean() < 0.02
    assert (np.concatenate(found) < np.log(0.5 / COUNT)).sum() <= 12


def test_displaced_columns_are_unlikely_each_among_its_own_kind():
    rng = np.random.default_rng(2)
    kind = np.arange(COUNT) % 2
    offsets = rng.normal(0, np.where(kind, 0.6, 0.15)[:, None], (COUNT, 2))
    offsets[[10, 11]] = 0.0, 1.5
    log_p = judged(offsets, kind)
    assert log_p[10] < np.log(1e-5)
    assert log_p[11] > np.log(1e-3)


def test_a_faint_column_may_lie_farther_off():
    rng = np.random.default_rng(3)
    offsets, relative = rng.normal(0, 0.2, (COUNT, 2)), np.ones(COUNT)
    offsets[[4, 5]] = 0.0, 1.4
    relative[5] = 0.25
    log_p = judged(offsets, relative=relative)
    assert log_p[4] < np.log(1e-4)
    assert log_p[5] > np.log(1e-2)


def test_the_outermost_columns_are_judged_among_themselves():
    rng = np.random.default_rng(4)
    offsets, rim = rng.normal(0, 0.2, (COUNT, 2)), np.zeros(COUNT, int)
    # Flyback shifts those along one edge; those along another lie less exactly.
    rim[:100], rim[100:200] = 1, 2
    offsets[:100] += [0.0, 2.0]
    offsets[100:200] *= 5
    offsets[7] += [2.0, 0.0]
    log_p = judged(offsets, rim=rim)
    assert log_p[7] < np.log(1e-4)
    assert (np.delete(log_p[:200], 7) < np.log(1e-3)).sum() <= 2


def test_empty_sites_and_edges_of_a_few_are_not_judged():
    rng = np.random.default_rng(5)
    offsets, rim = rng.normal(0, 0.2, (COUNT, 2)), np.zeros(COUNT, int)
    offsets[:5], offsets[5:40] = 5.0, np.nan
    rim[:5] = 3
    log_p = judged(offsets, rim=rim)
    assert (log_p[:40] == 0).all()
    assert (log_p[40:] < 0).any()
    assert (judged(offsets[40:44]) == 0).all()
