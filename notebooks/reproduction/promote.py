"""`make promote`: newly trained weights replace the shipped ones where they score no worse in validation."""

import json
import math
import sys

from stemlib.io.files import write_atomically

from .repository import ROOT

# Module II is trained on what Module I finds: neither is replaced without the other.
TOGETHER = (("columns",), ("loop_cascade", "loop_screening"), ("loop_fcn",))


def validation_f1(card):
    """Return the validation F1 that a card states."""
    content = json.loads(card.read_text(encoding="utf-8"))
    try:
        score = float(content["validation"]["f1"])
    except (KeyError, TypeError, ValueError):
        score = math.nan
    if not 0 <= score <= 1:
        raise ValueError(
            f"{card} states no validation F1 between 0 and 1; train anew: make reproduce TRAIN=1"
        )
    return score


def promote(trained, shipped, together=TOGETHER):
    """Copy the weights in one folder over those in the other where they score no worse.

    Returns one line of text for each weight file, saying what was done.
    """
    lines = []
    for names in together:
        cards = [trained / f"{name}.json" for name in names]
        missing = [card for card in cards if not card.is_file()]
        if missing:
            if len(missing) < len(cards):
                raise FileNotFoundError(f"{missing[0]} is not there, but {' and '.join(names)} go together")
            continue
        models = [_model(card) for card in cards]
        new = [validation_f1(card) for card in cards]
        old = [_shipped_f1(shipped / card.name) for card in cards]
        better = all(a >= b for a, b in zip(new, old, strict=True))
        if better:
            for path in models + cards:
                write_atomically(shipped / path.name, path.read_bytes())
        done = "replaced" if better else "kept"
        lines += [
            f"{name}: {done}, validation F1 {after:.4f} trained, "
            + ("nothing shipped" if before == -math.inf else f"{before:.4f} shipped")
            for name, before, after in zip(names, old, new, strict=True)
        ]
    if not lines:
        raise FileNotFoundError(
            f"{trained} holds no newly trained weights; train them: make reproduce TRAIN=1"
        )
    return lines


def _model(card):
    models = [path for path in card.parent.glob(f"{card.stem}.*") if path.suffix in (".xml", ".safetensors")]
    if len(models) != 1:
        raise FileNotFoundError(f"beside {card} must lie its one weight file, not {len(models)}")
    return models[0]


def _shipped_f1(card):
    return validation_f1(card) if card.is_file() else -math.inf


def main():
    try:
        print("\n".join(promote(ROOT / "build" / "weights", ROOT / "stemlib" / "weights")))
    except (FileNotFoundError, ValueError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
