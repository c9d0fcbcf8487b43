"""The one-step identity against enumeration of partners, rows and signs."""

import itertools

import numpy as np
import pytest
from theory_settings import FIRST, NetworkFacts, ScheduleFacts, setting, zeroth

from hzbench.core.structure import GeneralizedLinear
from hzbench.theory.martingale import lemma2_martingale

D = 2
EXACT = "directional_derivative"
SIGNS = np.array(list(itertools.product([-1.0, 1.0], repeat=D)))


def logistic(n, rng, rows=2):
    """Every node holds `rows` rows of its own."""
    return GeneralizedLinear(
        features=rng.normal(size=(n * rows, D)),
        targets=rng.choice([-1.0, 1.0], n * rows),
        members=tuple(np.arange(rows) + rows * i for i in range(n)),
        loss="logistic",
        regularization=0.2,
    )


def row_gradients(model, node, x):
    """Gradients of the node's rows at x, by the chain rule written out, shape [rows, d]."""
    a, y = model.features[model.members[node]], model.targets[model.members[node]]
    return -(y / (1 + np.exp(y * (a @ x))))[:, None] * a + model.regularization * x


def outcomes(model, law, node, x):
    """Every equally likely estimate of a node."""
    g = row_gradients(model, node, x)
    if law is FIRST:
        return g
    return np.array([u * (u @ row) for row in g for u in SIGNS])


def matchings(nodes):
    """All perfect matchings of an even list of nodes."""
    if not nodes:
        return [[]]
    first, rest = nodes[0], nodes[1:]
    return [
        [(first, other), *tail]
        for other in rest
        for tail in matchings([k for k in rest if k != other])
    ]


def partitions(protocol, n):
    """Every equally likely (pairs, idle nodes that may step)."""
    if protocol == "pair":
        return [([pair], []) for pair in itertools.combinations(range(n), 2)]
    if n % 2 == 0:
        return [(m, []) for m in matchings(list(range(n)))]
    return [(m, [idle]) for idle in range(n) for m in matchings([k for k in range(n) if k != idle])]


def after(x, estimates, eta, pairs, idle, weight):
    """The state after one exchange, by definition."""
    new = x.copy()
    for i in idle:
        new[i] = x[i] - eta[i] * estimates[i]
    for i, j in pairs:
        y, z = x[i] - eta[i] * estimates[i], x[j] - eta[j] * estimates[j]
        new[i], new[j] = (1 - weight) * y + weight * z, (1 - weight) * z + weight * y
    return new


def both_potentials(x):
    mean = x.mean(0)
    return np.array([mean @ mean, ((x - mean) ** 2).sum() / len(x)])


def enumerate_step(model, laws, eta, x, protocol, idle_steps, weight=0.5):
    """E |mean+|² and E Γ+ over everything that is drawn."""
    each = [outcomes(model, law, i, x[i]) for i, law in enumerate(laws)]
    totals = []
    for pairs, spare in partitions(protocol, len(x)):
        idle = spare if idle_steps else []
        acting = sorted({*itertools.chain(*pairs), *idle})
        found = []
        for drawn in itertools.product(*(each[i] for i in acting)):
            estimates = dict(zip(acting, drawn, strict=True))
            new = after(x, estimates, eta, pairs, idle, weight)
            found.append(both_potentials(new))
        totals.append(np.mean(found, axis=0))
    return np.mean(totals, axis=0)


def before(model, x, groups):
    """The probe sums before the step, one tick, written out from their definitions."""
    n = len(x)
    rows = [row_gradients(model, i, x[i]) for i in range(n)]
    h = np.array([g.mean(0) for g in rows])
    noise = np.array([((g - g.mean(0)) ** 2).sum() / len(g) for g in rows])
    group = np.repeat(np.arange(len(groups)), groups)
    pick = [group == a for a in range(len(groups))]
    X, H = (np.array([v[mask].sum(0) for mask in pick]) for v in (x, h))
    parts = [(x * x).sum(1), (x * h).sum(1), (h * h).sum(1), noise]
    sums = [[part[mask].sum() for mask in pick] for part in parts]
    return np.concatenate([[1.0], *sums, (X @ X.T).ravel(), (X @ H.T).ravel(), (H @ H.T).ravel()])


def residuals(prediction, sums, expected):
    """Value of every contrast with Q+ replaced by its enumerated expectation."""
    row = np.concatenate([sums[:1], expected, sums[1:]])
    return {name: c.coefficients @ row for name, c in prediction.contrasts.items()}


CASES = [
    ("pair", 3, False, 0.5),
    ("pair", 4, False, 0.5),
    ("pair", 4, False, 0.3),
    ("matching", 4, False, 0.5),
    ("matching", 4, False, 0.4),
    ("matching", 3, False, 0.5),
    ("matching", 3, True, 0.5),
    ("matching", 5, False, 0.5),
]


@pytest.mark.parametrize(("protocol", "n", "idle_steps", "weight"), CASES)
def test_the_conditional_expectation_is_that_of_all_outcomes(protocol, n, idle_steps, weight):
    rng = np.random.default_rng(10 * n + idle_steps)
    model = logistic(n, rng)
    hybrid = n < 5  # 8 outcomes a zeroth-order node: too many to enumerate with five
    groups = (n - 1, 1)
    last = zeroth(directions="rademacher", difference=EXACT) if hybrid else FIRST
    laws, eta = (FIRST,) * (n - 1) + (last,), np.array([0.7] * (n - 1) + [0.4])
    x = rng.normal(size=(n, D))
    prediction = lemma2_martingale(
        setting(
            model,
            laws,
            groups=groups,
            step_sizes=eta,
            protocol=protocol,
            idle_steps=idle_steps,
            network=NetworkFacts(pair_weight=weight),
        )
    )
    assert prediction.applies, [a for a in prediction.assumptions if not a.holds]
    expected = enumerate_step(model, laws, eta, x, protocol, idle_steps, weight)
    sums = before(model, x, groups)
    found = residuals(prediction, sums, expected)
    assert set(found) == {"martingale_mean", "martingale_consensus"}
    assert max(map(abs, found.values())) < 1e-13 * (1 + abs(sums).max())
    wrong = residuals(prediction, sums, expected * 1.01)
    assert min(map(abs, wrong.values())) > 1e-4


def test_a_fixed_matrix_moves_the_mean_as_said():
    rng, n = np.random.default_rng(5), 3
    model = logistic(n, rng)
    laws = (FIRST, FIRST, zeroth(directions="rademacher", difference=EXACT))
    eta, x = np.array([0.5, 0.5, 0.2]), rng.normal(size=(n, D))
    W = np.array([[0.5, 0.3, 0.2], [0.3, 0.6, 0.1], [0.2, 0.1, 0.7]])
    each = [outcomes(model, law, i, x[i]) for i, law in enumerate(laws)]
    states = [W @ (x - eta[:, None] * np.array(g)) for g in itertools.product(*each)]
    expected = np.mean([both_potentials(s) for s in states], axis=0)
    chosen = setting(model, laws, groups=(2, 1), step_sizes=eta, network=NetworkFacts(matrix=W))
    found = residuals(lemma2_martingale(chosen), before(model, x, (2, 1)), expected)
    assert set(found) == {"martingale_mean"}
    assert abs(found["martingale_mean"]) < 1e-14


def test_the_scale_is_what_contraction_and_drift_take_away():
    """Without noise and with tiny steps, Q − Q+ itself."""
    rng, n = np.random.default_rng(8), 4
    model, x, eta = logistic(n, rng), rng.normal(size=(n, D)), np.full(4, 1e-6)
    chosen = setting(model, (FIRST,) * n, step_sizes=eta, protocol="pair")
    prediction = lemma2_martingale(chosen)
    sums = before(model, x, (n,))
    row = np.concatenate([sums[:1], [0.0, 0.0], sums[1:]])
    fall = both_potentials(x) - enumerate_step(model, (FIRST,) * n, eta, x, "pair", False)
    for name, expected in zip(("martingale_mean", "martingale_consensus"), fall, strict=True):
        assert prediction.contrasts[name].scale @ row == pytest.approx(expected, rel=1e-4)


BIASED = zeroth(difference="central")
REFUSED = [
    ({"laws": (BIASED,) * 3}, "unbiased"),
    ({"momentum": 0.5}, "momentum"),
    ({"schedule": ScheduleFacts(name="cosine")}, "constant in time"),
    ({"protocol": "pair", "network": NetworkFacts(graph="path")}, "partners are uniform"),
    ({"protocol": "matching", "network": NetworkFacts(graph="ring")}, "partners are uniform"),
    ({"order": "combine-adapt"}, "partners are uniform"),
    ({"step_sizes": np.array([0.1, 0.2, 0.2]), "protocol": "pair"}, "share law and step size"),
    ({"step_sizes": np.zeros(3), "protocol": "pair"}, "constant in time"),
]


@pytest.mark.parametrize(("changes", "text"), REFUSED)
def test_what_it_does_not_know_is_inapplicable(changes, text):
    laws = changes.pop("laws", (FIRST,) * 3)
    words = {"step_sizes": np.full(3, 0.1), **changes}
    prediction = lemma2_martingale(setting(logistic(3, np.random.default_rng(1)), laws, **words))
    broken = [a.text for a in prediction.assumptions if not a.holds]
    assert len(broken) == 1
    assert text in broken[0]
    assert not prediction.values
    assert not prediction.contrasts
