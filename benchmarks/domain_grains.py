"""Simulated grains for domains.py: a few degrees apart, many in one image, tetragonal ones, amorphous rims."""

import numpy as np
from scipy.spatial import cKDTree

from reproduction.cases import DomainCase
from stemlib.domains.result import boundary_lines
from stemlib.io.micrograph import Micrograph
from stemlib.synthetic import Crystal, Recording, crystal_image, named_crystal
from stemlib.synthetic.imaging import speckle

SYMMETRY_DEG = {
    "square": 90,
    "hexagonal": 60,
    "perovskite": 90,
    "honeycomb": 60,
    "dumbbell": 180,
    "graphene": 60,
}
FIRST_SEED = 7100
SIDE = 512


def composed(name, crystals, labels, spacing, *, seed, film=None):
    """Crystals, each (crystal, turn in degrees), in the areas of a map of labels; vacuum where it is -1."""
    edge = max(np.linalg.norm(_cell(crystal), axis=1).max() for crystal, _ in crystals) * spacing
    options = {"spacing": spacing, "recording": Recording(snr=20.0, drift=1.0, jitter=0.1, film=film)}
    drawn = [
        crystal_image(crystal, labels.shape, rotation_deg=turn, seed=[seed, k], **options).image
        for k, (crystal, turn) in enumerate(crystals)
    ]
    image = np.choose(np.maximum(labels, 0), drawn)
    lines = boundary_lines(labels, 1.0)[0] if len(crystals) > 1 else []
    return DomainCase(
        name,
        Micrograph(image),
        n_domains=len(crystals),
        labels=labels,
        boundaries=tuple(lines),
        cell_edge=edge if lines else None,
    )


def turned_grains(n_images):
    """Two grains 3, 5, 8 and 12 degrees apart."""
    for seed in range(n_images):
        for apart in (3, 5, 8, 12):
            for crystal in ("square", "hexagonal", "perovskite", "dumbbell"):
                rng = np.random.default_rng([FIRST_SEED, seed, apart, len(crystal)])
                turn, labels = rng.uniform(0, 90), _halves(rng)
                pair = ((crystal, turn), (crystal, turn + apart))
                yield composed(f"{crystal} {apart}", pair, labels, rng.uniform(9, 12), seed=seed)


def polycrystals(n_images):
    """Three to six grains of one crystal, at least 6 degrees apart."""
    for seed in range(n_images):
        for index, (crystal, symmetry) in enumerate(SYMMETRY_DEG.items()):
            rng = np.random.default_rng([FIRST_SEED + 1, seed, index])
            count = 3 + (index + seed) % 4
            turns = (
                rng.uniform(0, symmetry) + symmetry * (np.arange(count) + rng.uniform(0, 0.3, count)) / count
            )
            grains = tuple((crystal, turn) for turn in rng.permutation(turns))
            yield composed(f"{crystal} {count}", grains, _voronoi(rng, count), rng.uniform(9, 12), seed=seed)


def tetragonal(n_images):
    """Perovskites 1 to 3 % longer than wide, turned by 90 degrees."""
    square = named_crystal("perovskite")
    for seed in range(n_images):
        for longer in (0.01, 0.02, 0.03):
            rng = np.random.default_rng([FIRST_SEED + 2, seed, round(100 * longer)])
            cell = square.cell * [[1 + longer / 2], [1 - longer / 2]]
            crystal = Crystal(cell, square.sites, square.intensities)
            turn = rng.uniform(0, 180)
            pair = ((crystal, turn), (crystal, turn + 90))
            yield composed(f"{longer:.0%}", pair, _halves(rng), rng.uniform(9, 12), seed=seed)


def rims(n_images):
    """One crystal with a bright amorphous rim, and vacuum beyond."""
    for seed in range(n_images):
        for crystal in SYMMETRY_DEG:
            rng = np.random.default_rng([FIRST_SEED + 3, seed, len(crystal)])
            spacing, rim = rng.uniform(8, 12), rng.uniform(3, 9)
            depth = _depth(rng)
            case = composed(
                crystal, ((crystal, rng.uniform(0, 180)),), np.where(depth > 0, 0, -1), spacing, seed=seed
            )
            image = case.source.image
            dark = np.quantile(image, 0.02) + 0.02 * np.ptp(image) * rng.normal(size=image.shape)
            bright = dark + rng.uniform(0.3, 0.6) * np.ptp(image) * (
                1 + 0.35 * speckle(image.shape, 0.18 * spacing, rng)
            )
            image = np.where(depth > 0, image, np.where(depth > -rim * spacing, bright, dark))
            yield DomainCase(crystal, Micrograph(image.astype(np.float32)), n_domains=1, labels=case.labels)


KINDS = {
    "two grains, 3 to 12 degrees apart": turned_grains,
    "three to six grains": polycrystals,
    "tetragonal by 1 to 3 %, turned by 90 degrees": tetragonal,
    "one crystal, amorphous rim, vacuum": rims,
}


def _cell(crystal):
    return (named_crystal(crystal) if isinstance(crystal, str) else crystal).cell


def _depth(rng):
    """How far each pixel is on one side of a straight line near the middle, px."""
    angle, off = rng.uniform(0, 2 * np.pi), rng.uniform(-50, 50)
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    return y * np.sin(angle) + x * np.cos(angle) - off


def _halves(rng):
    return (_depth(rng) > 0).astype(int)


def _voronoi(rng, count):
    """Grains around random centres, none much smaller than the others."""
    places = np.moveaxis(np.mgrid[:SIDE, :SIDE], 0, -1)
    while True:
        labels = cKDTree(rng.uniform(0, SIDE, (count, 2))).query(places)[1]
        if np.bincount(labels.ravel(), minlength=count).min() > 0.5 * SIDE**2 / count:
            return labels
