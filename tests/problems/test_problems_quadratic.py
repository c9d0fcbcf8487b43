"""The generators of the quadratic problem give what their words say."""

import numpy as np
import pytest
from problems_cases import EXPLICIT, N, make


def spectrum(**keys):
    return np.linalg.eigvalsh(make("quadratic", **keys).structure.hessians[0])


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, [0.1, 0.4, 0.7, 1.0]),
        ({"smoothness": 2.0}, [0.2, 0.8, 1.4, 2.0]),
        ({"spectrum": "isotropic", "smoothness": 3.0}, [3, 3, 3, 3]),
        ({"spectrum": "log", "strong_convexity": 0.001}, [0.001, 0.01, 0.1, 1]),
        (
            {"spectrum": "power", "strong_convexity": 0.25},
            [1 / 4, 1 / 3, 1 / 2, 1],
        ),
        ({"spectrum": [0.5, 2.0, 1.0, 4.0]}, [0.5, 1, 2, 4]),
    ],
)
@pytest.mark.parametrize("rotation", [False, True])
def test_spectra(keys, expected, rotation):
    assert spectrum(dimension=4, rotation=rotation, **keys) == pytest.approx(expected, rel=1e-12)


def test_one_dimension_takes_the_smoothness():
    for name in ("linear", "log", "power", "isotropic"):
        assert spectrum(dimension=1, spectrum=name, smoothness=2.0).tolist() == [2.0]


def test_explicit_rotation_and_order_of_eigenvalues():
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    problem = make("quadratic", spectrum=[1.0, 3.0], rotation=turn)
    assert problem.structure.hessians[0] == pytest.approx(turn @ np.diag([1.0, 3.0]) @ turn.T)


def test_haar_rotations_are_seeded_and_isotropic():
    first = [
        make("quadratic", dimension=3, spectrum=[1, 1, 3], rotation=True, instance_seed=s)
        for s in range(300)
    ]
    again = make("quadratic", dimension=3, spectrum=[1, 1, 3], rotation=True)
    assert (first[0].structure.hessians == again.structure.hessians).all()
    mean = np.mean([problem.structure.hessians[0] for problem in first], axis=0)
    assert mean == pytest.approx(5 / 3 * np.eye(3), abs=0.12)
    assert np.ptp([p.structure.hessians[0, 0, 0] for p in first]) > 1.5


def test_heterogeneity_is_exact_and_centred():
    problem = make("quadratic", dimension=6, heterogeneity=0.5, instance_seed=9)
    b = problem.structure.linear
    assert b.sum(axis=0) == pytest.approx(np.zeros(6), abs=1e-14)
    assert (b**2).sum() / N == pytest.approx(0.25)
    assert problem.constants.heterogeneity == pytest.approx(0.25)
    other = make("quadratic", dimension=6, heterogeneity=0.5, instance_seed=10).structure.linear
    assert np.abs(other - b).max() > 0.1
    doubled = make("quadratic", dimension=6, heterogeneity=1.0, instance_seed=9).structure.linear
    assert doubled == pytest.approx(2 * b)


def test_one_node_has_no_heterogeneity():
    problem = make("quadratic", kinds=("first",), dimension=3, heterogeneity=1.0)
    assert not problem.structure.linear.any()
    assert problem.constants.heterogeneity == 0


def test_starting_points():
    start = make("quadratic", dimension=4, initial=2.0).initial
    assert (start == 1.0).all()
    assert np.linalg.norm(make("quadratic", dimension=4).initial[0]) == pytest.approx(1.0)
    assert make("quadratic", initial=[1.0, 2.0]).initial.tolist() == [[1, 2]] * N
    given = make("quadratic", initial=EXPLICIT["initial"]).initial
    assert (given == EXPLICIT["initial"]).all()
    wide = make("quadratic", dimension=2000, initial=0.0, initial_spread=0.3).initial
    assert wide.std(axis=1) == pytest.approx(np.full(N, 0.3), rel=0.1)
    assert np.abs(wide[0] - wide[1]).max() > 0.1


def test_keys_draw_from_streams_of_their_own():
    """Rotating or spreading must leave the linear terms alone."""
    plain = make("quadratic", dimension=3, heterogeneity=1.0)
    other = make("quadratic", dimension=3, heterogeneity=1.0, rotation=True, initial_spread=1.0)
    assert (plain.structure.linear == other.structure.linear).all()


def test_dimension_comes_from_any_array():
    assert make("quadratic", noise=[0.1, 0.2]).dimension == 2
    assert make("quadratic", linear_terms=np.zeros((N, 7))).dimension == 7
    assert make("quadratic", noise_covariance=np.eye(3)).dimension == 3


def test_shared_matrices_are_stored_once():
    structure = make("quadratic", dimension=50, rotation=True).structure
    assert structure.hessians.strides[0] == 0
    assert structure.noise.strides[0] == 0
    same = make("quadratic", hessians=[np.eye(3)] * N)
    assert same.constants.heterogeneity_holds == "everywhere"


@pytest.mark.parametrize("d", [2, 5, 40])
def test_the_tridiagonal_worst_case(d):
    """Its extreme eigenvalues; and k gradient steps from 0 reach k coordinates, no more."""
    keys = {"dimension": d, "spectrum": "tridiagonal", "smoothness": 3.0, "initial": 0.0}
    problem = make("quadratic", **keys, strong_convexity=0.02)
    A, b = problem.structure.hessians[0], problem.structure.linear
    spectrum = np.linalg.eigvalsh(A)
    assert spectrum[[0, -1]] == pytest.approx([0.02, 3.0], rel=1e-9)
    assert (np.triu(A, 2) == 0).all()
    assert (b[:, 1:] == 0).all()
    assert b[:, 0] == pytest.approx(-A[0, 1])
    x = np.zeros(d)
    for step in range(1, d):
        x = x - 0.3 * (A @ x - b[0])
        assert (x[:step] != 0).all()
        assert (x[step:] == 0).all()
    alone = make("quadratic", dimension=1, spectrum="tridiagonal")
    assert alone.structure.hessians[0].item() == 1.0
