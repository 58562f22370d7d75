import numpy as np
import pandas as pd
import pytest

from stemlib.many.pooling import pooled
from stemlib.many.result import Batch


def batch_of(what, summary, table):
    found = Batch(what, None, summary.assign(error=""), list(table))
    # What would be read from the folder.
    found.__dict__["table"] = table
    return found


def series(n_images, *, scale=0.5, seed=0, spread=0.0):
    """Images with 10 loops of 40 px each on average, whose density differs from image to image."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(10 * np.exp(spread * rng.normal(size=n_images) - spread**2 / 2))
    names = [f"{number}.tif" for number in range(n_images)]
    summary = pd.DataFrame({"image": names, "frame": 0, "loops": counts, "area": 1e6, "pixel_size_nm": scale})
    rows = [
        (name, 0, rng.normal(40, 5), False)
        for name, count in zip(names, counts, strict=True)
        for _ in range(count)
    ]
    table = pd.DataFrame(rows, columns=["image", "frame", "major", "touches_edge"])
    return batch_of("loops", summary, table.assign(major_nm=table["major"] * scale))


def test_a_series_gives_one_density_and_one_diameter():
    found = pooled(series(40)).set_index("what")
    assert found.loc["density_per_nm2", "value"] == pytest.approx(10 / 1e6 / 0.25, rel=0.1)
    assert found.loc["mean_diameter_nm", "value"] == pytest.approx(20, rel=0.02)
    assert (found["low"] < found["value"]).all() and (found["value"] < found["high"]).all()
    assert found["images"].tolist() == [40, 40]


def test_intervals_hold_the_truth_as_often_as_they_say_where_images_differ():
    truth = 10 / 1e6 / 0.25
    inside = []
    for seed in range(200):
        row = pooled(series(25, seed=seed, spread=0.5)).set_index("what").loc["density_per_nm2"]
        inside.append(row["low"] <= truth <= row["high"])
    # 95 % of 200 within chance; intervals of the one Poisson count of all would hold it in about two of three.
    assert 0.87 <= np.mean(inside) <= 0.99


def test_loops_at_the_edge_count_and_are_not_measured():
    found = series(5)
    found.table.loc[:, "touches_edge"] = found.table["image"] == "0.tif"
    found.table.loc[found.table["image"] == "0.tif", "major_nm"] = 1000.0
    rows = pooled(found).set_index("what")
    assert rows.loc["mean_diameter_nm", "value"] == pytest.approx(20, rel=0.1)
    assert rows.loc["density_per_nm2", "value"] == pytest.approx(found.summary["loops"].mean() / 1e6 / 0.25)


def test_without_a_scale_for_all_numbers_are_in_px_and_failed_images_do_not_count():
    found = series(3)
    found.summary.loc[1, "pixel_size_nm"] = np.nan
    assert pooled(found)["what"].tolist() == ["density_per_px2", "mean_diameter"]
    found.summary.loc[1, "error"] = "cannot be read"
    assert pooled(found)["images"].tolist() == [2, 2]
    found.summary.loc[2, "error"] = "cannot be read"
    alone = pooled(found)
    assert alone["low"].isna().all() and alone["value"].notna().all()


def test_other_finders_have_theirs():
    summary = pd.DataFrame(
        {"image": ["a", "b"], "frame": 0, "defects": [1, 3], "sites": [100, 300], "pixel_size_nm": 0.02}
    )
    (row,) = pooled(batch_of("defects", summary, pd.DataFrame())).to_dict("records")
    assert (row["what"], row["value"]) == ("defects_per_site", 0.01)
    lattice = pd.DataFrame(
        {"image": ["a", "b"], "frame": 0, "a_nm": [0.3, 0.4], "b_nm": [0.5, 0.6], "angle_deg": [90.0, 92.0]}
    )
    rows = pooled(batch_of("lattice", lattice.assign(pixel_size_nm=0.02), pd.DataFrame()))
    assert rows["what"].tolist() == ["a_nm", "b_nm", "angle_deg"]
    assert rows["value"].tolist() == pytest.approx([0.35, 0.55, 91.0])
