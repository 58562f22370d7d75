"""Score what does not look like the rest: one-class support vector machine on principal components."""

import numpy as np
from sklearn.decomposition import PCA
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import SGDOneClassSVM
from sklearn.svm import OneClassSVM

_COMPONENTS = 12
# Half of the segments support the machine: so many that a few percent of defects cannot vouch for themselves.
_NU = 0.5
_GAMMA = 0.25  # of the kernel, over the number of components
_MOST_EXACT = 5000
_LANDMARKS = 300
_MOST_LEARNT = 20_000  # segments that principal components are learnt from
_FLOOR = 1e-3  # of the greatest density: where its approximation cannot be told from 0


def one_class_scores(descriptors, *, seed=0, method="auto"):
    """Score descriptors by how far they lie from where most are.

    Principal components, each divided by the scatter of the majority, go into a one-class support vector machine with
    a Gaussian kernel. The score is minus the logarithm of its sum of kernels, over the greatest: in the order of the
    machine's decisions, growing like a squared distance, without a limit far outside.

    Parameters
    ----------
    descriptors : numpy.ndarray, shape (N, M)
    seed : int
        Of the approximate methods.
    method : str
        "exact"; "linear", with Nyström's approximation of the kernel and stochastic gradients, whose cost is
        proportional to N; or "auto": exact up to 5000 descriptors.

    Returns
    -------
    numpy.ndarray, shape (N,)
        From 0 on, larger for what is unlike the rest.

    Raises
    ------
    ValueError
        If `method` is unknown or there are fewer than three descriptors.

    References
    ----------
    B. Schölkopf et al., Neural Comput. 13, 1443 (2001), https://doi.org/10.1162/089976601750264965.

    Examples
    --------
    >>> import numpy as np
    >>> descriptors = np.random.default_rng(0).normal(size=(300, 20))
    >>> descriptors[7] += 6
    >>> int(one_class_scores(descriptors).argmax())
    7
    """
    descriptors = np.asarray(descriptors, np.float32)
    if method not in ("auto", "exact", "linear"):
        raise ValueError(f'method={method!r} is not known; "auto", "exact" or "linear" would do')
    if len(descriptors) < 3:
        raise ValueError(f"descriptors holds {len(descriptors)} rows; what is usual shows from three on")
    if not np.ptp(descriptors, axis=0).any():
        return np.zeros(len(descriptors))
    exact = len(descriptors) <= _MOST_EXACT if method == "auto" else method == "exact"
    values = _standardised(descriptors, seed)
    gamma = _GAMMA / values.shape[1]
    if exact:
        machine = OneClassSVM(nu=_NU, gamma=gamma).fit(values)
        density = machine.decision_function(values) - machine.intercept_[0]
        floor = 1e-300
    else:
        count = min(_LANDMARKS, len(values))
        kernel = Nystroem(gamma=gamma, n_components=count, random_state=seed)
        features = kernel.fit_transform(values)
        machine = SGDOneClassSVM(nu=_NU, random_state=seed, average=True).fit(features)
        density = features @ machine.coef_
        floor = _FLOOR
    return -np.log(np.maximum(density / density.max(), floor))


def _standardised(descriptors, seed):
    """Principal components over the scatter of the majority in each."""
    rng = np.random.default_rng(seed)
    learnt = descriptors
    if len(learnt) > _MOST_LEARNT:
        learnt = learnt[np.sort(rng.choice(len(learnt), _MOST_LEARNT, replace=False))]
    count = min(_COMPONENTS, *descriptors.shape)
    components = PCA(count, svd_solver="covariance_eigh").fit(learnt)
    values = components.transform(descriptors).astype(float)
    values -= np.median(values, axis=0)
    scatter = 1.4826 * np.median(np.abs(values), axis=0)
    return values / np.maximum(scatter, 1e-6 * max(float(scatter.max()), 1e-30))
