"""The zero-chain: what a gradient reveals, the law of its oracle, and the facts recalled of it."""

import numpy as np
import pytest
import torch
from problems_cases import make, rows

from hzbench.problems.zero_chain import ChainSample

NODE = torch.zeros(1, dtype=torch.int64)


def chain(**keys):
    return make("zero_chain", kinds=("first",), **keys)


def progress(x, scale=1.0):
    """Number of the last coordinate beyond λ/4, 0 if there is none."""
    beyond = np.flatnonzero(np.abs(x) > scale / 4)
    return int(beyond[-1]) + 1 if beyond.size else 0


@pytest.mark.parametrize("scale", [1.0, 0.3])
def test_a_gradient_reveals_one_coordinate(scale):
    """At a point with prog = k all partial derivatives beyond k + 1 are exactly 0."""
    problem, random = chain(dimension=7, scale=scale), np.random.default_rng(0)
    for known in range(7):
        x = np.zeros(7)
        x[:known] = scale * random.uniform(0.3, 2.0, known) * random.choice([-1, 1], known)
        x[known:] = 0.2 * scale * random.uniform(-1, 1, 7 - known)
        slope = problem.objective_gradient(torch.from_numpy(x)[None])[0].numpy()
        assert (slope[known + 1 :] == 0).all()
        assert slope[known] != 0


def test_gradient_descent_climbs_the_chain_one_step_at_a_time():
    problem, x = chain(dimension=5, smoothness=152.0), np.zeros(5)
    for step in range(4):
        slope = problem.objective_gradient(torch.from_numpy(x)[None])[0].numpy()
        assert (x[step:] == 0).all()
        assert np.linalg.norm(slope) > 1  # no point with prog < T is nearly stationary
        x = x - 1.0 * slope / np.abs(slope).max()
        assert progress(x) <= step + 1


def test_facts_of_the_unscaled_chain():
    """f(0) − inf f ≤ 12 T, |∂_j f| ≤ 23 and |∇f| > 1 where prog < T (Arjevani et al., Lemma 2)."""
    problem, random, length = chain(dimension=12, smoothness=152.0), np.random.default_rng(3), 12
    x = 3 * torch.from_numpy(random.standard_normal((4000, length)))
    x[:2000, -4:] = 0.25 * torch.from_numpy(random.uniform(-1, 1, (2000, 4)))
    slopes = problem.objective_gradient(x)
    assert float(slopes.abs().max()) <= 23
    unfinished = torch.tensor([progress(point) < length for point in x.numpy()])
    assert float(slopes[unfinished].norm(dim=1).min()) > 1
    start = float(problem.objective(torch.zeros(1, length).double())[0])
    low = float(problem.objective(torch.full((1, length), 9.0).double())[0])
    assert 10 * length < start - low <= 12 * length


@pytest.mark.parametrize("probability", [0.1, 0.6])
def test_the_oracle_is_unbiased_with_the_declared_noise(probability):
    """Enumerate the coin: mean, trace of the covariance, and where it may differ at all."""
    keys = {"dimension": 6, "probability": probability, "smoothness": 3.0, "scale": 0.7}
    problem, random = chain(**keys), np.random.default_rng(5)
    for known in (0, 2, 6):
        x = torch.zeros(1, 6).double()
        x[0, :known] = 0.7 * torch.from_numpy(random.uniform(0.3, 1.5, known))
        shown, hidden = (
            problem.gradients(
                x,
                NODE,
                ChainSample(
                    count=1, zeta=None, factor=torch.full((1, 1), factor, dtype=torch.float64)
                ),
            )[0, 0]
            for factor in (1 / probability, 0.0)
        )
        mean = probability * shown + (1 - probability) * hidden
        torch.testing.assert_close(mean, problem.objective_gradient(x)[0], rtol=1e-12, atol=1e-14)
        trace = probability * (1 - probability) * float((shown - hidden).square().sum())
        assert float(problem.gradient_noise(x, NODE)[0]) == pytest.approx(trace, rel=1e-10)
        spread = probability * (1 - probability) * torch.outer(shown - hidden, shown - hidden)
        found = problem.gradient_covariance(x, NODE)[0]
        torch.testing.assert_close(found, spread, rtol=1e-10, atol=1e-14)
        assert trace <= problem.constants.noise[0]
        assert np.flatnonzero((shown - hidden).numpy()).tolist() == ([known] if known < 6 else [])


def test_coins_fall_as_often_as_they_should():
    problem, probability = chain(probability=0.3), 0.3
    at = rows(4000, nodes=1)
    single = problem.sample(at, 1, 5).factor
    assert set(single.unique().tolist()) <= {0.0, 1 / probability}
    count, seen = single.numel(), float((single > 0).sum())
    assert abs(seen - count * probability) < 4.5 * (count * probability * (1 - probability)) ** 0.5
    batch = problem.sample(at, 4, 5).factor * probability
    sd = (probability * (1 - probability) / 4 / batch.numel()) ** 0.5
    assert abs(float(batch.mean()) - probability) < 4.5 * sd
    assert float(batch.var()) == pytest.approx(probability * (1 - probability) / 4, rel=0.05)


def test_function_values_hide_nothing():
    problem, at = chain(probability=0.2), rows(3, nodes=1)
    x = torch.linspace(-2, 2, 18).double().view(3, 1, 1, 6)
    found = problem.values(x, at.node, problem.sample(at, 1, 1))[:, 0, 0]
    torch.testing.assert_close(found, problem.objective(x[:, 0, 0]))
