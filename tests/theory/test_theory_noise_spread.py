"""What finite steps add to a floor, against plain recursions of all second moments.

On f = ½ Σ_k a_k x_k² coordinate k has M_k = E x_.k x_.k' with
M_k+ = W [(1 − ηa_k)² M_k + η² diag(s_ik + τ_i Σ_l a_l² M_l,ii/d)] W'.
"""

from itertools import permutations

import networkx as nx
import numpy as np
import pytest
from theory_settings import FIRST, setting, zeroth

from hzbench.core.constants import Constants
from hzbench.core.setting import NetworkFacts
from hzbench.core.structure import Quadratic
from hzbench.theory.noise_spread import finite_step_factor, spread_gain, spread_known

D = 2


def run(n, eta, L=1.0, **words):
    """A Setting of n nodes; only its exchange, step size and L are read."""
    shared = np.broadcast_to(np.eye(D), (n, D, D))
    return setting(
        Quadratic(hessians=shared, linear=np.zeros((n, D)), noise=shared),
        (FIRST, *(zeroth(),) * (n - 1)),
        step_sizes=np.full(n, eta),
        constants=Constants(smoothness=L, strong_convexity=0.1),
        **words,
    )


def metropolis(G):
    """Metropolis weights from networkx's degrees."""
    W = np.zeros((len(G), len(G)))
    for i, j in G.edges:
        W[i, j] = W[j, i] = 1 / (1 + max(G.degree[i], G.degree[j]))
    return W + np.diag(1 - W.sum(1))


def matchings(n):
    """W of every perfect matching of n nodes, by brute force."""
    found = {}
    for order in permutations(range(n)):
        pairs = frozenset(frozenset(order[k : k + 2]) for k in range(0, n, 2))
        W = np.zeros((n, n))
        for i, j in pairs:
            W[i, i] = W[j, j] = W[i, j] = W[j, i] = 0.5
        found[pairs] = W
    return list(found.values())


def exact_factor(mixes, eta, spectrum, s, tau, steps):
    """The gap after many steps over (η/4) Σs/n², by the recursion."""
    n, d = len(s), len(spectrum)
    M = np.zeros((d, n, n))
    for _ in range(steps):
        power = np.einsum("k,kii->i", spectrum**2, M)
        noise = np.diag(eta**2 * (s + tau * power) / d)
        M = (1 - eta * spectrum)[:, None, None] ** 2 * M + noise
        M = np.mean([W @ M @ W.T for W in mixes], axis=0)
    gap = 0.5 * spectrum @ M.mean((1, 2))
    return gap / (eta / 4 * s.sum() / n**2)


@pytest.mark.parametrize("graph", ["ring", "star", "path", "complete"])
@pytest.mark.parametrize("spectrum", [(1.0, 1.0), (1.0, 0.1), (1.0, 0.03)])
@pytest.mark.parametrize(("eta", "samples"), [(0.05, 4), (0.2, 8), (0.4, 15)])
def test_the_factor_bounds_the_exact_one(graph, spectrum, eta, samples):
    make = {
        "ring": nx.cycle_graph,
        "star": lambda n: nx.star_graph(n - 1),
        "path": nx.path_graph,
        "complete": nx.complete_graph,
    }[graph]
    n = 12
    tau = np.r_[np.zeros(3), np.full(n - 3, 20 / samples)]
    s = 1.0 + tau
    bound = finite_step_factor(run(n, eta, network=NetworkFacts(graph=graph)), s, tau)
    steps = int(6 / (eta * min(spectrum)))
    exact = exact_factor([metropolis(make(n))], eta, np.array(spectrum), s, tau, steps)
    assert exact <= bound * (1 + 1e-9)
    if spectrum == (1.0, 1.0):
        assert bound <= (1 + 1e-4 if graph == "complete" else 1.6) * exact


def test_the_factor_bounds_matchings():
    n, eta = 6, 0.3
    tau = np.r_[np.zeros(2), np.full(n - 2, 4.0)]
    s = 1.0 + tau
    bound = finite_step_factor(run(n, eta, protocol="matching"), s, tau)
    exact = exact_factor(matchings(n), eta, np.ones(2), s, tau, 60)
    assert exact <= bound <= 1.3 * exact


def test_a_star_can_lose_its_second_moment():
    tau = np.r_[np.zeros(6), np.full(27, 21 / 4)]
    star = run(33, 0.4, network=NetworkFacts(graph="star"))
    assert finite_step_factor(star, 1.0 + tau, tau) == np.inf
    assert finite_step_factor(star, np.ones(33), np.zeros(33)) == pytest.approx(2 / 1.6)


def test_gain_of_all_reduce_is_in_closed_form():
    gain = spread_gain(run(5, 0.2, network=NetworkFacts(weights="uniform")), 0.2)
    np.testing.assert_allclose(gain, 0.2 / (25 * 1.8), rtol=1e-12)


def test_where_it_is_known():
    assert spread_known(run(4, 0.1)).holds
    assert spread_known(run(4, 0.1, protocol="matching")).holds
    assert not spread_known(run(5, 0.1, protocol="matching")).holds
    assert not spread_known(run(4, 0.1, order="simultaneous")).holds
    negative = np.full((2, 2), 0.5) + np.array([[-0.7, 0.7], [0.7, -0.7]])
    assert not spread_known(run(2, 0.1, network=NetworkFacts(matrix=negative))).holds
    assert not spread_known(run(4, 0.1, network=NetworkFacts(link_failure=0.2))).holds
