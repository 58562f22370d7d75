"""Divide an image into its crystals, phases and twins, without labels: `find_domains`."""

import numpy as np

from stemlib.domains.crystals import domain_crystal, same_phases
from stemlib.domains.result import Domains, boundary_lines, enlarged
from stemlib.domains.search import divide
from stemlib.domains.unexplained_regions import with_reflections_of_gaps
from stemlib.domains.windows import NoReflectionsError, cut_segments, working_image
from stemlib.io.micrograph import as_micrograph, check_mask

DESCRIPTORS = ("patterson", "triplet")
METHODS = ("mixture", "one-class")
SMALLEST_SIDE = 32  # px
_PERIODS_PER_WINDOW = 5  # an image that holds fewer along a side has no room for a window
_SEGMENTS_PER_DOMAIN = 9  # whole ones: the smallest area whose middle is not disturbed by its surroundings
_SEARCHES = 3  # for crystals where no domain explains the image
_UNCHANGED = 0.01  # of the image: a search that explains so little more was the last one
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
    (`stemlib.domains.amorphous.only_crystals`); the faults are lines, `Domains.faults`. Amorphous parts are undecided.

    Parameters
    ----------
    image : path, (H, W) array of any real dtype, Micrograph or HyperSpy Signal2D
    n_domains : int, optional
        How many domains to divide the image into; fewer are left where some are too small to be drawn, or where one
        explains the pixels of another as well. By default, as many as there are.
    descriptor : str
        "patterson", to which a crystal and its inverted twin look the same, or "triplet", which tells them apart; see
        `stemlib.fourier.triplets.triplet_features`.
    method : str
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
    micrograph = as_micrograph(image, pixel_size_nm=pixel_size_nm)
    mask = check_mask(mask, micrograph.image.shape)
    work, segments = _segments(-micrograph.image if dark_columns else micrograph.image, mask, n_domains)
    division = searched = divide(work, segments, n_domains, descriptor, method, seed)
    for _ in range(_SEARCHES):
        more = with_reflections_of_gaps(searched.work, searched.gap)
        if more is None:
            break
        segments = cut_segments(more)
        if _room(segments) < (n_domains or 1):
            break
        before, searched = searched, divide(more, segments, n_domains, descriptor, method, seed)
        division = max(division, searched, key=lambda one: (one.n_domains, -one.gap.sum()))
        if abs(searched.gap.mean() - before.gap.mean()) < _UNCHANGED:
            break
    work, segments, labels = division.work, division.segments, division.labels
    working = (work, labels, division.waves)
    crystals, labels = _ordered(segments, division.groups, labels)
    phases = same_phases(crystals, segments)
    if merge_orientations:
        crystals, labels = _merged(crystals, labels, np.array(phases))
        phases = list(range(len(crystals)))
    labels = np.where(mask, enlarged(labels, work.factor, mask.shape), -1)
    lines, pairs = boundary_lines(labels, max(0.5, _SMOOTHING * work.period * work.factor))
    window = 2 * np.sqrt(2 * np.log(2)) * segments.waves.sigma * work.factor
    crystals = [crystal.enlarged(work.factor) for crystal in crystals]
    return Domains(labels, lines, pairs, crystals, phases, float(window), working, micrograph.pixel_size_nm)


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


def _nothing_periodic():
    return ValueError(
        "image shows nothing periodic; domains need crystals in atomic resolution, about five periods across, columns "
        "at least 4 px apart, and a signal above the noise"
    )


def _segments(image, mask, n_domains):
    """The image's segments, after it is sure that there is room for them."""
    if min(image.shape) < SMALLEST_SIDE:
        raise ValueError(
            f"image is {image.shape[0]} x {image.shape[1]} px; domains need {SMALLEST_SIDE} px on a side at least"
        )
    if np.ptp(image[mask]) == 0:
        raise ValueError("image is constant where mask is True, so nothing in it is periodic")
    try:
        work = working_image(image, mask)
    except NoReflectionsError:
        raise _nothing_periodic() from None
    window = _PERIODS_PER_WINDOW * work.period
    if min(work.flat.shape) < window:
        raise ValueError(
            f"image is {image.shape[0]} x {image.shape[1]} px, smaller than a window of {_PERIODS_PER_WINDOW} periods "
            f"of {work.period * work.factor:.1f} px; a larger field of view would do"
        )
    segments = cut_segments(work)
    room = _room(segments)
    if room < 1:
        raise _nothing_periodic()
    if n_domains is not None and n_domains > room:
        raise ValueError(
            f"n_domains={n_domains} is more than the image can hold: it has room for {room} domains of "
            f"{3 * segments.waves.rows()[1] * work.factor:.0f} px on a side"
        )
    return work, segments


def _room(segments):
    """For how many domains there are segments."""
    return int((segments.usable & segments.trusted).sum()) // _SEGMENTS_PER_DOMAIN


def _ordered(segments, groups, labels):
    """The domains that are left, the largest first, and the labels with their numbers."""
    sizes = np.bincount(labels[labels >= 0], minlength=int(groups.max()) + 1)
    if not sizes.any():
        raise _nothing_periodic()
    order = [k for k in np.argsort(-sizes, kind="stable") if sizes[k] > 0]
    number = np.full(len(sizes) + 1, -1)
    number[order] = np.arange(len(order))
    return [domain_crystal(segments, groups, k) for k in order], number[labels]


def _merged(crystals, labels, phases):
    """The phases as domains, the largest first, each with the crystal of its largest part, and their labels."""
    labels = np.where(labels >= 0, phases[labels], -1)
    order = np.argsort(-np.bincount(labels[labels >= 0]), kind="stable")
    number = np.argsort(order)
    return [crystals[np.argmax(phases == k)] for k in order], np.where(labels >= 0, number[labels], -1)
