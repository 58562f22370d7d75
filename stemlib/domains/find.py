"""Divide an image into its crystals, phases and twins, without labels: `find_domains`."""

import numpy as np

from stemlib.domains.crystals import domain_crystal, same_phases
from stemlib.domains.result import Domains, boundary_lines, enlarged
from stemlib.domains.search import Request, divide
from stemlib.domains.windows import NothingPeriodicError, cut_segments, working_image
from stemlib.io.masking import masked_micrograph
from stemlib.io.micrograph import as_micrograph
from stemlib.io.result import View

DESCRIPTORS = ("patterson", "triplet")
METHODS = ("mixture", "one-class")
SMALLEST_SIDE = 32  # px
_PERIODS_PER_WINDOW = 5  # an image that holds fewer along a side has no room for a window
_SMOOTHING = 0.25  # periods, of the boundaries' lines


def find_domains(
    image,
    *,
    n_domains=None,
    descriptor="patterson",
    method="mixture",
    merge_orientations=False,
    pixel_size_nm=None,
    mask=None,
    dark_columns=False,
    seed=0,
):
    """Divide an atomic-resolution image into its domains: grains, phases and twins, and say how many there are.

    Gaussian windows several periods wide, which slide over the image, are described by the powers of the image's
    reflections and by how far these are off their places (`stemlib.fourier.strain`), that is, by their Patterson
    functions; or by triplet phases as well. Their groups are the domains. A division into two stands only where the
    groups are apart by several times their scatter, as no smooth change in a single crystal makes them:
    `stemlib.domains.clustering.find_groups` says how far; or if they are nearly so far apart, and each one's crystal
    explains its pixels better than the other's. Narrower windows show narrow domains, and where no domain explains the
    image, it is searched for more crystals. Each domain's crystal is continued over its rim, and every pixel goes to
    the one that explains it best. Bands that windows show along stacking faults are no domains
    (`stemlib.domains.faults.only_crystals`); the faults are lines, `Domains.faults`. Amorphous parts are undecided.

    Parameters
    ----------
    image : path, (H, W) array of any real dtype, Micrograph or HyperSpy Signal2D
    n_domains : int, optional
        How many domains to divide the image into; fewer are left where some are too small to be outlined, or where one
        explains the pixels of another as well. By default, as many as there are.
    descriptor : {"patterson", "triplet"}
        "patterson", to which a crystal and its inverted twin look the same, or "triplet", which tells them apart; see
        `stemlib.fourier.triplets.triplet_features`.
    method : {"mixture", "one-class"}
        "mixture": all segments are grouped. "one-class": the published way; the most uniform part is learnt, and its
        outliers are a second domain.
    merge_orientations : bool
        Whether one phase in several orientations is one domain. The column ``phase`` of the table tells in any case.
    pixel_size_nm : float, optional
        Wins over the image's own.
    mask : array_like of bool, shape (H, W), optional
        True where to look.
    dark_columns : bool
        Whether columns are darker than what surrounds them. Changes nothing but the sign of the triplet phases, so
        the domains stay the same.
    seed : int
        For groups that have to be made where nothing divides the segments.

    Returns
    -------
    Domains

    Raises
    ------
    FileNotFoundError, TypeError
        As `stemlib.io.micrograph.as_micrograph`.
    ValueError
        If the image is too small or nothing in it is periodic, if it has no room for `n_domains`, or if an argument
        is no good.

    References
    ----------
    Y. Guo et al., npj Comput. Mater. 7, 180 (2021), https://doi.org/10.1038/s41524-021-00642-1, for domains found
    without labels by Patterson functions of segments and one-class support vector machines.

    Examples
    --------
    >>> from stemlib.synthetic import crystal_image
    >>> left = crystal_image("square", (160, 160), spacing=9, rotation_deg=0, seed=0).image
    >>> right = crystal_image("square", (160, 160), spacing=9, rotation_deg=25, seed=0).image
    >>> domains = find_domains(np.where(np.arange(160) < 90, left, right))
    >>> (
    ...     domains.n_domains,
    ...     domains.labels[80, [10, 150]].tolist(),
    ...     round(domains.boundaries[0][:, 1].mean() / 10),
    ... )
    (2, [0, 1], 9)
    """
    _check_choice(descriptor, "descriptor", DESCRIPTORS)
    _check_choice(method, "method", METHODS)
    n_domains = _checked_number(n_domains, method)
    seen = as_micrograph(image, pixel_size_nm=pixel_size_nm)
    micrograph, mask, ignored = masked_micrograph(seen, mask)
    segments = _segments(-micrograph.image if dark_columns else micrograph.image, mask, n_domains)
    division = divide(segments, Request(n_domains, descriptor, method, seed))
    segments, competition = division.grouping.segments, division.grouping.competition
    numbers, labels = _largest_first(division.labels)
    if not numbers:
        raise NothingPeriodicError
    crystals = [domain_crystal(segments, division.grouping.groups, k) for k in numbers]
    phases = same_phases(crystals, segments)
    if merge_orientations:
        numbers, labels = _largest_first(np.array([*phases, -1])[labels])
        # Each phase with the crystal of its largest part.
        crystals = [crystals[phases.index(k)] for k in numbers]
        phases = list(range(len(numbers)))
    factor = segments.work.factor
    labels = np.where(mask, enlarged(labels, factor, mask.shape), -1)
    lines, pairs = boundary_lines(labels, max(0.5, _SMOOTHING * segments.work.period * factor))
    window = float(2 * np.sqrt(2 * np.log(2)) * segments.waves.sigma * factor)
    crystals = [crystal.enlarged(factor) for crystal in crystals]
    working = (competition, division.labels)
    scale = (micrograph.pixel_size_nm, micrograph.origin_nm)
    return Domains(labels, lines, pairs, crystals, phases, window, working, *scale, ignored, View(seen, mask))


def _check_choice(value, name, choices):
    if value not in choices:
        raise ValueError(f"{name}={value!r} is not known; one of {', '.join(map(repr, choices))} would do")


def _checked_number(value, method):
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"n_domains must be a whole number or None, not {value!r}")
    if value < 1:
        raise ValueError(f"n_domains={value} must be at least 1; None lets the image decide")
    if method == "one-class" and value > 2:
        raise ValueError(
            f'n_domains={value} is more than method="one-class" tells apart, one domain and its outliers; '
            'method="mixture" has no such limit'
        )
    return int(value)


def _segments(image, mask, n_domains):
    """The image's segments, after it is sure that there is room for them."""
    if min(image.shape) < SMALLEST_SIDE:
        raise ValueError(
            f"image is {image.shape[0]} x {image.shape[1]} px; domains need {SMALLEST_SIDE} px on a side at least"
        )
    if np.ptp(image[mask]) == 0:
        raise ValueError("image is constant where mask is True, so nothing in it is periodic")
    work = working_image(image, mask)
    window = _PERIODS_PER_WINDOW * work.period
    if min(work.flat.shape) < window:
        raise ValueError(
            f"image is {image.shape[0]} x {image.shape[1]} px, smaller than a window of {_PERIODS_PER_WINDOW} periods "
            f"of {work.period * work.factor:.1f} px; a larger field of view would do"
        )
    segments = cut_segments(work)
    if segments.room < 1:
        raise NothingPeriodicError
    if n_domains is not None and n_domains > segments.room:
        raise ValueError(
            f"n_domains={n_domains} is more than the image can hold: it has room for {segments.room} domains of "
            f"{3 * segments.waves.steps[0] * work.factor:.0f} px on a side"
        )
    return segments


def _largest_first(labels):
    """Which labels there are, the largest first, and the labels (H, W) in their order from 0 on."""
    sizes = np.bincount(labels[labels >= 0])
    numbers = [k for k in np.argsort(-sizes, kind="stable").tolist() if sizes[k] > 0]
    order = np.full(len(sizes) + 1, -1)
    order[numbers] = np.arange(len(numbers))
    return numbers, order[labels]
