"""Crystals contest places: each goes to the one that explains it, however the outlines were drawn before."""

import numpy as np
import pytest

from stemlib.domains.label_competition import UNREACHED, Contest, decided
from stemlib.domains.pixel_labels import strong_waves
from stemlib.domains.windows import cut_segments, working_image
from stemlib.synthetic import crystal_image

SHAPE = 250, 301
COLUMNS = np.broadcast_to(np.arange(SHAPE[1]), SHAPE)
TRUTH = (COLUMNS > 150).astype(int)


def crystal(turn):
    return crystal_image("honeycomb", SHAPE, spacing=7, rotation_deg=turn, snr=30, seed=1).image


@pytest.fixture(scope="module")
def contest():
    """Two grains, and a patch of a third one, in the left one, that has no waves of its own."""
    image = np.where(TRUTH, crystal(20), crystal(0))
    image[100:160, 20:80] = crystal(11)[100:160, 20:80]
    work = working_image(image, np.ones(SHAPE, bool))
    segments = cut_segments(work)
    y, x = (
        nodes.astype(int).clip(0, n - 1)
        for nodes, n in zip((segments.waves.rows(), segments.waves.columns()), SHAPE, strict=True)
    )
    groups = np.where(segments.usable, TRUTH[np.ix_(y, x)], -1)
    return Contest(work, segments.waves.sigma, strong_waves(segments, groups))


def boundary(contest, labels):
    """Mean place of the boundary, px, in rows without the patch."""
    return (contest.pixels(labels.astype(np.float32))[:80] < 0.5).sum(axis=1).mean()


@pytest.mark.parametrize("drawn", [135, 165])
def test_a_boundary_moves_to_where_the_crystals_meet(contest, drawn):
    labels = contest.places((drawn < COLUMNS).astype(int))
    _, best, present = contest.measured(labels)
    assert boundary(contest, best) == pytest.approx(151, abs=3)
    assert present[:20].mean() > 0.95


@pytest.mark.parametrize("drawn", [135, 165])
def test_proportions_alone_move_a_boundary(contest, drawn):
    labels = contest.places((drawn < COLUMNS).astype(int))
    assert abs(boundary(contest, contest.freed(labels)) - 151) < 0.7 * abs(drawn - 151)


def test_a_crystal_without_waves_is_poorly_explained(contest):
    poor = contest.poorly_explained(contest.places(TRUTH))
    poor = contest.area(poor)
    assert poor[112:148, 32:68].mean() > 0.9
    assert poor[:80, 20:130].mean() < 0.02


def test_without_a_rival_nothing_moves(contest):
    labels = contest.places(np.zeros(SHAPE, int))
    np.testing.assert_array_equal(contest.freed(labels), labels)


def test_what_no_crystal_reaches_goes_to_none():
    misfits = {3: np.array([[1, UNREACHED]], np.float32), 5: np.array([[0.5, UNREACHED]], np.float32)}
    assert decided(misfits, (1, 2)).tolist() == [[5, -1]]
    assert decided({}, (1, 2)).tolist() == [[-1, -1]]
