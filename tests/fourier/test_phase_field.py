import numpy as np

from stemlib.fourier.geometric_phase import PhaseField


def test_a_gap_of_one_node_is_in_the_crystal_and_a_hole_is_not():
    nodes = 10.0 * np.arange(12)
    weights = np.ones((12, 12))
    weights[3, 3] = 0
    weights[6:10, 6:10] = 0
    weights[:, 11] = 0
    field = PhaseField(nodes, nodes, np.zeros((2, 12, 12)), weights)
    points = np.array([[30.0, 30.0], [75.0, 75.0], [50.0, 50.0], [50.0, 110.0]])
    assert field.covers(points).tolist() == [True, False, True, False]
