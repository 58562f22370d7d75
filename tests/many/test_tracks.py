import numpy as np
import pandas as pd
import pytest

import stemlib
from stemlib.many.tracks import link_frames

pytest.importorskip("trackpy", reason="needs trackpy, of stemlib[many]")


def movie(n_frames=20, *, n_objects=60, step=6.0, spacing=40.0, seed=0):
    """Objects that wander about as loops do, some of which appear and vanish: frame, y, x, major and who it is."""
    rng = np.random.default_rng(seed)
    places = np.empty((0, 2))
    while len(places) < n_objects:
        new = rng.uniform(0, 700, 2)
        if not len(places) or np.linalg.norm(places - new, axis=1).min() > spacing:
            places = np.vstack([places, new])
    growth = rng.normal(0, 0.3, n_objects)
    start = np.where(rng.random(n_objects) < 0.2, rng.integers(1, max(2, n_frames - 4), n_objects), 0)
    end = np.where(rng.random(n_objects) < 0.2, start + rng.integers(3, n_frames, n_objects), n_frames)
    rows = []
    for frame in range(n_frames):
        for who in np.flatnonzero((start <= frame) & (frame < end)):
            rows.append((frame, *places[who], 30 + growth[who] * frame + rng.normal(0, 0.2), who))
        places += rng.normal(0, step / np.sqrt(2), places.shape)
    table = pd.DataFrame(rows, columns=["frame", "y", "x", "major", "who"])
    # As a finder lists them: in no order that tells who is who.
    table = table.sample(frac=1, random_state=seed).sort_values("frame", kind="stable", ignore_index=True)
    return table.assign(image="movie"), growth


def links(table, key):
    """Pairs of rows that are one object in two frames in turn."""
    found = set()
    for _, one in table.sort_values("frame").groupby(key):
        rows, frames = one.index.to_numpy(), one["frame"].to_numpy()
        found |= {(a, b) for a, b, gap in zip(rows, rows[1:], np.diff(frames), strict=False) if gap == 1}
    return found


@pytest.mark.parametrize("seed", range(3))
def test_links_are_right_at_moderate_motion(seed):
    table, growth = movie(seed=seed)
    tracks = link_frames(table, {"movie": 20})
    true, found = links(table, "who"), links(tracks.table, "track")
    assert len(true) > 600
    assert len(true & found) >= 0.95 * len(true)
    assert len(true & found) >= 0.95 * len(found)
    # Who appears, vanishes and grows, of those that are followed from end to end.
    whole = tracks.table.groupby("track").filter(lambda one: one["who"].nunique() == 1)
    by_track = tracks.summary.set_index("track")
    for track, one in whole.groupby("track"):
        all_of_it = table[table["who"] == one["who"].iloc[0]]
        if len(one) < len(all_of_it):
            continue
        row = by_track.loc[track]
        assert row["appears"] == (one["frame"].min() > 0)
        assert row["vanishes"] == (one["frame"].max() < 19)
        ends = one.sort_values("frame")[["y", "x"]].to_numpy()[[0, -1]]
        assert row["moved"] == pytest.approx(np.linalg.norm(ends[1] - ends[0]))
        if len(one) >= 10:
            error = row["growth"] - growth[one["who"].iloc[0]]
            assert abs(error) < 5 * row["growth_error"]


def test_an_object_overlooked_once_stays_the_same_with_memory():
    table, _ = movie(6, n_objects=20, step=3.0, spacing=60.0)
    lost = (table["frame"] == 3) & (table["who"] == table.loc[0, "who"])
    table = table[~lost].reset_index(drop=True)
    who = table["who"] == table.loc[0, "who"]
    assert link_frames(table, {"movie": 6}).table.loc[who, "track"].nunique() == 2
    assert link_frames(table, {"movie": 6}, memory=1).table.loc[who, "track"].nunique() == 1


def test_motion_beyond_the_reach_warns():
    table, _ = movie(8, step=25.0)
    with pytest.warns(UserWarning, match="take out the drift"):
        link_frames(table, {"movie": 8})
    # Drift is motion too.
    still, _ = movie(8, step=1.0, spacing=60.0)
    reach = link_frames(still, {"movie": 8}).search_range["movie"]
    with pytest.warns(UserWarning, match="take out the drift"):
        link_frames(still.assign(x=still["x"] + 0.9 * reach * still["frame"]), {"movie": 8})


def test_what_cannot_be_followed_is_said():
    table, _ = movie(6)
    for text, arguments, options in (
        ("no movie", (table.assign(frame=0), {"movie": 1}), {}),
        ("no places", (table.drop(columns="y"), {"movie": 6}), {}),
        ("search_range=-1", (table, {"movie": 6}), {"search_range": -1}),
        ("search_range=500 px is too far", (table, {"movie": 6}), {"search_range": 500}),
        ("memory=0.5", (table, {"movie": 6}), {"memory": 0.5}),
    ):
        with pytest.raises(ValueError, match=text):
            link_frames(*arguments, **options)


def test_columns_that_move_are_followed_in_images(tmp_path):
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[10:120:10, 10:120:10].reshape(2, -1)
    places = np.column_stack([rows, columns]).astype(float)
    y, x = np.mgrid[:128, :128]
    frames, truth = [], []
    for frame in range(5):
        present = np.ones(len(places), bool)
        present[60] = frame < 3
        distance = (y[..., None] - places[present, 0]) ** 2 + (x[..., None] - places[present, 1]) ** 2
        frames.append(np.exp(-distance / (2 * 2.0**2)).sum(axis=-1) + rng.normal(0, 0.03, y.shape))
        truth.append(np.column_stack([places[present], np.flatnonzero(present)]))
        places = places + rng.normal(0, 0.5, places.shape)
    found = stemlib.batch(
        np.stack(frames), "columns", output=tmp_path / "out", workers=1, pictures=False, pixel_size_nm=0.02
    )
    tracks = found.tracks()
    table = tracks.table
    who = np.full(len(table), -1)
    for frame, known in enumerate(truth):
        here = np.flatnonzero(table["frame"] == frame)
        at = table.loc[here, ["y", "x"]].to_numpy()
        distances = np.linalg.norm(at[:, None] - known[None, :, :2], axis=-1)
        near = distances.argmin(axis=1)
        who[here] = np.where(distances.min(axis=1) < 1.5, known[near, 2], -1)
    true, linked = links(table.assign(who=who)[who >= 0], "who"), links(table, "track")
    assert len(true) > 450
    assert len(true & linked) >= 0.95 * len(true)
    gone = table.loc[who == 60, "track"].unique()
    row = tracks.summary.set_index("track").loc[gone[0]]
    assert (row["last_frame"], row["vanishes"], row["appears"]) == (2, True, False)
    assert row["step_nm"] == pytest.approx(row["step"] * 0.02)
    tracks.to_csv(tmp_path / "tracks.csv")
    assert (tmp_path / "tracks.csv").read_text().startswith("image,track,first_frame")
