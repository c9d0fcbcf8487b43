"""Methods with memory, coins and masks: the engine against listed outcomes, and its stability."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from theory_enumeration import estimates, exchanges, measure, quadratic_samples
from theory_settings import FIRST, quadratic, setting, zeroth

from hzbench.core import registry
from hzbench.core.constants import Constants
from hzbench.core.setting import NetworkFacts, ScheduleFacts, UpdateFacts
from hzbench.core.structure import Quadratic
from hzbench.theory.affine_moments import advance
from hzbench.theory.affine_system import Mixing, Scenario
from hzbench.theory.dynamics import build_model
from hzbench.theory.quadratic_dynamics import quadratic_dynamics
from hzbench.theory.random_affine import random_affine_step
from hzbench.theory.stability import step_size_limit
from hzbench.theory.updates import outcomes

W = np.array([[0.7, 0.3], [0.3, 0.7]])
W3 = np.array([[0.5, 0.3, 0.2], [0.3, 0.4, 0.3], [0.2, 0.3, 0.5]])
EDGES = ((0, 1), (1, 2), (2, 3), (0, 3))


# C1 to C5 are special cases ----------------------------------------------------------------------


def listed(system, exchange):
    scenarios = [
        Scenario(
            probability=p,
            mixing=Mixing(mean=matrix),
            active=np.isin(np.arange(len(matrix)), active),
        )
        for p, matrix, active in exchange
    ]
    return replace(system, scenarios=tuple(scenarios))


@pytest.mark.parametrize("momentum", [0.0, 0.6])
@pytest.mark.parametrize("diagonal", [True, False])
@pytest.mark.parametrize("order", ["adapt-combine", "combine-adapt", "simultaneous"])
@pytest.mark.parametrize("protocol", ["pair", "matching", "matrix"])
def test_the_engine_contains_the_recursions_of_every_protocol(protocol, order, diagonal, momentum):
    structure, _ = quadratic(np.random.default_rng(1), 4, 2, diagonal=diagonal)
    laws = (FIRST, zeroth(), zeroth(directions="rademacher", difference="forward"), FIRST)
    words = {"graph": "ring"} if protocol != "matching" else {"graph": "complete"}
    given = setting(
        structure,
        laws,
        protocol=protocol,
        order=order,
        momentum=momentum,
        network=NetworkFacts(**words),
    )
    model = build_model(given)
    ring = np.full((4, 4), 1 / 3) - np.fliplr(np.eye(4))[[1, 0, 3, 2]] / 3  # Metropolis: 1/3 each
    exchange = exchanges(protocol, 4, edges=EDGES, probabilities=(0.25,) * 4, matrix=ring)
    general = outcomes(listed(model.system, exchange), 0.9)
    Z = model.system.start(model.start)
    for _ in range(3):
        expected = advance(model.system, Z, 0.9)
        found = random_affine_step(general, model.system.noise, Z)
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-13)
        Z = expected


# Every update against complete enumeration -------------------------------------------------------


class Listed:
    """All outcomes of a run as weighted states, each method in its textbook form."""

    def __init__(self, given):
        self.given, self.w = given, np.ones(1)
        x = np.array(given.problem.initial)[None]
        names = ("velocity", "tracker", "before", "control", "error", "public")
        self.held = {"x": x} | {name: np.zeros_like(x) for name in names}
        self.held |= {f"past{age}": x for age in range(1, 4)}
        self.held |= {name: np.full_like(x, np.nan) for name in ("last", "stepped")}

    @property
    def x(self):
        return self.held["x"]

    def expect(self, values):
        assert abs(self.w.sum() - 1) < 1e-12
        return np.tensordot(self.w, values, axes=1)

    def step(self, laws_outcomes, eta, coins, masks):
        parts, weights = [], []
        for (chance, mix), (share, mask) in product(coins, masks):
            for choice in product(*laws_outcomes):
                weight = chance * share * np.prod([w for w, _ in choice])
                oracles = [G for _, G in choice]
                round_ = Textbook(self.given, self.held, oracles, eta, mix, mask)
                parts.append(round_.after())
                weights.append(self.w * weight)
        self.w = np.concatenate(weights)
        self.held = {k: np.concatenate([part[k] for part in parts]) for k in parts[0]}


class Textbook:
    """One round of every method as its paper writes it, for one outcome of everything drawn."""

    def __init__(self, given, held, oracles, eta, mix, mask):
        self.given, self.facts, self.s = given, given.update, dict(held)
        self.oracles, self.eta, self.mix, self.mask = oracles, eta[:, None], mix, mask

    def gradient(self, at):
        return np.stack([G(at[:, i]) for i, G in enumerate(self.oracles)], axis=1)

    def average(self, y):
        return np.einsum("ij,sjd->sid", self.mix, y)

    def step(self, g):
        m = self.given.momentum
        self.s["velocity"] = m * self.s["velocity"] + (1 - m) * g
        return self.eta * self.s["velocity"]

    def plain(self, s):
        s["x"] = self.average(s["x"] - self.step(self.gradient(s["x"])))

    def tracking(self, s):
        g = self.gradient(s["x"])
        if self.given.order == "simultaneous":
            s["tracker"] = self.average(s["tracker"]) + g - s["before"]
            s["x"] = self.average(s["x"]) - self.step(s["tracker"])
        else:
            s["tracker"] = self.average(s["tracker"] + g - s["before"])
            s["x"] = self.average(s["x"] - self.step(s["tracker"]))
        s["before"] = g

    def delayed(self, s):
        past = [s["x"], s["past1"], s["past2"], s["past3"]]
        s["x"] = self.average(s["x"] - self.step(self.gradient(past[self.facts.delay])))
        s["past1"], s["past2"], s["past3"] = past[:3]

    def control(self, s):
        chance = self.given.network.exchange_probability
        moved = s["x"] - self.step(self.gradient(s["x"])) + chance * s["control"]
        s["x"] = self.average(moved)
        s["control"] = s["control"] + s["x"] - moved

    def sparsified(self, s):
        wanted = s["error"] + self.step(self.gradient(s["x"]))
        scale = 1 if self.facts.memory else wanted.shape[2] / self.facts.kept
        s["x"] = self.average(s["x"] - scale * self.mask * wanted)
        if self.facts.memory:
            s["error"] = (1 - self.mask) * wanted

    def compressed(self, s):
        half = s["x"] - self.step(self.gradient(s["x"]))
        s["public"] = np.where(self.mask == 1, half, s["public"])
        away = self.average(s["public"]) - s["public"]
        s["x"] = half + self.facts.consensus_step * away

    def extra(self, s):
        """(2.13) of Shi et al. 2015, with the matrices W and (I + W)/2."""
        x, step = s["x"], self.step(self.gradient(s["x"]))
        s["x"] = self.average(x) - step
        if not np.isnan(s["last"]).any():
            half = (s["last"] + self.average(s["last"])) / 2
            s["x"] = x + self.average(x) - half - step + s["stepped"]
        s["last"], s["stepped"] = x, step

    def exact(self, s):
        """Algorithm 1 of Tang et al. 2018; exact diffusion with the lazy matrix."""
        x, step = s["x"], self.step(self.gradient(s["x"]))
        moved = x - step
        if not np.isnan(s["last"]).any():
            moved = 2 * x - s["last"] - step + s["stepped"]
        s["x"] = self.average(moved)
        if self.facts.lazy:
            s["x"] = (s["x"] + moved) / 2
        s["last"], s["stepped"] = x, step

    def second(self, s):
        """X+ = γ W Y + (1 − γ) Y_before, Y_before the last state moved by the steps since."""
        gamma = 2 / (1 + np.sqrt(1 - self.facts.rate**2))
        x, step = s["x"], self.step(self.gradient(s["x"]))
        before = x if np.isnan(s["last"]).any() else s["last"]
        s["x"] = gamma * self.average(x - step) + (1 - gamma) * (before - step)
        s["last"] = x - step

    def after(self):
        getattr(self, self.facts.rule.split("-")[0])(self.s)
        return self.s


def node_masks(n, d, kept):
    if not kept:
        return [(1.0, np.ones((n, d)))]
    assert kept == 1
    choices = list(product(range(d), repeat=n))
    return [(1 / len(choices), np.eye(d)[list(each)]) for each in choices]


UPDATES = {  # words of the update, what else, steps
    "tracking": (UpdateFacts(rule="tracking"), {}, 2),
    "diging": (UpdateFacts(rule="tracking"), {"order": "simultaneous"}, 2),
    "tracking-coin": (UpdateFacts(rule="tracking"), {"coin": 0.3}, 2),
    "no delay": (UpdateFacts(rule="delayed"), {}, 2),
    "delay 1": (UpdateFacts(rule="delayed", delay=1), {}, 3),
    "delay 2": (UpdateFacts(rule="delayed", delay=2), {}, 3),
    "control": (UpdateFacts(rule="control-variate"), {"coin": 0.4}, 2),
    "coin": (UpdateFacts(), {"coin": 0.4}, 2),
    "mask": (UpdateFacts(rule="sparsified", kept=1), {}, 2),
    "memory": (UpdateFacts(rule="sparsified", kept=1, memory=True), {}, 2),
    "choco": (UpdateFacts(rule="compressed-exchange", kept=1, consensus_step=0.4), {}, 2),
    "extra": (UpdateFacts(rule="extra"), {}, 3),
    "exact diffusion": (UpdateFacts(rule="exact-diffusion", lazy=True), {}, 3),
    "d2": (UpdateFacts(rule="exact-diffusion"), {}, 3),
    "second order": (UpdateFacts(rule="second-order", rate=0.8), {}, 3),
    "second-order coin": (UpdateFacts(rule="second-order", rate=0.8), {"coin": 0.6}, 2),
    "choco-coin": (
        UpdateFacts(rule="compressed-exchange", kept=1, consensus_step=0.4),
        {"coin": 0.7},
        2,
    ),
}


@pytest.mark.parametrize("momentum", [0.0, 0.4])
@pytest.mark.parametrize("name", UPDATES)
def test_every_update_follows_every_outcome(name, momentum):
    update, more, steps = UPDATES[name]
    structure, root = quadratic(np.random.default_rng(4), 2, 2, diagonal=bool(update.kept))
    coin = more.get("coin", 1.0)
    if steps == 3:  # fewer outcomes a step
        structure, root = replace(structure, noise=0 * structure.noise), 0 * root
    given = setting(
        structure,
        (FIRST, zeroth(directions="rademacher")),
        order=more.get("order", "adapt-combine"),
        momentum=momentum,
        update=update,
        network=NetworkFacts(matrix=W, exchange_probability=coin),
        schedule=ScheduleFacts(name="inverse-time", offset=4.0),
        steps=steps,
    )
    values = quadratic_dynamics(given).values
    samples = [quadratic_samples(A, b, r) for A, b, r in zip(*parts(structure), root, strict=True)]
    if steps == 3:
        samples = [[(1.0, value, slope) for _, value, slope in each[:1]] for each in samples]
    listing = Listed(given)
    coins = [(coin, W), (1 - coin, np.eye(2))][: 2 if coin < 1 else 1]
    for t in range(steps):
        oracles = [
            list(estimates(law, own, 2)) for law, own in zip(given.laws, samples, strict=True)
        ]
        scale = 1 / (1 + t / 4)
        listing.step(oracles, scale * given.step_sizes, coins, node_masks(2, 2, update.kept))
        found = measure(listing, *parts(structure))
        assert set(values) == set(found) - {"spread"}
        for observable, row in values.items():
            np.testing.assert_allclose(
                row[t + 1], found[observable], rtol=1e-10, atol=1e-12, err_msg=observable
            )


def parts(structure):
    return structure.hessians, structure.linear


# Stability ---------------------------------------------------------------------------------------


def alone(update, curvature=1.0, eta=0.1, **changes):
    """One node on one quadratic, without noise."""
    structure = Quadratic(
        hessians=np.full((1, 1, 1), curvature),
        linear=np.zeros((1, 1)),
        noise=np.zeros((1, 1, 1)),
    )
    words = {"network": NetworkFacts(matrix=np.eye(1)), "step_sizes": np.full(1, eta)}
    return setting(structure, (FIRST,), update=update, **(words | changes))


@pytest.mark.parametrize("delay", [0, 1, 2, 5])
def test_the_limit_of_a_delay_is_the_classical_one(delay):
    limit, sentence = step_size_limit(alone(UpdateFacts(rule="delayed", delay=delay), 2.0, 0.1))
    assert "spectral radius" in sentence
    assert limit * 0.1 * 2.0 == pytest.approx(2 * np.sin(np.pi / (4 * delay + 2)), rel=1e-4)


def test_the_limit_of_a_masked_step_is_that_of_its_second_moment():
    """E (1 − 2 ηa B)² = 1 − 2ηa + 2 (ηa)² with B fair, d = 2, k = 1: 1 at ηa = 1."""
    structure = Quadratic(
        hessians=np.eye(2)[None], linear=np.zeros((1, 2)), noise=np.zeros((1, 2, 2))
    )
    given = setting(
        structure,
        (FIRST,),
        update=UpdateFacts(rule="sparsified", kept=1),
        network=NetworkFacts(matrix=np.eye(1)),
        step_sizes=np.full(1, 0.1),
    )
    assert step_size_limit(given)[0] * 0.1 == pytest.approx(1.0, rel=1e-4)


LIMITS = {name: words for name, words in UPDATES.items() if name != "no delay"} | {
    "one-peer": (UpdateFacts(), {"network": ("exponential", "one-peer-exponential")}, 0),
    "tracking one-peer": (
        UpdateFacts(rule="tracking"),
        {"network": ("exponential", "one-peer-exponential")},
        0,
    ),
}


@pytest.mark.parametrize("name", LIMITS)
def test_moments_shrink_below_the_limit_and_grow_above(name):
    update, more, _ = LIMITS[name]
    structure, _ = quadratic(np.random.default_rng(2), 3, 2, diagonal=bool(update.kept), noise=0.0)
    structure = replace(structure, linear=0 * structure.linear)
    graph, weights = more.get("network", ("complete", "metropolis"))
    network = NetworkFacts(graph=graph, weights=weights, matrix=None if weights[0] == "o" else W3)
    given = setting(
        structure,
        (FIRST, zeroth(), zeroth(directions="rademacher")),
        order=more.get("order", "adapt-combine"),
        update=update,
        network=replace(network, exchange_probability=more.get("coin", 1.0)),
        step_sizes=np.array([0.1, 0.2, 0.15]),
        steps=900,
        record=(600, 900),
    )
    limit, sentence = step_size_limit(given)
    assert "spectral radius" in sentence
    for factor, grows in ((0.97, False), (1.03, True)):
        scaled = replace(given, step_sizes=factor * limit * given.step_sizes)
        before, after = quadratic_dynamics(scaled).values["node_distance"]
        assert (after > 1.1 * before) if grows else (after < 0.99 * before), (before, after)


# What does not close -----------------------------------------------------------------------------


def test_what_does_not_close_is_inapplicable_and_says_why():
    full, _ = quadratic(np.random.default_rng(3), 2, 2)
    masks = UpdateFacts(rule="sparsified", kept=1)
    tracking = UpdateFacts(rule="tracking")
    cases = [
        (setting(full, (FIRST, FIRST), update=masks), "diagonal Hessians"),
        (
            setting(
                full,
                (FIRST, FIRST),
                update=tracking,
                network=NetworkFacts(graph="complete", link_failure=0.2),
            ),
            "link failure = 0.2",
        ),
        (setting(full, (FIRST, FIRST), update=tracking, protocol="pair"), "protocol = pair"),
    ]
    for given, reason in cases:
        failed = [a for a in quadratic_dynamics(given).assumptions if not a.holds]
        assert [reason in a.detail for a in failed] == [True]
    assert quadratic_dynamics(setting(full, (FIRST, FIRST), update=replace(masks, kept=2))).applies


CLOSED = {"quadratic_dynamics", "mean_dynamics", "path_dynamics", "decay_rate", "decay_slope"}
CLOSED |= {"graph_spectrum", "step_invariants"}


@pytest.mark.parametrize("name", [name for name in UPDATES if name != "coin"])
def test_theorems_of_plain_rounds_do_not_apply_to_other_updates(name):
    """On equal isotropic quadratics and an all-reduce, where most theorems know plain rounds."""
    update = UPDATES[name][0]
    equal = np.repeat(np.eye(2)[None], 4, 0)
    structure = Quadratic(hessians=equal, linear=np.zeros((4, 2)), noise=0.1 * equal)
    constants = Constants(
        smoothness=1.0, strong_convexity=1.0, noise=(0.2,) * 4, heterogeneity=0.0, minimum=0.0
    )
    given = setting(
        structure,
        (FIRST,) * 4,
        update=update,
        network=NetworkFacts(weights="uniform"),
        steps=80,
        record=(0, 80),
        step_sizes=np.full(4, 0.05),
        constants=constants,
        optimum=np.zeros(2),
    )
    other, plain = (
        {k for k, e in registry.entries("theorem").items() if e.target(each).applies}
        for each in (given, replace(given, update=UpdateFacts()))
    )
    assert other <= CLOSED
    assert "quadratic_dynamics" in other
    assert len(plain - CLOSED) >= 4
