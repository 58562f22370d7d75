"""Results that show themselves: in one line, as a small picture with numbers, and drawn on axes."""

import base64
import html
import io

from stemlib.workbench.measured import counted, numbers, with_error, with_interval

_PICTURE = 3.4  # inches, at 110 dots per inch


def in_words(result):
    """Return a result in one line.

    Examples
    --------
    >>> import stemlib
    >>> from stemlib.synthetic import crystal_image
    >>> image = crystal_image("square", (96, 96), spacing=9.5, seed=0).image
    >>> in_words(stemlib.find_columns(image, pixel_size_nm=0.02))
    '111 columns, distance of nearest neighbours 0.189 nm'
    """
    match type(result).__name__:
        case "Lattice":
            return _lattice_in_words(result)
        case "Domains":
            undecided = float((result.labels < 0).mean())
            return f"{counted(result.n_domains, 'domains')}, {undecided:.0%} of the image undecided"
    rows = numbers(result)
    said = [counted(int(rows["value"].iloc[0]), rows["what"].iloc[0])]
    for row in rows.to_dict("records"):
        if row["what"].startswith("of kind "):
            said.append(f"{row['value']:.0f} {row['what'].removeprefix('of kind ')}")
        elif row["what"].startswith(("mean diameter", "distance", f"{rows['what'].iloc[0]} per")):
            said.append(f"{row['what']} {with_interval(row)}")
    return ", ".join(said)


def _lattice_in_words(lattice):
    known = lattice.pixel_size_nm is not None
    lengths, errors = (
        (lattice.lengths_nm, lattice.length_errors_nm) if known else (lattice.lengths, lattice.length_errors)
    )
    unit = "nm" if known else "px"
    edges = [
        f"{name} = {with_error(*pair)} {unit}" for name, *pair in zip("ab", lengths, errors, strict=True)
    ]
    return ", ".join([*edges, f"angle {with_error(lattice.angle_deg, lattice.angle_error_deg)}°"])


def draw(result, ax=None):
    """Draw a result on its image; see `stemlib.io.result.Result.plot`."""
    if result.view is None:
        name = type(result).__name__
        raise ValueError(
            f"this {name} has no image (view=None) to be drawn on; plot what stemlib.find_{name.lower()} returns"
        )
    from stemlib import plot

    return plot.draw_result(result, ax)


def as_html(result):
    """Return a result as HTML: a small picture, where it has an image, and its numbers."""
    rows = "".join(
        f"<tr><td style='text-align:left'>{html.escape(row['what'])}</td>"
        f"<td style='text-align:left'>{html.escape(with_interval(row))}</td></tr>"
        for row in numbers(result).to_dict("records")
    )
    name = type(result).__name__
    table = f"<table><caption style='text-align:left'><b>{name}</b></caption>{rows}</table>"
    if result.view is None:
        return table
    picture = base64.b64encode(picture_of(result)).decode()
    image = f"<img alt='{name} on the image' src='data:image/png;base64,{picture}'>"
    return f"<div style='display:flex;align-items:flex-start;gap:1em;flex-wrap:wrap'>{image}{table}</div>"


def picture_of(result, width=_PICTURE):
    """Return the result drawn on its image as PNG bytes, so many inches wide."""
    from stemlib import plot

    with io.BytesIO() as stream:
        figure = plot.result_figure(result, width=width)
        figure.savefig(stream, format="png", dpi=110)
        return stream.getvalue()
