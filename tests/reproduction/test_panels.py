"""What the panels of cases hold, and what they leave out."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from reproduction.cases import ColumnCase, DefectCase, DomainCase, LoopCase
from reproduction.panels import column_panel, defect_panel, domain_panel, loop_panel
from stemlib.defects import Defects
from stemlib.io.micrograph import Micrograph
from stemlib.plot import panels_figure

IMAGE = np.random.default_rng(0).random((50, 60)).astype(np.float32)
FOUND = pd.DataFrame({"y": [20.0, 40.0, 30.0], "x": [30.0, 50.0, 10.0], "kind": ["missing", "dim", "dim"]})
LABELS = np.repeat(np.repeat([0, 1, -1], [20, 25, 15])[None], 50, axis=0)
LINE = np.array([[0.0, 19.5], [49.0, 19.5]])


def loop_case(**facts):
    boxes = pd.DataFrame(
        {"class": [0, 1], "top": [1.0, 9], "left": [1.0, 9], "bottom": [5.0, 12], "right": [5.0, 12]}
    )
    return LoopCase("a.jpg", IMAGE, "six", shape=IMAGE.shape, pixel_size_nm=0.5, labels={"A": boxes}, **facts)


@pytest.mark.parametrize("sure", [False, True])
def test_loops_are_counted_and_an_unsure_scale_is_left_out(sure):
    match = SimpleNamespace(
        is_found=np.array([True]), is_true=np.array([True, False]), on_class=np.array([-1, 1])
    )
    panel = loop_panel(loop_case(pixel_size_sure=sure), SimpleNamespace(table=FOUND), match)
    assert panel.note == "1 of 1 loops found, 1 of 2 found are true"
    assert panel.pixel_size_nm == (0.5 if sure else None)
    assert len(panel.truth) == 1


@pytest.mark.parametrize("semantic", [False, True])
def test_without_a_licence_the_columns_are_drawn_alone(semantic):
    columns = SimpleNamespace(table=FOUND, semantic_image=IMAGE, spacing=2.0)
    case = ColumnCase("case", Micrograph(IMAGE, None))
    panel = column_panel(case, columns, semantic=semantic, show_image=False)
    (axes,) = panels_figure([panel], columns=1).axes
    assert not axes.images[0].get_array().any()
    assert axes.lines[0].get_xydata().tolist() == FOUND[["x", "y"]].to_numpy().tolist()
    assert axes.get_title().endswith("; no licence stated")


def test_only_labelled_columns_count():
    columns = SimpleNamespace(table=FOUND, semantic_image=IMAGE / 2, spacing=2.0)
    case = ColumnCase("case", Micrograph(IMAGE, 0.02), labels=FOUND)
    match = SimpleNamespace(
        is_found=np.array([True, False, False]),
        in_truth=np.array([True, True, False]),
        is_true=np.array([True, False, False]),
        in_found=np.array([True, True, False]),
    )
    panel = column_panel(case, columns, match)
    assert panel.note == "1 of 2 labelled found, 1 of 2 found labelled"
    # What lies outside of the labelled region is neither missed nor false.
    assert panel.is_found.tolist() == panel.is_true.tolist() == [True, False, True]
    assert panel.image is IMAGE and panel.pixel_size_nm == 0.02
    assert column_panel(case, columns, semantic=True).image is columns.semantic_image


def test_a_defect_panel_says_how_many_known_ones_are_found():
    region = np.array([[0, 0], [0, 49], [49, 49]], float)
    case = DefectCase("case", Micrograph(IMAGE, 0.02), region=region, sites={"W sites": (0, 1)})
    defects = Defects(FOUND, pd.DataFrame(), pd.DataFrame(), None, 0, IMAGE.shape, 0.02)
    truth = pd.DataFrame({"y": [21.0, 80.0], "x": [30.0, 10.0], "is_found": [True, False]})
    panel = defect_panel(
        case, defects, (truth, np.array([True, False, False]), np.array([True, True, False]))
    )
    assert panel.note == "1 of 2 known found, 1 others"
    assert panel.image is IMAGE and panel.region is region and panel.pixel_size_nm == 0.02
    hidden = defect_panel(case, defects, show_image=False)
    assert hidden.note == "3 found\nno licence stated, defects alone"
    assert hidden.image.shape == IMAGE.shape
    (shown,) = panels_figure([hidden], columns=1).axes[0].images
    assert np.ptp(shown.get_array()) == 0


def test_domains_may_be_shown_without_their_image_and_faults_only_where_asked():
    case = DomainCase(
        "crystal",
        Micrograph(IMAGE, 0.02),
        n_domains=2,
        labels=LABELS,
        boundaries=(LINE,),
        may_be_shown=False,
        pixel_size_sure=False,
    )
    domains = SimpleNamespace(labels=LABELS, boundaries=[LINE], faults=[LINE - 6])
    hidden = domain_panel(case, domains, show_image=False)
    (axes,) = panels_figure([hidden], columns=1).axes
    (labels,) = axes.images
    assert labels.get_gid() == "labels" and labels.get_array()[10, 5, 3] == 1
    assert axes.get_title() == "crystal\nno licence stated, labels alone"
    assert hidden.pixel_size_nm is None and not hidden.found_faults
    assert len(domain_panel(case, domains, show_faults=True).found_faults) == 1
    assert domain_panel(case, domains, note="a note", show_image=False).note.startswith("a note\nno licence")


def test_a_case_that_is_not_at_hand_has_its_name_alone():
    panels = [
        loop_panel(loop_case(pixel_size_sure=True)),
        column_panel(ColumnCase("a.jpg", None)),
        defect_panel(DefectCase("a.jpg", None)),
        domain_panel(DomainCase("a.jpg", None, n_domains=2)),
    ]
    assert all(panel.name == "a.jpg" and not panel.is_at_hand for panel in panels)
