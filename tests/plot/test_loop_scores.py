import pandas as pd
import pytest

from stemlib.plot import annotators_figure, candidate_figure, score_figure


def ratios(recall, precision=0.8, ends=("_low", "_high")):
    row = {"recall": recall, "precision": precision}
    for key in ("recall", "precision"):
        row |= {f"{key}{ends[0]}": row[key] - 0.1, f"{key}{ends[1]}": row[key] + 0.1}
    return row


SCORES = pd.DataFrame(
    [
        {"rule": "published", "system": system, "image": image, "available": image != "b"} | ratios(recall)
        for system, recall in (("Module I", 0.9), ("fcn", 0.8))
        for image in ("a", "b", "pooled")
    ]
)
PEOPLE = pd.DataFrame(
    [
        {"rule": "published", "images": images, "found": found, "truth": truth, "n_images": n, "n_truth": 50}
        | ratios(0.7, ends=("_images_low", "_images_high"))
        for images, found, truth, n in (
            ("all", "B", "A", 12),
            ("unseen", "B", "A", 4),
            ("all", "C", "A", 9),
            ("unseen", "C", "A", 9),
            ("unseen", "fcn", "C", 9),
        )
    ]
)


def test_each_system_has_a_mark_and_an_interval_per_image():
    recall, precision = score_figure(SCORES, published={"recall": 0.85, "precision": 0.84}).axes
    first, second = recall.containers
    assert first.lines[0].get_xdata().tolist()[0] == 0.9
    assert second.lines[0].get_xdata().tolist()[0] == 0.8
    segment = first.lines[2][0].get_segments()[0]
    assert segment[:, 0].tolist() == pytest.approx([0.8, 1.0])
    # Systems are told apart by height, so that marks do not hide each other.
    assert first.lines[0].get_ydata()[0] > second.lines[0].get_ydata()[0]
    dashed = [line for line in recall.lines if line.get_linestyle() == "--"]
    assert [line.get_xdata()[0] for line in dashed] == [0.85]
    assert "not available" in [text.get_text() for text in recall.texts]


def test_without_published_values_no_line_stands_for_them():
    recall, _ = score_figure(SCORES).axes
    assert not [line for line in recall.lines if line.get_linestyle() == "--"]


def test_annotators_are_grouped_by_the_truth_they_are_held_against():
    recall, precision = annotators_figure(PEOPLE).axes
    labels = [label.get_text() for label in recall.get_yticklabels()]
    assert labels == [
        "annotators, set B (12 images, 50 loops)",
        "annotators, set B (4 images, 50 loops, not trained on)",
        "annotators, set C (9 images, 50 loops)",
        "one network (fcn) (9 images, 50 loops)",
        "against set A",
        "against set C",
    ]
    heights = recall.get_yticks()
    assert len(set(heights)) == len(heights)
    assert recall.get_xlabel() == "recall, published rule"


@pytest.mark.parametrize("draw", [score_figure, annotators_figure])
def test_a_rule_without_rows_is_an_error(draw):
    with pytest.raises(ValueError, match="'one-to-one' has no rows"):
        draw(SCORES if draw is score_figure else PEOPLE, rule="one-to-one")


def test_points_lie_on_the_axes_and_are_named():
    curve = pd.DataFrame({"per_image": [10.0, 50.0], "recall": [0.5, 0.9]})
    points = [
        {"label": "theirs", "per_image": 40.0, "recall": 0.6, "recall_low": 0.5, "recall_high": 0.7},
        {"label": "as used", "per_image": 30.0, "recall": 0.7},
    ]
    (axes,) = candidate_figure({"ours": curve}, points).axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["ours", "theirs", "as used"]
    assert 40 <= axes.get_xlim()[1] <= 60
