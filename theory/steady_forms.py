"""Second moments that a run settles in, as closed forms on numbers, and where they cease to exist.

All of E x x' is relative to the optimum. ρ = 1 − ηa; s is the noise at h = 0 and τ its growth with
|h|² (traces), n the number of nodes. `stable` says whether the steady state exists.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from hzbench.theory.coordinates import Coordinates
from hzbench.theory.mode_moments import eigenmodes

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class AllReduce:
    """The common iterate of all-reduce.

    Attributes:
        mean: E x̄_k, shape [d].
        variance: Var x̄_k, shape [d].
        stable: whether it exists.
        reach: (largest noise gain of one coordinate alone, ΘΣQ): both below 1 iff stable.
    """

    mean: Array
    variance: Array
    stable: bool
    reach: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Three numbers that hold all scalar observables of isotropic f.

    Attributes:
        node: (1/n) Σ E|x_i|².
        mean: E|x̄|².
        stable: whether they exist.
        reach: what is below 1 iff stable.
    """

    node: float
    mean: float
    stable: bool
    reach: float

    @property
    def consensus(self) -> float:
        """Γ = (1/n) Σ E|x_i − x̄|²."""
        return self.node - self.mean


def all_reduce(nodes: Coordinates) -> AllReduce:
    """Mean and variance of all-reduce, any step sizes, spectrum and offsets, common Hessian.

    Formula:
        m = Ση_iβ_i/(aΣη_i); with η̄ the mean step, Q_k = a_k²/(n²(1−(1−η̄a_k)²) − a_k²Ση_i²α_i),
        σ_k = Ση_i² (noise at x = m), Θ = Ση_i²θ_i: H = ΣQσ/(1 − ΘΣQ), Var x̄_k = Q_k(σ_k + ΘH)/a_k².
        Stable iff all Q_k > 0 and ΘΣQ < 1.

    Source:
        own derivation (C6, C6b, D6).
    """
    n, a, eta = len(nodes.steps), nodes.curvature[0], nodes.steps
    step = eta.mean()
    mean = (eta[:, None] * nodes.offset).sum(0) / (a * eta.sum())
    h = (a * mean - nodes.offset) ** 2
    noise = nodes.constant + nodes.own[:, None] * h + nodes.shared[:, None] * h.sum(1)[:, None]
    sigma, shared = eta**2 @ noise, eta**2 @ nodes.shared
    damping = n**2 * (1.0 - (1.0 - step * a) ** 2)
    own = a**2 * (eta**2 @ nodes.own)
    Q = a**2 / (damping - own)
    coupling = float(shared * Q.sum())
    stable = bool((damping > own).all() and coupling < 1.0)
    total = (Q @ sigma) / (1.0 - coupling)
    variance = Q * (sigma + shared * total) / a**2
    with np.errstate(divide="ignore"):
        first = float(np.where(damping > 0, own / damping, np.inf).max())
    return AllReduce(mean=mean, variance=variance, stable=stable, reach=(first, coupling))


def all_reduce_factor(a: float, steps: Array, growth: Array) -> float:
    """F in E|x̄+|² = F E|x̄|² + Ση_i²s_i/n², isotropic: (1 − η̄a)² + a²Ση_i²τ_i/n².

    Formula:
        one step size: stable (F < 1) iff ηa < 2/(1 + Στ_i/n²), fastest at ηa = 1/(1 + Στ_i/n²).

    Source:
        own derivation (C6, D7).
    """
    return float((1.0 - steps.mean() * a) ** 2 + a**2 * (steps**2 @ growth) / len(steps) ** 2)


def all_reduce_limit(spectrum: Array, own: Array, shared: Array) -> float:
    """The step size, common to all nodes, at which all-reduce loses its second moment.

    Formula:
        isotropic 2/(a(1 + Στ_i/n²)); in general the η at which Σθ_i Σ_l q_l = 1,
        q_l = ηa_l/(n²(2 − ηa_l(1 + Σα_i/n²))): it depends on the whole spectrum.

    Source:
        own derivation (C6, C6b).

    Args:
        spectrum: eigenvalues of the Hessian, shape [d].
        own: α of every node, shape [n].
        shared: θ of every node, shape [n].
    """
    n = len(own)
    alpha, theta = 1.0 + own.sum() / n**2, float(shared.sum())
    edge = float(2.0 / (spectrum.max() * alpha))
    if theta == 0:
        return edge

    def excess(eta: float) -> float:
        q = eta * spectrum / (n**2 * (2.0 - eta * spectrum * alpha))
        return theta * float(q.sum()) - 1.0

    return float(brentq(excess, 0.0, edge * (1 - 1e-13), xtol=1e-15))


def mixing(a: float, eta: float, noise: Array, growth: Array, W: Array) -> Spread:
    """Any symmetric doubly stochastic W, adapt-combine, isotropic f, mixed nodes.

    Formula:
        K_ir = Σ_jl η²λ_jλ_l/(1 − λ_jλ_lρ²) V_ij V_il V_rj V_rl, E|x_i|² = (I − K diag τa²)⁻¹ K s.
        Stable iff |ρ| < 1 and the spectral radius of K diag(τa²) is below 1.

    Source:
        own derivation (C7).
    """
    n, rho = len(noise), 1.0 - eta * a
    values, V = eigenmodes(W)
    pairs = np.outer(values, values)
    gain = eta**2 * pairs / (1.0 - pairs * rho**2)
    K = np.einsum("jl,ij,il,rj,rl->ir", gain, V, V, V, V, optimize=True)
    loop = K * (growth * a**2)
    radius = float(np.abs(np.linalg.eigvals(loop)).max())
    node = np.linalg.solve(np.eye(n) - loop, K @ noise)
    total = float((noise + growth * a**2 * node).sum())
    mean = eta**2 * total / (n**2 * (1.0 - rho**2))
    stable = abs(rho) < 1 and radius < 1
    reach = max(abs(rho), radius) if abs(rho) < 1 else abs(rho)
    return Spread(node=float(node.mean()), mean=mean, stable=stable, reach=reach)


def transitive(a: float, eta: float, noise: float, growth: float, values: Array) -> Spread:
    """Equal nodes on a vertex-transitive graph, adapt-combine, isotropic f.

    Formula:
        R = (1/n) Σ_j η²λ_j²/(1 − λ_j²ρ²), E|x_i|² = sR/(1 − τa²R), N = s + τa²E|x_i|²,
        E|x̄|² = N η²/(n(1 − ρ²)). Stable iff |ρ| < 1 and τa²R < 1.

    Source:
        own derivation (C7b).
    """
    n, rho = len(values), 1.0 - eta * a
    R = float(np.mean(eta**2 * values**2 / (1.0 - values**2 * rho**2)))
    reach = growth * a**2 * R
    node = noise * R / (1.0 - reach)
    mean = (noise + growth * a**2 * node) * eta**2 / (n * (1.0 - rho**2))
    stable = abs(rho) < 1 and reach < 1
    return Spread(node=node, mean=mean, stable=stable, reach=max(abs(rho), reach))


def complete(
    a: float, eta: float, noise: float, growth: float, n: int, *, matching: bool
) -> Spread:
    """Equal nodes on the complete graph, random pairs or perfect matchings, isotropic f.

    Formula:
        E|x_i|² = D = η²s/(2 − ρ²(1+r) − η²a²τ), E<x_i, x_j> = rD, with r = 1/(1 + 2(n−2)ηa) for
        pairs and 1/(1 + (n−2)(1−ρ²)) for matchings. Stable iff the denominator is positive and
        r ≤ 1 (ρ ≥ 0 is assumed).

    Source:
        own derivation (C8).
    """
    rho = 1.0 - eta * a
    r = 1.0 / (1.0 + (n - 2) * ((1.0 - rho**2) if matching else 2.0 * eta * a))
    cost = rho**2 * (1.0 + r) + (eta * a) ** 2 * growth
    D = eta**2 * noise / (2.0 - cost)
    mean = D * (1.0 + (n - 1) * r) / n
    return Spread(node=D, mean=mean, stable=0 <= rho <= 1 and cost < 2, reach=cost / 2)


def hybrid_pair(
    a: float, eta: float, noise: tuple[float, float], growth: tuple[float, float], counts: Array
) -> Spread:
    """Two kinds of nodes on the complete graph, random pairs, isotropic f.

    Formula:
        the fixed point of five unknowns D_1, D_0, C_11, C_10, C_00, with
        Z_ab = ¼[ρ²(D_a + D_b + 2C_ab) + η²(N_a + N_b)], N_a = s_a + τ_a a² D_a, p = 2/(n(n−1)):
        D_a = (1 − 2/n)D_a + (2/n)[(n_a−1)Z_aa + n_b Z_ab]/(n−1),
        C_ab = pZ_ab + pΣ_{r≠i,j} ½ρ(2C_ab + C_ar + C_br) + (1 − p(2n−3))C_ab.

    Source:
        own derivation (C8b).

    Args:
        a: curvature.
        eta: step size.
        noise: s of the two kinds.
        growth: τ of the two kinds.
        counts: n_1 and n_0, both at least 1.
    """
    n = int(counts.sum())
    words = (a, eta, np.array(noise), np.array(growth), counts)
    offset = _hybrid_tick(np.zeros(5), *words)
    F = np.array([_hybrid_tick(unit, *words) - offset for unit in np.eye(5)]).T
    used = np.array([True, True, counts[0] > 1, True, counts[1] > 1])
    F, offset = F[np.ix_(used, used)], offset[used]
    radius = float(np.abs(np.linalg.eigvals(F)).max())
    y = np.zeros(5)
    y[used] = np.linalg.solve(np.eye(len(F)) - F, offset)
    n1, n0 = counts
    node = (n1 * y[0] + n0 * y[1]) / n
    cross = n1 * (n1 - 1) * y[2] + 2 * n1 * n0 * y[3] + n0 * (n0 - 1) * y[4]
    mean = (n * node + cross) / n**2
    return Spread(node=float(node), mean=float(mean), stable=radius < 1, reach=radius)


def _hybrid_tick(
    y: Array, a: float, eta: float, noise: Array, growth: Array, counts: Array
) -> Array:
    """One tick of (D_1, D_0, C_11, C_10, C_00)."""
    n, rho = float(counts.sum()), 1.0 - eta * a
    D, C = y[:2], np.array([[y[2], y[3]], [y[3], y[4]]])
    N = noise + growth * a**2 * D
    Z = 0.25 * (rho**2 * (D[:, None] + D + 2 * C) + eta**2 * (N[:, None] + N))
    p = 2.0 / (n * (n - 1))
    partners = (Z @ counts - Z.diagonal()) / (n - 1)
    new_D = (1 - 2 / n) * D + 2 / n * partners
    sums = C @ counts  # Σ_r C_ar over all r; the two nodes themselves are taken out below
    self_a, self_b = C.diagonal()[:, None], C.diagonal()[None]
    others = (sums[:, None] - self_a - C) + (sums[None] - self_b - C)
    moved = 0.5 * rho * (2 * (n - 2) * C + others)
    new_C = p * Z + p * moved + (1 - p * (2 * n - 3)) * C
    return np.array([new_D[0], new_D[1], new_C[0, 0], new_C[0, 1], new_C[1, 1]])


def heterogeneity(nodes: Coordinates, W: Array) -> Array:
    """Fixed points of noise-free nodes with a common Hessian and step, adapt-combine, shape [n, d].

    Formula:
        mode j of W: y_j = λ_j η β_j/(1 − λ_jρ), and the mean stays unbiased.

    Source:
        own derivation (C9).
    """
    eta, a = float(nodes.steps[0]), nodes.curvature[0]
    values, V = eigenmodes(W)
    modes = V.T @ nodes.offset
    scaled = values[:, None] * eta * modes / (1.0 - values[:, None] * (1.0 - eta * a))
    result: Array = V @ scaled
    return result
