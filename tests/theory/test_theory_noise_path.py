"""The leading order of noise along a path against the exact recursion, and its coefficients."""

import numpy as np
import pytest

from hzbench import crossing
from hzbench.core.problem import Placement
from hzbench.core.registry import find
from hzbench.core.spec import Spec
from hzbench.core.structure import DifferenceLaw, GradientLaw
from hzbench.crossing import Landscape, Predicted, compare, follow, predicted
from hzbench.harness.build import build_problem, step_sizes
from hzbench.harness.prepare import predict
from hzbench.harness.setting import setting_of
from hzbench.judge.ordering import settles
from hzbench.theory.noise_path import Path, excess

VECTORS = {"name": "zeroth_order", "directions": "gaussian", "difference": "directional_derivative"}


def spec_of(first, zeroth, samples=8, batch=4, momentum=0.0, steps=60, silent=0, eta=0.05,
            dtype="float64", **problem):  # fmt: skip
    groups = [{"count": first, "batch_size": batch}] if first else []
    if zeroth:
        estimator = {**VECTORS, "samples": samples}
        groups.append({"count": zeroth, "batch_size": batch, "estimator": estimator})
    words = {"name": "quadratic", "dimension": 6, "noise": 0.1, "initial": 2.0, **problem}
    return Spec.parse(
        {
            "problem": words,
            "nodes": groups,
            "network": {"gossip": "matching", "idle_steps": True, "silent_rounds": silent},
            "method": {"name": "hdo", "step_size": eta, "momentum": momentum},
            "run": {"steps": steps, "replicas": 16, "record": {"every": 1}, "dtype": dtype},
        }
    )


def both(spec):
    """(gap of the mean iterate, ½ tr HΓ) by the leading order and by the exact recursion."""
    problem = build_problem(spec)
    exact = predict("quadratic_dynamics", setting_of(spec, problem)).values
    momentum = spec.method.get("momentum", 0.0)
    _, losses, path = follow(Landscape(problem), step_sizes(spec).mean(1), momentum)
    laws = setting_of(spec, problem).laws
    silent = spec.network.silent_rounds
    found = excess(path, laws, step_sizes(spec), problem.dimension, momentum, silent)
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


@pytest.mark.parametrize("silent", [0, 40])
def test_momentum_and_silent_rounds_are_those_of_the_exact_recursion(silent):
    """The buffer exactly, the drift by its long-run effect; the nodes' own part too."""
    spec = spec_of(4, 12, samples=60, momentum=0.8, steps=120, silent=silent, **ISOTROPIC)
    free, found, exact = both(spec)
    late = slice(20, None)
    assert found.mean[late] == pytest.approx((exact["objective_gap"] - free)[late], rel=0.06)
    nodes = 0.5 * 0.7 * exact["consensus_potential"]
    assert found.nodes[late] == pytest.approx(nodes[late], rel=0.06)


def test_momentum_that_is_left_out_is_seen():
    spec = spec_of(4, 12, samples=60, momentum=0.8, steps=120, **ISOTROPIC)
    exact = both(spec)[2]
    plain = both(spec_of(4, 12, samples=60, steps=120, **ISOTROPIC))[1]
    nodes = 0.5 * 0.7 * exact["consensus_potential"][60:]
    assert not np.allclose(plain.nodes[60:], nodes, rtol=0.3)


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
            time=np.arange(2.0), gradient=one * (g @ g), noise=one * np.trace(sigma),
            curvature=curvature, decay=np.zeros((3, 2)),
        )  # fmt: skip
        total += 2 * excess(path, (law,), np.ones((1, 1)), d).mean[1] * shape
    np.testing.assert_allclose(total, measured, atol=0.05)
    first = excess(path, (GradientLaw(batch_size=b),), np.ones((1, 1)), d)
    assert first.mean[1] == 0.0  # gradients have no noise along themselves


def test_populations_of_other_step_sizes_are_read_off_one_path():
    """Gradient flow: the error is of first order in the step size."""
    worst = []
    for eta in (0.04, 0.02):
        own, other = (spec_of(4, 0, eta=size, steps=60) for size in (eta, eta / 2))
        shared, alone = predicted([own, other])[1], predicted([other])[0]
        assert shared.noise == pytest.approx(alone.noise, rel=0.15)
        worst.append(np.abs(shared.free / alone.free - 1).max())
    assert worst[0] < 0.06
    assert worst[1] < 0.55 * worst[0]


def test_sampled_gradients_measure_the_same_without_bias():
    """Pairs of independent draws: squares of gradients and of Hv do not count sampling noise."""
    spec = spec_of(4, 12, noise=1.0, steps=40, dtype="float32")
    etas = step_sizes(spec).mean(1)
    _, losses, exact = follow(Landscape.of(spec, "full"), etas, 0.0)
    times, some, sampled = follow(Landscape.of(spec, 200), etas, 0.0)
    known = np.exp(np.interp(sampled.time, exact.time, np.log(exact.gradient)))
    late = known < 0.1 * known[0]
    error = 2 * np.sqrt(6 / (16 * 200) * known[late]) + 6 / (16 * 200)
    assert late.any()
    assert (np.abs(sampled.gradient - known)[late] < 4 * error).all()
    assert sampled.noise == pytest.approx(6.0, rel=0.5)  # 16 samples of trace 6
    np.testing.assert_allclose(sampled.decay[1], exact.decay[1, 0], rtol=0.3)
    known = np.interp(times, np.round(np.append(0, np.cumsum(etas)), 12), losses)
    assert some == pytest.approx(known, rel=0.05)


@pytest.mark.parametrize("batch_size", ["full", 4])
def test_single_precision_measures_the_same_along_a_network(batch_size):
    """With dropout where gradients are sampled: both precisions share every draw."""
    data = {"name": "brackets", "training": 40, "validation": 12, "shortest": 12, "longest": 14}
    component = find("problem", "transformer").target(data=data, feedforward=4, dropout=0.1)
    problems = {
        dtype: component.build(Placement(kinds=("first",) * 4, dtype=dtype))
        for dtype in ("float64", "float32")
    }
    precise = problems["float64"]
    landscapes = (
        Landscape(precise, batch_size),
        Landscape(problems["float32"], batch_size, precise),
    )
    found = [follow(each, np.full(12, 0.05), 0.8) for each in landscapes]
    (_, losses, double), (_, again, single) = found
    np.testing.assert_allclose(again, losses, rtol=1e-5)
    np.testing.assert_allclose(single.gradient, double.gradient, rtol=1e-3)
    np.testing.assert_allclose(single.noise, double.noise, rtol=1e-3)
    for ours, exact in ((single.curvature, double.curvature), (single.decay, double.decay)):
        np.testing.assert_allclose(ours, exact, rtol=0.01, atol=0.01 * np.abs(exact).max())


def test_orderings_about_one_problem_share_one_path(monkeypatch):
    few, hybrid = (
        spec.model_copy(update={"name": name})
        for spec, name in ((spec_of(4, 0), "few"), (spec_of(4, 12), "hybrid"))
    )
    seen = []
    real = crossing.follow
    monkeypatch.setattr(crossing, "follow", lambda *words: seen.append(1) or real(*words))
    said = {"predict": True, "run": "hybrid", "relation": "below", "step": 60}
    orderings = [
        {**said, "pairs": {"few": {}}, "than": ["few"]},
        {**said, "pairs": {"few": {}}, "than": ["few"], "relation": "above", "step": 30},
        {"predict": False, "run": "few", "pairs": {"hybrid": {}}, "than": ["hybrid"]},
    ]
    crossing.predict_crossings(orderings, [few, hybrid])
    assert len(seen) == 1
    told = [each["pairs"]["few"]["predicted"] for each in orderings[:2]]
    assert told[0]["difference"] == told[1]["difference"]
    assert [each["at_step"] for each in told] == [told[0]["difference"][step] for step in (60, 30)]
    expected = compare(*predicted([hybrid, few]))
    assert told[0]["difference"] == expected.difference.tolist()
    assert (told[0]["step"] is None) != (told[1]["step"] is None)
    assert "predicted" not in orderings[2]["pairs"]["hybrid"]


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
    found = compare(*predicted([hybrid, few]))
    values = [
        predict("quadratic_dynamics", setting_of(s, build_problem(s))).values for s in (hybrid, few)
    ]
    curvature = build_problem(few).structure.hessians[0].trace() / 6
    exact = [v["objective_gap"] + 0.5 * curvature * v["consensus_potential"] for v in values]
    assert np.sign(found.difference[-1]) == np.sign(exact[0][-1] - exact[1][-1])
    assert np.abs(found.noise_free).max() == 0.0
    assert found.small


def test_noise_beyond_its_leading_order_leaves_the_step_sizes_alone():
    falls = np.array([1.0, 0.5, 0.25])
    calm = Predicted(free=falls, noise=np.array([0.0, 0.0, 0.1]))
    wild = Predicted(free=falls + np.array([0.0, 0.1, 0.1]), noise=np.array([0.0, 1.0, 1e40]))
    found = compare(wild, calm)
    assert not found.small
    assert (found.difference == found.noise_free).all()
    assert np.isnan(found.step)
    assert compare(calm, wild).step == 1
