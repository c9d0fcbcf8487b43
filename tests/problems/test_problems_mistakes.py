"""Every bad input of a problem gives a sentence with a way out, all of them at once."""

import math

import numpy as np
import pytest
from problems_cases import EXPLICIT, KINDS, N, make
from pydantic import ValidationError

from hzbench.core.errors import SpecError
from hzbench.core.problem import Placement
from hzbench.core.registry import entries, find
from hzbench.problems.arrays import array_mistakes

I3 = np.eye(3).tolist()
ROWS = EXPLICIT["features"].tolist()
BAD = [
    ("quadratic", {}, ["got no dimension"]),
    ("quadratic", {"hessian": [[1, 0], [0]]}, ["hessian with rows of different lengths"]),
    ("quadratic", {"hessian": [[1, 2], [3, 4]]}, ["hessian that is not symmetric"]),
    ("quadratic", {"hessian": [[1, 2], [2, 1]]}, ["the eigenvalue -1", "semidefinite"]),
    ("quadratic", {"hessian": [[1, 0], [0, 0]]}, ["mean has the eigenvalue 0", "unique optimum"]),
    ("quadratic", {"hessians": [I3] * (N + 1)}, [f"expected {N}×3×3"]),
    ("quadratic", {"hessian": I3, "hessians": [I3] * N}, ["both hessian and hessians"]),
    ("quadratic", {"hessian": I3, "spectrum": "log"}, ["both hessian and spectrum"]),
    ("quadratic", {"hessian": I3, "dimension": 4}, ["got hessian of shape 3×3; expected 4×4"]),
    ("quadratic", {"spectrum": [1.0, -2.0]}, ["eigenvalue -2 in spectrum"]),
    ("quadratic", {"dimension": 3, "spectrum": [1.0]}, ["got spectrum of shape 1; expected 3"]),
    ("quadratic", {"dimension": 3, "strong_convexity": 2.0}, ["above smoothness 1"]),
    (
        "quadratic",
        {"dimension": 3, "spectrum": "isotropic", "strong_convexity": 0.5},
        ["isotropic spectrum of 1", "leave strong_convexity out"],
    ),
    ("quadratic", {"dimension": 2, "rotation": [[1, 1], [0, 1]]}, ["orthogonal matrix"]),
    ("quadratic", {"dimension": 2, "linear_terms": [[0, 1]]}, [f"expected {N}×2"]),
    (
        "quadratic",
        {"linear_terms": np.ones((N, 2)), "heterogeneity": 1.0},
        ["both linear_terms and heterogeneity"],
    ),
    ("quadratic", {"dimension": 2, "noise": -0.1}, ["got noise -0.1"]),
    ("quadratic", {"dimension": 2, "noise": [0.1, -0.2]}, ["got noise -0.2"]),
    ("quadratic", {"dimension": 2, "noise": [1, 2, 3]}, ["expected a number or 2"]),
    (
        "quadratic",
        {"dimension": 2, "noise": 0.1, "noise_covariance": [[1, 0], [0, 1]]},
        ["both noise_covariance and noise"],
    ),
    (
        "quadratic",
        {"dimension": 2, "noise_covariance": [[1, 2], [2, 1]]},
        ["noise_covariance with the eigenvalue -1"],
    ),
    ("quadratic", {"dimension": 2, "initial": [1, 2, 3]}, [f"expected a number or 2 or {N}×2"]),
    (
        "quadratic",
        {"dimension": 3, "spectrum": "tridiagonal", "rotation": True},
        ["rotation of the tridiagonal worst case"],
    ),
    ("poisson", {"features": ROWS, "targets": [0.5] * 12}, ["targets 0.5; expected counts"]),
    ("poisson", {"data": "digits"}, ["got data 'digits'; expected counts as targets"]),
    ("phase_retrieval", {"features": ROWS, "targets": [-1.0] * 12}, ["numbers >= 0"]),
    ("smoothed_hinge", {"data": "diabetes"}, ["targets are real numbers"]),
    ("smoothed_hinge", {"features": ROWS, "targets": [0.0] * 12}, ["−1 and +1"]),
    (
        "huber",
        {"planted": {"rows": 9, "dimension": 2}, "data": "diabetes"},
        ["both data and planted", "drop data"],
    ),
    ("huber", {"planted": {"rows": 2, "dimension": 2}}, ["2 rows", f"{N} nodes"]),
    ("multinomial", {"data": "iriss"}, ["a registered data", "did you mean 'iris'"]),
    ("multinomial", {"classes": [1]}, ["got classes [1]", "at least two"]),
    ("multinomial", {"classes": [0, 7]}, ["different ones of 0 ... 2"]),
    (
        "multinomial",
        {"features": ROWS, "targets": [0.0] * 12},
        ["targets of one class, 0", "at least two"],
    ),
    ("logistic", {"features": ROWS, "targets": [1.0] * 12}, ["targets of one class, 1"]),
    ("smoothed_hinge", {"features": ROWS, "targets": [-1.0] * 12}, ["targets of one class, -1"]),
    ("nonconvex_logistic", {"features": ROWS, "targets": [1.0] * 12}, ["targets of one class, 1"]),
    ("multinomial", {"features": ROWS, "targets": [1.0] * 12}, ["targets of one class, 1"]),
    (
        "multinomial",
        {"features": ROWS, "targets": [0.0, 2.0] * 6},
        ["targets without class 1; expected rows of every class 0 ... 2"],
    ),
    ("multinomial", {"features": ROWS, "targets": [0.0, 1e12] * 6}, ["without class 1, 2, 3"]),
    ("logistic", {"planted": {"rows": 1, "dimension": 1}}, ["targets of one class"]),
    (
        "poisson",
        {"planted": {"rows": 50, "dimension": 4, "radius": 40}},
        ["planted counts with a mean of e^", "lower radius"],
    ),
    (
        "poisson",
        {"planted": {"rows": 50, "dimension": 4, "radius": 4.0, "outliers": 1.0}},
        ["planted counts with a mean of e^"],
    ),
    ("multinomial", {"features": ROWS, "targets": [0.5] * 12}, ["expected classes 0, 1, 2"]),
    ("multinomial", {"planted": {"rows": 9, "dimension": 2}}, ["got planted rows"]),
    ("sine_square", {"noise": [0.1, 0.2]}, ["got noise of shape 2; expected a number or 3"]),
    ("sine_square", {"noise": -0.1}, ["got noise -0.1"]),
    ("rosenbrock", {"initial": [1.0, 2.0]}, [f"expected a number or 4 or {N}×4"]),
    ("matrix_factorization", {"rank": 5}, ["got rank 5 of a matrix of size 4"]),
    ("matrix_factorization", {"spectrum": [1.0, -1.0, 0.0, 0.0]}, ["eigenvalues from -1 to 1"]),
    ("matrix_factorization", {"spectrum": [1.0]}, ["got spectrum of shape 1; expected 4"]),
    ("separable", {"dimension": 2, "rates": [1.0, 0.0]}, ["rate of 0"]),
    ("separable", {"dimension": 2, "noise": -1.0}, ["got noise -1"]),
    ("separable", {"dimension": 2, "coefficients": [1, 2, 3]}, ["a number or 2 or 5×2"]),
    ("separable", {"dimension": 1, "linear_terms": np.ones((N, 1))}, ["tilted cosine"]),
    (
        "separable",
        {"dimension": 2, "term": "quartic", "coefficients": [1, -1]},
        ["coefficients whose mean is -1"],
    ),
    (
        "separable",
        {"dimension": 1, "term": "exponential", "linear_terms": np.zeros((N, 1))},
        ["exponential has no minimum"],
    ),
    ("ridge", {"data": "diabetis"}, ["did you mean 'diabetes'"]),
    ("ridge", {"data": "digits", "classes": [3, 3]}, ["two different ones of 0 ... 9"]),
    ("ridge", {"features": ROWS}, ["only one of features and targets"]),
    (
        "ridge",
        {"features": ROWS, "targets": [1.0] * 12, "data": "diabetes"},
        ["both data and features"],
    ),
    ("ridge", {"features": ROWS, "targets": [1.0]}, ["got targets of shape 1; expected 12"]),
    ("ridge", {"features": [[1], [2, 3]], "targets": [1, 2]}, ["rows of different lengths"]),
    ("ridge", {"features": [[1], [2]], "targets": [1, 2]}, [f"got 2 rows for {N} nodes"]),
    (
        "ridge",
        {"features": [[1, 1]] * 9, "targets": [1.0] * 9, "regularization": 0, "standardize": False},
        ["positive definite", "raise regularization"],
    ),
    ("ridge", {"initial": [1.0, 2.0]}, [f"expected a number or 10 or {N}×10"]),
    ("ridge", {"partition": "idd"}, ["did you mean 'iid'"]),
    ("ridge", {"data": "x", "partition": "idd"}, ["got data 'x'", "did you mean 'iid'"]),
    ("logistic", {"data": "diabetes"}, ["expected classes", "problem ridge"]),
    ("ridge", {"features": ROWS, "targets": [0.0, 1e200] * 6}, ["targets up to 1e+200", "row 1"]),
    ("huber", {"features": [[1e200]] * 4, "targets": [1.0] * 4}, ["features up to 1e+200"]),
    ("logistic", {"features": ROWS, "targets": [0.0, 1.0] * 6}, ["got the targets 0", "recode"]),
]
REFUSED = [
    ("quadratic", {"hessian": [[1, 0], [0, math.inf]]}),
    ("quadratic", {"spectrum": [1.0, math.nan]}),
    ("quadratic", {"dimension": 2, "noise": math.nan}),
    ("quadratic", {"dimension": 2, "initial": math.nan}),
    ("ridge", {"features": [[1], [math.nan]], "targets": [1, 2]}),
    ("quadratic", {"dimension": 0}),
    ("quadratic", {"dimension": 3, "smoothness": math.inf}),
    ("quadratic", {"dimension": 3, "smoothness": 0.0}),
    ("quadratic", {"dimension": 3, "heterogeneity": -1.0}),
    ("quadratic", {"dimension": 3, "evaluation_noise": math.nan}),
    ("quadratic", {"dimension": 3, "initial_spread": -1.0}),
    ("quadratic", {"dimension": 3, "instance_seed": -1}),
    ("quadratic", {"dimension": 3, "spectrum": "cubic"}),
    ("quadratic", {"dimension": 3, "dimensions": 3}),
    ("ridge", {"regularization": -0.1}),
    ("ridge", {"regularization": math.nan}),
    ("logistic", {"regularization": 0.0}),
]


@pytest.mark.parametrize(("name", "keys", "words"), BAD)
def test_a_mistake_says_got_expected_do(name, keys, words):
    component = find("problem", name).target(**keys)
    found = component.mistakes(Placement(kinds=KINDS))
    assert found
    text = "\n".join(found)
    assert all(word in text for word in words), text
    for sentence in found:
        assert sentence.startswith("got ") or ": got " in sentence
        assert sentence.count(";") >= 2
        assert "expected" in sentence
    with pytest.raises(SpecError) as caught:
        component.build(Placement(kinds=KINDS))
    assert caught.value.mistakes == tuple(dict.fromkeys(found))


@pytest.mark.parametrize(("name", "keys"), REFUSED)
def test_impossible_numbers_are_refused(name, keys):
    """By the field, or by the problem that checks its arrays again."""
    with pytest.raises((ValidationError, SpecError)):
        find("problem", name).target(**keys).build(Placement(kinds=KINDS))


def test_arrays_that_are_not_finite_say_where():
    (text,) = array_mistakes("hessian", [[1, 0], [0, math.inf]], (2, 2))
    assert text.startswith("got inf in hessian at [1, 1]; expected finite numbers")
    (text,) = array_mistakes("noise", math.nan, (), (2,))
    assert text.startswith("got nan in noise; expected")


def test_all_mistakes_come_at_once():
    keys = {
        "dimension": 3,
        "linear_terms": [[1, 2]],
        "initial": [1.0] * 4,
        "noise": [1, 2],
        "noise_covariance": [[1]],
    }
    found = find("problem", "quadratic").target(**keys).mistakes(Placement(kinds=KINDS))
    assert len(found) == 5


def test_every_component_is_documented():
    for kind in ("problem", "partition", "graph", "weights"):
        for entry in entries(kind).values():
            assert entry.summary
            for name, field in entry.target.model_fields.items():
                assert field.description, f"{entry.name}.{name}"
    for entry in entries("problem").values():
        assert entry.section("Formula")
        assert entry.section("Source")


@pytest.mark.parametrize("name", ["quadratic", "ridge", "logistic"])
def test_specs_survive_their_normal_form(name):
    keys = {"dimension": 3, "rotation": True} if name == "quadratic" else {"partition": "sorted"}
    component = find("problem", name).target(**keys)
    again = type(component).model_validate(component.model_dump(mode="json", exclude_defaults=True))
    assert again == component
    assert make(name, **keys).initial.shape[0] == N


def test_a_partition_of_others_that_leaves_a_node_empty_is_named(monkeypatch):
    def members(_self, targets, kinds, _seed):
        return (np.arange(len(targets)), *(np.arange(0) for _ in kinds[1:]))

    monkeypatch.setattr("hzbench.problems.partition.Iid.members", members)
    (text,) = find("problem", "ridge").target().mistakes(Placement(kinds=KINDS[:3]))
    assert text.startswith("got a partition that leaves the nodes [1, 2] without rows; expected")
