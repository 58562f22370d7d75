"""Triplet phases: descriptors that do not change when a segment is shifted, and see what no Patterson function sees."""

import numpy as np
from scipy.spatial import cKDTree

_MOST = 16
_TOLERANCE = (
    0.5  # of the standard deviation of a window in reciprocal space, for the sum of three reflections
)
_NOISE_FLOOR = 3.0
_SCATTER = 0.08  # rad, of a triplet phase in a perfect crystal


def find_triplets(vectors, strengths, tolerance, *, most=_MOST):
    """Find reflections g1, g2, g3, each or its opposite, whose sum is zero.

    Parameters
    ----------
    vectors : numpy.ndarray, shape (K, 2)
        One of each pair of opposite reflections, (y, x), cycles per px.
    strengths : numpy.ndarray, shape (K,)
        Amplitudes; the triplets with the largest products are kept.
    tolerance : float
        Length of the sum that counts as zero, cycles per px.
    most : int or None
        How many triplets are kept; None for all.

    Returns
    -------
    indices : numpy.ndarray of int, shape (T, 3)
    signs : numpy.ndarray of int, shape (T, 3)
        -1 where the opposite reflection is meant.

    Examples
    --------
    >>> vectors = np.array([[0.0, 0.1], [0.1, 0.0], [0.1, 0.1]])
    >>> indices, signs = find_triplets(vectors, np.ones(3), 0.01)
    >>> indices.tolist(), signs.tolist()
    ([[0, 1, 2]], [[1, 1, -1]])
    """
    both = np.stack([-vectors, vectors], axis=1).reshape(-1, 2)
    number, sign = np.arange(len(both)) // 2, np.tile([-1, 1], len(vectors))
    # The three opposite reflections say the same, so the first is one that is given; the others follow in order.
    first, second = np.nonzero(number >= np.arange(len(vectors))[:, None])
    sums = vectors[first] + both[second]
    zero = cKDTree(-sums).sparse_distance_matrix(cKDTree(both), tolerance, output_type="ndarray")
    pair, third = zero["i"], zero["j"]
    ordered = number[third] >= number[second[pair]]
    pair, third = pair[ordered], third[ordered]
    indices = np.stack([first[pair], number[second[pair]], number[third]], axis=1)
    signs = np.stack([np.ones_like(pair), sign[second[pair]], sign[third]], axis=1)
    best = np.lexsort([third, pair, -strengths[indices].prod(axis=1)])[:most]
    return indices[best], signs[best]


def triplet_features(segments):
    """Describe segments by the triplet phases of their strong reflections.

    A crystal that is shifted by s multiplies the amplitude of a reflection g by exp(-2 pi i g . s). In the product of
    three amplitudes whose reflections add up to zero these factors cancel: like a power, the product does not depend
    on where the segment begins, but unlike a power it has a phase. The crystal seen inverted has the conjugate
    amplitudes, so the same powers, the same Patterson function, and the opposite triplet phases. Crystallographers
    solve structures by these phases; averaged over segments the products are the image's bispectrum. A segment's
    descriptor is, for each triplet, the real and the imaginary part of the product of its amplitudes, each divided by
    its modulus where that stands out of the noise and fading to 0 where it does not.

    Parameters
    ----------
    segments : stemlib.domains.windows.LocalSegments

    Returns
    -------
    numpy.ndarray, shape (N, 2 T), float
        One row for each usable segment; one standard deviation of noise is about 1. Without columns where no three
        reflections add up to zero.

    References
    ----------
    W. Cochran, Acta Cryst. 8, 473 (1955), https://doi.org/10.1107/S0365110X55001485, for triplet phases; A. W. Lohmann,
    G. Weigelt and B. Wirnitzer, Appl. Opt. 22, 4028 (1983), https://doi.org/10.1364/AO.22.004028, for the bispectrum
    of images. Their use to tell the domains of a crystal apart is ours.
    """
    powers = segments.powers[:, segments.usable]
    indices, signs = find_triplets(
        segments.vectors, np.sqrt(np.quantile(powers, 0.9, axis=1)), _TOLERANCE / segments.period
    )
    noise = segments.noise[:, segments.usable]
    raised = powers + _NOISE_FLOOR * noise
    unit = segments.amplitudes[:, segments.usable] / np.sqrt(raised)
    variance = noise / (2 * raised)
    features = []
    for index, sign in zip(indices, signs, strict=True):
        product = np.prod(
            [unit[i] if s > 0 else np.conj(unit[i]) for i, s in zip(index, sign, strict=True)], axis=0
        )
        scatter = np.sqrt(np.median(variance[index].sum(axis=0)) + _SCATTER**2)
        features += [product.real / scatter, product.imag / scatter]
    return np.array(features).reshape(-1, powers.shape[1]).T
