"""The leading order of noise along a path against the exact recursion, and its coefficients."""

import numpy as np
import pytest

from hzbench.core.spec import Spec
from hzbench.core.structure import DifferenceLaw, GradientLaw
from hzbench.crossing import Landscape, crossing, follow
from hzbench.harness.build import build_problem, step_sizes
from hzbench.harness.run import predict
from hzbench.harness.setting import setting_of
from hzbench.judge.ordering import settles
from hzbench.theory.noise_path import Path, excess

VECTORS = {"name": "zeroth_order", "directions": "gaussian", "difference": "directional_derivative"}


def spec_of(first, zeroth, samples=8, batch=4, momentum=0.0, steps=60, **problem):
    groups = [{"count": first, "batch_size": batch}] if first else []
    if zeroth:
        estimator = {**VECTORS, "samples": samples}
        groups.append({"count": zeroth, "batch_size": batch, "estimator": estimator})
    words = {"name": "quadratic", "dimension": 6, "noise": 0.1, "initial": 2.0, **problem}
    return Spec.parse(
        {
            "problem": words,
            "nodes": groups,
            "network": {"gossip": "matching", "idle_steps": True},
            "method": {"name": "hdo", "step_size": 0.05, "momentum": momentum},
            "run": {"steps": steps, "replicas": 16, "record": {"every": 1}},
        }
    )


def both(spec):
    """(gap of the mean iterate, ½ tr HΓ) by the leading order and by the exact recursion."""
    problem = build_problem(spec)
    exact = predict("quadratic_dynamics", setting_of(spec, problem)).values
    losses, path = follow(Landscape(problem, "full"), step_sizes(spec).mean(1), 0.0)
    laws = setting_of(spec, problem).laws
    found = excess(path, laws, step_sizes(spec), problem.dimension)
    return losses - problem.constants.minimum, found, exact


ISOTROPIC = {"strong_convexity": 0.7, "smoothness": 0.7}


@pytest.mark.parametrize("counts", [(16, 0), (0, 16), (4, 12)])
@pytest.mark.parametrize("curvature", [ISOTROPIC, {"spectrum": "linear", "strong_convexity": 0.3}])
def test_leading_order_is_the_exact_recursion_where_noise_is_small(counts, curvature):
    free, found, exact = both(spec_of(*counts, samples=60, **curvature))
    added = exact["objective_gap"] - free
    late = slice(5, None)
    rough = 0.06 if curvature is ISOTROPIC else 0.25  # one rate stands for a sum of exponentials
    assert found.mean[late] == pytest.approx(added[late], rel=rough)
    if curvature is ISOTROPIC:
        nodes = 0.5 * 0.7 * exact["consensus_potential"]
        assert found.nodes[30:] == pytest.approx(nodes[30:], rel=0.06)


def test_halved_vectors_and_doubled_batches_are_seen():
    """The same comparison fails with m or b off by a factor 2: it can fail."""
    free, _, exact = both(spec_of(0, 16, samples=60, **ISOTROPIC))
    for change in ({"samples": 30}, {"batch": 2}):
        found = both(spec_of(0, 16, **{"samples": 60, **change}, **ISOTROPIC))[1]
        added = exact["objective_gap"] - free
        assert not np.allclose(found.mean[5:], added[5:], rtol=0.2)


def test_covariances_are_those_of_the_estimates():
    """Σ, I and gg' with their coefficients, against a Monte Carlo in numpy."""
    random = np.random.default_rng(0)
    d, m, b, g = 3, 4, 2, np.array([1.0, -0.5, 2.0])
    sigma = np.diag([0.3, 0.8, 0.1])
    rows = random.multivariate_normal(g, sigma / b, 400_000)
    u = random.normal(size=(len(rows), m, d))
    estimates = ((u @ rows[:, :, None]) * u).mean(axis=1)
    measured = np.cov(estimates.T)
    zero = np.zeros(2)
    one = np.ones(2)
    basis = (sigma, np.eye(d), np.outer(g, g))
    law = DifferenceLaw(
        directions="gaussian", difference="directional_derivative", samples=m, smoothing=1.0,
        batch_size=b, data="shared",
    )  # fmt: skip
    total = np.zeros((d, d))
    for index, shape in enumerate(basis):
        curvature = np.stack([one if k == index else zero for k in range(3)])
        path = Path(
            steps=np.arange(2.0), gradient=one * (g @ g), noise=one * np.trace(sigma),
            curvature=curvature, decay=np.zeros((3, 2)),
        )  # fmt: skip
        total += 2 * excess(path, (law,), np.ones((1, 1)), d).mean[1] * shape
    np.testing.assert_allclose(total, measured, atol=0.05)
    first = excess(path, (GradientLaw(batch_size=b),), np.ones((1, 1)), d)
    assert first.mean[1] == 0.0  # gradients have no noise along themselves


def test_settling():
    assert settles(np.array([1.0, -1.0, 1.0, -1.0, -2.0]), np.arange(5.0)) == 3.0
    assert settles(np.array([-1.0, -2.0]), np.arange(2.0)) == 0.0
    assert np.isnan(settles(np.array([-1.0, 0.0]), np.arange(2.0)))


def test_the_order_of_two_populations_follows():
    """Many zeroth-order nodes join few noisy first-order ones: lower in the end, as exactly."""
    few, hybrid = (
        spec_of(4, 0, batch=1, steps=120, noise=1.0),
        spec_of(4, 60, 16, 1, steps=120, noise=1.0),
    )
    found = crossing(hybrid, few)
    values = [
        predict("quadratic_dynamics", setting_of(s, build_problem(s))).values for s in (hybrid, few)
    ]
    curvature = build_problem(few).structure.hessians[0].trace() / 6
    exact = [v["objective_gap"] + 0.5 * curvature * v["consensus_potential"] for v in values]
    assert np.sign(found.own[-1] - found.other[-1]) == np.sign(exact[0][-1] - exact[1][-1])
    assert np.abs(found.noise_free).max() == 0.0
