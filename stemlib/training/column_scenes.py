"""Random atomic-resolution images to train the column network on: every crystal, defect and fault of an image."""

import math
from dataclasses import replace

import cv2
import numpy as np
from scipy.spatial import cKDTree

from stemlib.columns.network import PEAK_SIGMA, standardised
from stemlib.columns.spacing import resample
from stemlib.synthetic.crystals import NAMES, lattice_points, named_crystal, random_crystal
from stemlib.synthetic.imaging import Imaging, record, render_columns, speckle

# Spacings in px at which the network must find columns, and how far off others must be to be left alone.
SPACINGS = (4.2, 13.0)
TOO_FINE, TOO_COARSE = 3.2, 19.0
# Signal-to-noise ratios from which on a column counts as there, and up to which as not there.
_VISIBLE, _INVISIBLE = 3.5, 1.5


def training_example(rng, size=128):
    """Draw one image with what the network should answer.

    Parameters
    ----------
    rng : numpy.random.Generator
    size : int
        Side of the image, px.

    Returns
    -------
    image : numpy.ndarray, shape (size, size), float32
        Standardised as the network wants it.
    target : numpy.ndarray, shape (size, size), float32
        A Gaussian peak of height 1 at every column; nothing where the columns are too fine or too coarse.
    weight : numpy.ndarray, shape (size, size), float32
        0 where nobody can say whether there is a column, 1 elsewhere.

    Examples
    --------
    >>> import numpy as np
    >>> image, target, weight = training_example(np.random.default_rng(0), size=64)
    >>> image.shape, 0 <= target.min() <= target.max() <= 1
    ((64, 64), np.True_)
    """
    kind = rng.choice(["columns", "coarse", "fine", "nothing"], p=[0.78, 0.11, 0.04, 0.07])
    spacing = {
        "columns": math.exp(rng.uniform(*np.log(SPACINGS))),
        "coarse": math.exp(rng.uniform(math.log(TOO_COARSE), math.log(3 * TOO_COARSE))),
        "fine": rng.uniform(1.6, TOO_FINE),
        "nothing": rng.uniform(*SPACINGS),
    }[kind]
    # Drawn finer or coarser than the network will see it, as images are resampled to the network's scale.
    factor = 1.0 if rng.random() < 0.4 else math.exp(rng.uniform(math.log(0.4), math.log(1.7)))
    side = math.ceil(size / factor)
    scene = _columns((side, side), spacing / factor, rng)
    if kind == "nothing":
        scene = [part[:0] for part in scene]
    image, present, unsure = _imaged(*scene, (side, side), spacing / factor, rng)
    image = resample(image, factor)[:size, :size]
    image = standardised(image)
    if kind != "columns":
        return image, np.zeros_like(image), np.ones_like(image)
    present, unsure = ((points + 0.5) * factor - 0.5 for points in (present, unsure))
    target = np.minimum(render_columns(present, np.ones(len(present)), image.shape, PEAK_SIGMA), 1)
    doubt = render_columns(unsure, np.ones(len(unsure)), image.shape, 0.25 * spacing)
    return image, target, (doubt < 0.3).astype(np.float32)


def _columns(shape, spacing, rng):
    """Positions and intensities of the columns of a scene with its defects."""
    at, site, crystal = _crystal(shape, spacing, rng)
    intensity = crystal.intensities[site]
    if rng.random() < 0.3:
        at, intensity = _second_grain(at, intensity, crystal, shape, spacing, rng)
    if rng.random() < 0.35:
        # Random occupation of sites, or a rough surface.
        intensity = intensity * (1 - rng.uniform(0, 0.6) * rng.random(len(at)) ** rng.choice([0.5, 1, 4]))
    if rng.random() < 0.2:
        # Atoms on top of columns.
        intensity = intensity * np.where(rng.random(len(at)) < 0.03, rng.uniform(1.2, 2.5), 1.0)
    if rng.random() < 0.3:
        kept = _outside_holes(at, shape, rng)
        at, intensity = at[kept], intensity[kept]
    share = rng.choice([0, rng.uniform(0, 0.04), rng.uniform(0.04, 0.2)], p=[0.2, 0.5, 0.3])
    fate = rng.random(len(at))
    moved = fate > 1 - rng.choice([0, 0.03, 0.15], p=[0.4, 0.4, 0.2])
    at = at + moved[:, None] * rng.normal(0, rng.uniform(0.05, 0.35) * spacing, at.shape)
    at = at + rng.normal(0, spacing * rng.choice([0.005, 0.03, 0.08], p=[0.6, 0.3, 0.1]), at.shape)
    drawn = np.where(fate < share, 0, intensity)
    drawn = np.where(
        (fate >= share) & (fate < 1.5 * share), intensity * rng.uniform(0.15, 0.8, len(at)), drawn
    )
    if rng.random() < 0.2:
        extra = rng.uniform(-0.5, np.array(shape) - 0.5, (rng.integers(1, 6), 2))
        at = np.vstack([at, extra])
        drawn = np.append(drawn, rng.uniform(0.2, 1.2, len(extra)))
    return at[drawn > 0], drawn[drawn > 0]


def _crystal(shape, spacing, rng):
    crystal = named_crystal(rng.choice(NAMES)) if rng.random() < 0.35 else random_crystal(rng)
    if rng.random() < 0.3:
        levels = np.exp(rng.uniform(math.log(0.1), 0, len(crystal.sites)))
        crystal = replace(crystal, intensities=levels / levels.max())
    at, site, _ = lattice_points(
        crystal,
        shape,
        spacing=spacing,
        rotation_deg=rng.uniform(0, 360),
        offset=rng.uniform(0, spacing * 4, 2),
        margin=2 * spacing + 6,
    )
    centre = np.array(shape) / 2
    shear = rng.normal(0, 0.015, (2, 2))
    at = (at - centre) @ (np.eye(2) + shear) + centre
    at += _drift(at, shape, spacing, rng)
    if rng.random() < 0.5:
        at = at[:, ::-1]
    return at, site, crystal


def _drift(at, shape, spacing, rng):
    phase, waves = rng.uniform(0, 2 * math.pi, 2), rng.uniform(0.3, 1.5, 2)
    return rng.uniform(0, 0.6) * spacing * np.sin(2 * math.pi * waves * at[:, :1] / shape[0] + phase)


def _second_grain(at, intensity, crystal, shape, spacing, rng):
    """Another orientation, or another crystal, on one side of a line; columns that would touch are dropped."""
    if rng.random() < 0.5:
        other, site, second = _crystal(shape, spacing, rng)
    else:
        second = crystal
        other, site, _ = lattice_points(
            second, shape, spacing=spacing, rotation_deg=rng.uniform(0, 360), margin=2 * spacing + 6
        )
    normal = rng.normal(size=2)
    middle = rng.uniform(0.2, 0.8, 2) * shape
    beyond = (at - middle) @ normal > 0
    other_beyond = (other - middle) @ normal > 0
    at, intensity = at[~beyond], intensity[~beyond]
    other, added = other[other_beyond], second.intensities[site[other_beyond]] * rng.uniform(0.5, 1)
    if len(at) and len(other):
        free = cKDTree(at).query(other)[0] > rng.uniform(0.5, 0.9) * spacing
        other, added = other[free], added[free]
    return np.vstack([at, other]), np.append(intensity, added)


def _outside_holes(at, shape, rng):
    """True for columns on the specimen: it ends at a ragged line, or has holes."""
    if rng.random() < 0.5:
        normal = rng.normal(size=2)
        normal /= np.linalg.norm(normal)
        ragged = rng.uniform(0, 0.04) * shape[0] * np.sin(at @ normal[::-1] / rng.uniform(2, 12))
        return (at - rng.uniform(0.1, 0.9, 2) * shape) @ normal + ragged < 0
    kept = np.ones(len(at), bool)
    for _ in range(rng.integers(1, 4)):
        away = at - rng.uniform(0, 1, 2) * shape
        kept &= np.linalg.norm(away, axis=1) > rng.uniform(0.03, 0.25) * shape[0]
    return kept


def _imaged(at, intensity, shape, spacing, rng):
    """Record the columns; also return where columns can be seen, and where nobody can say."""
    sigma = spacing * rng.uniform(0.13, 0.36)
    imaging = Imaging(
        sigma=sigma,
        tail=rng.choice([0, rng.uniform(0, 0.5)]),
        astigmatism=(rng.uniform(1, 1.5) if rng.random() < 0.3 else 1.0, rng.uniform(0, 180)),
        jitter=rng.choice([0, rng.uniform(0, 0.1) * spacing], p=[0.3, 0.7]),
        line_noise=rng.choice([0, rng.uniform(0, 0.12)], p=[0.7, 0.3]),
        background=rng.choice([0.02, rng.uniform(0.02, 1.0)]),
        speckle=rng.choice([0, rng.uniform(0, 0.2)], p=[0.5, 0.5]),
    )
    film = _film(shape, spacing, rng) if rng.random() < 0.5 else None
    # The dose follows from the signal-to-noise ratio of a strong column on the background alone.
    snr = math.exp(rng.uniform(math.log(3.5), math.log(90)))
    variance = 1 / (math.pi * (snr / sigma) ** 2)
    counting = rng.uniform(0, 1) if rng.random() < 0.7 else 1.0
    imaging = replace(
        imaging,
        dose=(imaging.background + 0.5) / max(counting * variance, 1e-9),
        readout=math.sqrt((1 - counting) * variance),
    )
    thickness = _film(shape, spacing, rng) if rng.random() < 0.3 else None
    if thickness is not None and len(at):
        row, column = np.clip(np.rint(at).astype(int), 0, np.array(shape) - 1).T
        intensity = intensity * np.clip(1 - 0.4 * thickness[row, column], 0.3, 1)
    image, noise = record(at, intensity, shape, imaging, rng, film=film)
    if rng.random() < 0.2:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.05, 0.25) * spacing + 0.1)
    image = _detected(image, rng)
    # An amorphous film's grains are about as large as a column, so that the filter does not average them out.
    return image, *_visible(at, intensity, np.hypot(noise, 0.8 * imaging.speckle), sigma)


def _visible(at, intensity, noise, sigma):
    """Tell columns that stand out from those that are doubtful, because they are faint or hidden by neighbours."""
    if not len(at):
        return at, at
    snr = intensity / noise
    glare = np.zeros(len(at))
    tree = cKDTree(at)
    pairs = tree.query_pairs(4 * sigma, output_type="ndarray")
    for here, there in (pairs.T, pairs[:, ::-1].T) if len(pairs) else ():
        apart = np.linalg.norm(at[here] - at[there], axis=1)
        np.add.at(glare, here, intensity[there] * np.exp(-(apart**2) / (2 * sigma**2)))
    merged = np.zeros(len(at), bool)
    close = tree.query_pairs(1.9 * sigma, output_type="ndarray")
    if len(close):
        # Of two peaks that fuse, neither can be told for sure.
        merged[close.ravel()] = True
    faint = (snr < _VISIBLE) | (intensity < 0.35 * glare) | merged
    hidden = (snr < _INVISIBLE) & ~merged
    return at[~faint], at[faint & ~hidden]


def _film(shape, spacing, rng):
    """Contamination, a gradient or a thickness that changes, from 0 to about 3 columns' intensity."""
    film = np.zeros(shape, np.float32)
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    if rng.random() < 0.6:
        slope = rng.normal(0, 0.6, 2)
        film += slope[0] * y / shape[0] + slope[1] * x / shape[1]
    for _ in range(rng.integers(0, 3)):
        centre, width = rng.uniform(-0.1, 1.1, 2) * shape, rng.uniform(1.5, 8) * spacing
        away = ((y - centre[0]) ** 2 + (x - centre[1]) ** 2) / (2 * width**2)
        film += rng.uniform(0.1, 2.5) * np.exp(-away).astype(np.float32)
    if rng.random() < 0.5:
        film += rng.uniform(0, 0.4) * speckle(shape, rng.uniform(1, 4) * spacing, rng)
    return film - film.min()


def _detected(image, rng):
    """What detector and file format do: offset, gain, a curved response, saturation, few grey levels."""
    low, high = np.percentile(image, [0.05, 99.95])
    image = (image - low) / max(high - low, 1e-6)
    if rng.random() < 0.3:
        image = np.clip(image, 0, rng.uniform(0.8, 1.2))
    if rng.random() < 0.25:
        image = np.clip(image, 0, None) ** math.exp(rng.uniform(-0.6, 0.5))
    if rng.random() < 0.4:
        image = np.round(image * 255) / 255
    return image.astype(np.float32)
