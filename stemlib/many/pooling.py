"""All images of a batch taken together: numbers with intervals that hold for the series, not for one image."""

import numpy as np
import pandas as pd

from stemlib.agreement.scores import percentile_interval

_DRAWS, _CONFIDENCE = 2000, 0.95
# What is counted or summed in each image, and over what: columns of the summary, None for the image itself.
_RATIOS = {
    "loops": {"density_per_px2": ("loops", "area")},
    "columns": {"columns_per_image": ("columns", None)},
    "defects": {"defects_per_site": ("defects", "sites")},
    "domains": {"domains_per_image": ("domains", None)},
    "lattice": {"a": ("a", None), "b": ("b", None), "angle_deg": ("angle_deg", None)},
}


def pooled(batch):
    """Return what all images together say.

    Images of a series differ by more than what they hold by chance, so whole images are drawn for the intervals.

    Parameters
    ----------
    batch : stemlib.many.Batch

    Returns
    -------
    pandas.DataFrame
        ``what``, ``value``, ``low``, ``high`` (95 % percentile bootstrap over images; NaN with fewer than two) and
        ``images``, how many it is of. Lengths and densities are in nm where every image has a pixel size, and in px
        otherwise. Loops cut by an image's edge count for the density alone.

    Examples
    --------
    >>> import tempfile
    >>> import stemlib
    >>> from stemlib.synthetic import crystal_image
    >>> images = [crystal_image("square", (96, 96), spacing=9, seed=seed).image for seed in range(2)]
    >>> batch = stemlib.batch(images, "lattice", output=tempfile.mkdtemp(), workers=1, pictures=False)
    >>> pooled(batch)[["what", "images"]].to_numpy().tolist()
    [['a', 2], ['b', 2], ['angle_deg', 2]]
    """
    done = batch.summary[batch.summary["error"] == ""]
    scaled = bool(len(done)) and done["pixel_size_nm"].notna().all()
    rows = []
    for what, (top, bottom) in _RATIOS[batch.what].items():
        over = np.ones(len(done)) if bottom is None else done[bottom].to_numpy(float)
        if scaled and what in ("a", "b"):
            what, top = f"{what}_nm", f"{top}_nm"
        if scaled and bottom == "area":
            what, over = "density_per_nm2", over * done["pixel_size_nm"].to_numpy(float) ** 2
        rows.append(_ratio(what, done[top].to_numpy(float), over))
    if batch.what == "loops":
        rows.append(_mean_diameter(batch.table, done, "_nm" if scaled else ""))
    return pd.DataFrame(rows)


def _mean_diameter(table, done, unit):
    whole = table[~table["touches_edge"].astype(bool)]
    by_image = whole.groupby(["image", "frame"])[f"major{unit}"].agg(["sum", "count"])
    images = pd.MultiIndex.from_arrays([done["image"], done["frame"].astype(int)])
    sums = by_image.reindex(images, fill_value=0).to_numpy(float)
    return _ratio(f"mean_diameter{unit}", *sums.T)


def _ratio(what, top, bottom):
    """A sum over all images divided by another one, with an interval."""
    draws = np.full(0, np.nan)
    if len(top) > 1:
        chosen = np.random.default_rng(0).integers(len(top), size=(_DRAWS, len(top)))
        over = bottom[chosen].sum(axis=1)
        draws = np.divide(top[chosen].sum(axis=1), over, out=np.full(_DRAWS, np.nan), where=over > 0)
    low, high = percentile_interval(draws, _CONFIDENCE)
    value = float(top.sum() / bottom.sum()) if bottom.sum() > 0 else np.nan
    return {"what": what, "value": value, "low": low, "high": high, "images": len(top)}
