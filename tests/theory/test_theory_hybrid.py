"""The crossover against the exact all-reduce recursion, and every assumption's failure."""

from dataclasses import replace

import numpy as np
import pytest
from theory_settings import FIRST, setting, zeroth

from hzbench.core.setting import NetworkFacts, ScheduleFacts
from hzbench.core.structure import GeneralizedLinear, Quadratic
from hzbench.theory.hybrid import crossover, hybrid_crossover

D, ETA, STEPS = 6, 0.02, 600


def structure(n, slope=1.0, evaluation_noise=0.0):
    return Quadratic(
        hessians=np.array([slope * np.eye(D)] * n),
        linear=np.ones((n, D)),
        noise=np.array([0.5 * np.eye(D)] * n),
        evaluation_noise=evaluation_noise,
    )


def population(n1, n0, law=None, evaluation_noise=0.0, **changes):
    """A hybrid with its first-order reference, both on the complete graph."""
    law = law or zeroth(samples=2)
    words = {
        "steps": STEPS,
        "record": (0, STEPS),
        "protocol": "matrix",
        "network": NetworkFacts(weights="uniform"),
    }
    words |= changes
    alone = setting(
        structure(n1, evaluation_noise=evaluation_noise),
        (FIRST,) * n1,
        initial=np.zeros((n1, D)),
        step_sizes=np.full(n1, ETA),
        **words,
    )
    n = n1 + n0
    return setting(
        structure(n, evaluation_noise=evaluation_noise),
        (FIRST,) * n1 + (law,) * n0,
        initial=np.zeros((n, D)),
        step_sizes=np.full(n, ETA),
        reference=alone,
        **words,
    )


def all_reduce_gap(noises, growths, steps=STEPS):
    """E½|mean − x*|² by the scalar recursion v+ = ρ²v + (η²/n²)(Σs + v Στ)."""
    n, v = len(noises), float(D)
    for _ in range(steps):
        v = (1 - ETA) ** 2 * v + ETA**2 / n**2 * (sum(noises) + v * sum(growths))
    return v / 2


# n_1 = 3 and sphere with m = 2 in d = 6: n_0* = 3 (5/2 − 1) = 4.5
@pytest.mark.parametrize(
    ("law", "threshold", "s0", "tau"),
    [
        (zeroth(samples=2), 4.5, 3 * (1 + 5 / 2), 5 / 2),
        (zeroth(samples=2, directions="gaussian"), 7.5, 3 * (1 + 7 / 2), 7 / 2),
        (zeroth(samples=3, directions="rademacher"), 2.0, 3 * (1 + 5 / 3), 5 / 3),
        (zeroth(samples=4, data="fresh"), -1.5, 3 * 6 / 4, 5 / 4),
        (zeroth(samples=2, batch_size=2), 3 * 0.5 * 3.5 - 6, 1.5 * 3.5, 5 / 2),
    ],
)
def test_threshold_and_sign(law, threshold, s0, tau):
    for n0 in (1, 4, 5, 9):
        given = population(3, n0, law)
        numbers = crossover(given)
        assert numbers.threshold == pytest.approx(threshold, abs=1e-9)
        assert numbers.zeroth == pytest.approx(s0)
        prediction = hybrid_crossover(given)
        assert prediction.kind == "order"
        exact = all_reduce_gap([3.0] * 3 + [s0] * n0, [0] * 3 + [tau] * n0)
        alone = all_reduce_gap([3.0] * 3, [0] * 3)
        difference = exact - alone
        assert numbers.difference == pytest.approx(difference, rel=1e-9)
        assert prediction.applies == (abs(difference) > 0.05 * alone)
        if not prediction.applies:
            continue
        sign = prediction.values["objective_gap_difference"]
        assert sign.shape == (1,)
        assert sign[0] in {-1.0, 1.0}
        assert sign[0] * difference > 0
        assert sign[0] == (-1.0 if n0 > threshold else 1.0)


def test_own_noise_of_a_difference_counts():
    law = zeroth(samples=2, smoothing=0.5)
    given = population(3, 5, law, evaluation_noise=0.4)
    s0 = 3 * 3.5 + 6 * 0.16 / (2 * 0.25 * 2)
    assert crossover(given).threshold == pytest.approx(3 * (s0 / 3 - 2))
    forward = population(3, 5, replace(law, difference="forward"), evaluation_noise=0.4)
    curvature = 0.25 / 8 * 36 * (36 + 12) / 8
    s0 = 3 * 3.5 + 6 * 2 * 0.16 / (0.25 * 2) + curvature
    assert crossover(forward).zeroth == pytest.approx(s0)


def test_the_crossover_itself_is_not_decided():
    given = population(4, 6, zeroth(samples=2))  # n_0* = 4 · 3/2 = 6
    texts = [a.text for a in hybrid_crossover(given).assumptions if not a.holds]
    assert texts[0] == "the two exact gaps differ by 5 %"


def test_matchings_apply_and_pairs_do_not():
    assert hybrid_crossover(population(3, 9, protocol="matching", network=NetworkFacts())).applies
    ring = population(3, 9, protocol="matching", network=NetworkFacts(graph="ring"))
    assert not hybrid_crossover(ring).applies
    assert not hybrid_crossover(population(3, 9, protocol="pair", network=NetworkFacts())).applies


def test_rows_apply_when_all_nodes_hold_the_same():
    rng = np.random.default_rng(1)
    features, targets = rng.normal(size=(12, 2)), rng.normal(size=12)

    def rows(n, same=True):
        members = tuple(np.arange(12) if same else np.arange(12 - i) for i in range(n))
        return GeneralizedLinear(
            features=features, targets=targets, members=members, loss="squared", regularization=0.1
        )

    def make(same):
        words = {"steps": 800, "record": (800,), "network": NetworkFacts(weights="uniform")}
        alone = setting(
            rows(2, same),
            (FIRST,) * 2,
            step_sizes=np.full(2, ETA),
            initial=np.zeros((2, 2)),
            **words,
        )
        return setting(
            rows(8, same),
            (FIRST,) * 2 + (zeroth(samples=1),) * 6,
            initial=np.zeros((8, 2)),
            step_sizes=np.full(8, ETA),
            reference=alone,
            **words,
        )

    assert hybrid_crossover(make(same=True)).applies
    assert crossover(make(same=True)).threshold == pytest.approx(0.0, abs=1e-9)
    assert not hybrid_crossover(make(same=False)).applies


def test_where_it_does_not_apply():
    good = population(3, 9)
    assert hybrid_crossover(good).applies
    other = good.reference
    changes = [
        {"reference": None},
        {"reference": replace(other, kinds=("first", "first", "zeroth"))},
        {"reference": replace(other, step_sizes=np.full(3, 0.03))},
        {"reference": replace(other, protocol="matching")},
        {"reference": replace(other, steps=10)},
        {"reference": population(2, 9).reference},
        {"kinds": ("first",) * 12},
        {"laws": (*good.laws[:-1], zeroth(samples=7))},
        {"moves": False},
        {"momentum": 0.5},
        {"schedule": ScheduleFacts(name="cosine")},
        {"record": (0, 20)},
        {"record": ()},
        {"step_sizes": np.linspace(0.01, 0.02, 12)},
        {"network": NetworkFacts(matrix=np.eye(12))},
        {"network": NetworkFacts(graph="hypercube")},
    ]
    for change in changes:
        prediction = hybrid_crossover(replace(good, **change))
        assert not prediction.applies, change
        assert not prediction.values
    different = replace(
        good.problem,
        structure=replace(good.problem.structure, linear=np.arange(12.0 * D).reshape(12, D)),
    )
    assert not hybrid_crossover(replace(good, problem=different)).applies
    silent = population(3, 9, replace(zeroth(), batch_size="full"))
    silent = replace(silent, laws=tuple(replace(law, batch_size="full") for law in silent.laws))
    silent = replace(silent, reference=replace(silent.reference, laws=silent.laws[:3]))
    assert not hybrid_crossover(silent).applies


def test_how_much_of_the_start_may_be_left():
    given = population(3, 9, steps=100, record=(0, 100))
    assert crossover(given).left == pytest.approx((1 - ETA) ** 200, rel=1e-10)
    early = population(3, 9, steps=100, record=(0, 100))
    failed = [a.text for a in hybrid_crossover(early).assumptions if not a.holds]
    assert failed[0] == "the start is forgotten"
