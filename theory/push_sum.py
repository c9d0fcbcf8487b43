"""Push-sum in disguise: decentralized SGD with a row-stochastic W and step sizes of its own.

The idea: the weights w_t = W_{t−1} ... W_0 1 draw nothing, so with Y = w_t∘X − η G and
X+ = (W_t Y)/w_{t+1} a round is X+ = R_t (X − (η/w_t) G) with R_t = diag(1/w_{t+1}) W_t diag(w_t),
whose rows sum to 1. Every recursion of decentralized SGD applies, one system a round.
"""

from dataclasses import replace

import numpy as np

from hzbench.core.prediction import Assumption
from hzbench.core.setting import Setting, UpdateFacts
from hzbench.theory.affine_system import AffineSystem, Array, Mixing
from hzbench.theory.checks import assume
from hzbench.theory.graphs import GraphError
from hzbench.theory.weights import mixing_cycle


def push_round(system: AffineSystem, weights: Array) -> tuple[AffineSystem, Array]:
    """The plain system of a round that starts with push-sum weights w [n], and w+.

    Formula:
        R = diag(1/w+) W diag(w), η_i/w_i, w+ = W w.

    Source:
        own derivation from Assran et al. 2019, Algorithm 1.
    """
    (scenario,) = system.scenarios
    sent = scenario.mixing.mean * weights
    after: Array = sent.sum(1)
    disguised = replace(scenario, mixing=Mixing(mean=sent / after[:, None]))
    plain = replace(
        system,
        scenarios=(disguised,),
        step_sizes=system.step_sizes / weights,
        update=UpdateFacts(),
    )
    return plain, after


def settled(period: tuple[AffineSystem, ...]) -> tuple[AffineSystem, ...]:
    """The plain systems of one period after the weights have settled.

    Formula:
        w = n times the Perron vector of W_{P−1} ... W_0 at the start of a period.
    """
    n = period[0].shape[1]
    product = np.eye(n)
    for system in period:
        product = system.scenarios[0].mixing.mean @ product
    values, vectors = np.linalg.eig(product)
    perron = np.abs(vectors[:, np.argmax(values.real)].real)
    weights, found = n * perron / perron.sum(), []
    for system in period:
        plain, weights = push_round(system, weights)
        found.append(plain)
    return tuple(found)


def sums_of(setting: Setting) -> Assumption:
    """Push-sum keeps mass, columns of W sum to 1; all others keep agreement, rows do."""
    pushes = setting.update.rule == "push-sum"
    line = "column" if pushes else "row"
    text = f"the {line}s of W sum to 1"
    if setting.protocol != "matrix":
        return assume(text, True)
    try:
        cycle = mixing_cycle(setting.network, setting.nodes)
    except GraphError as error:
        return assume(text, False, str(error))
    worst = float(abs(cycle.sum(1 if pushes else 2) - 1.0).max())
    fine, detail = worst < 1e-9, f"largest deviation of a {line} sum = {worst:.3g}"
    if pushes:
        text += ", none is negative, and every node keeps a share"
        kept = float(min(W.diagonal().min() for W in cycle))
        fine = fine and float(cycle.min()) >= 0 and kept > 0
        detail += f", least entry = {cycle.min():.3g}, least share kept = {kept:.3g}"
    return assume(text, fine, detail)
