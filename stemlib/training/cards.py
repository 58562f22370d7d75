"""The card of a weight file: what is known of it, written beside it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from stemlib.io.files import write_atomically


@dataclass(frozen=True)
class Origin:
    """How weights came to be, for their card."""

    command: str  # that makes them again
    data: str = ""
    split: str = ""  # what of the data was held back for scores and threshold
    seed: int = 0
    minutes: float = 0.0  # that the training took


def write_card(weights: str | Path, origin: Origin, content: dict) -> Path:
    """Write the card of a weight file beside it: name and checksum, origin, and what else there is to say.

    Examples
    --------
    >>> import tempfile
    >>> weights = write_atomically(Path(tempfile.mkdtemp(), "w.xml"), "<cascade/>")
    >>> card = json.loads(write_card(weights, Origin("make"), {"validation": {"f1": 0.8}}).read_text())
    >>> card["file"], card["command"], card["validation"]["f1"]
    ('w.xml', 'make', 0.8)
    """
    weights = Path(weights)
    card = {"file": weights.name, "sha256": hashlib.sha256(weights.read_bytes()).hexdigest()}
    card |= {**vars(origin), "minutes": round(float(origin.minutes), 1)} | content
    return write_atomically(
        weights.with_suffix(".json"), json.dumps(card, indent=1, ensure_ascii=False) + "\n"
    )
