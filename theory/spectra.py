"""Theorem: closed-form Laplacian spectra and mixing rates of the regular graph families."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hzbench.core.prediction import Prediction
from hzbench.core.registry import register
from hzbench.core.setting import NetworkFacts, Setting
from hzbench.theory import sources
from hzbench.theory.checks import Values, assume, conclude
from hzbench.theory.graphs import (
    GraphError,
    edge_list,
    edge_transitive,
    exponential_hops,
    hypercube_dimension,
    laplacian,
    left_size,
    sides,
    words,
)
from hzbench.theory.weights import fastest_weight

Array = NDArray[np.float64]

MUTANTS = ("lazy_weights", "one_peer_stuck")


@register("theorem", "graph_spectrum", mutants=MUTANTS)
def graph_spectrum(setting: Setting) -> Prediction:
    """Laplacian spectrum of the graph and second largest |eigenvalue| of W, in closed form.

    Setting and assumptions: a ring, path, star, complete graph, grid, torus, hypercube, circulant,
    exponential or complete bipartite graph. The rate is given in the matrix protocol, for weights
    that are constant over the edges (Metropolis weights are so on regular graphs, paths, stars and
    bipartite graphs, fastest-mixing ones where all edges are alike) and for exponential weights.

    Formula:
        ring 2 − 2cos(2πk/n); path 2 − 2cos(πk/n); star 0, 1, n; complete 0, n; hypercube 2j with
        multiplicity C(k, j); K_{p,q} 0, q, p, p + q; grid and torus sums of paths and of rings.
        Circulants Σ_s 2 − 2cos(2πks/n) over the hops (half for 2s = n).
        W = I − αL has rate max(|1 − αλ_2|, |1 − αλ_n|), best α = 2/(λ_2 + λ_n), fastest with W ≥ 0
        min(1/Δ, that). Static exponential 1 − 2/(1 + ⌈log2 n⌉) for n even; a period of one-peer
        exponential matrices 0 for n = 2^k.

    Guarantee:
        exact.

    Source:
        Xiao and Boyd 2004, section 4; Boyd, Diaconis, Xiao 2004; Ying et al. 2021; own derivation
        (B1-B4, B11).

    Args:
        setting: n ≥ 2 nodes.

    Returns:
        Kind exact at step 0: laplacian_spectrum [1, n] ascending, slem [1] where it is closed.

    Example:
        `quick`, case `dsgd-ring-first`, step 0, ring of 8, Metropolis weights:
        slem = 0.8047379 = (1 + 2*cos(2*pi/8))/3.
    """
    network, n = setting.network, setting.nodes
    detail = ""
    try:
        laplacian_spectrum(network, n)
    except GraphError as error:
        detail = str(error)
    assumptions = (
        assume("there are at least two nodes", n >= 2, f"n = {n}"),
        assume("the graph has a closed-form spectrum", not detail, detail),
        assume("the start is recorded", 0 in setting.record, f"record = {setting.record}"),
    )
    return conclude(
        "graph_spectrum",
        statement="Eigenvalues of L in closed form; W = I − αL has rate max |1 − αλ| over λ > 0.",
        source=sources.GRAPH_SPECTRUM,
        kind="exact",
        assumptions=assumptions,
        steps=(0,),
        compute=lambda: (_values(setting), {}),
        validity="every n; sides of length 2 carry one edge, not two",
        mutants=_mutants(setting) if n >= 2 and not detail else (),
    )


def _values(setting: Setting) -> Values:
    values = {"laplacian_spectrum": laplacian_spectrum(setting.network, setting.nodes)[None]}
    rate = _rate(setting)
    return values if rate is None else values | {"slem": np.array([rate])}


def _rate(setting: Setting) -> float | None:
    """The rate of W where a run has one; partners average without W."""
    matrix = setting.protocol == "matrix"
    return mixing_rate(setting.network, setting.nodes) if matrix else None


def _mutants(setting: Setting) -> tuple[str, ...]:
    """Those that change the rate, where it is known."""
    if _rate(setting) is None:
        return ()
    return MUTANTS if setting.network.weights == "one-peer-exponential" else MUTANTS[:1]


def laplacian_spectrum(network: NetworkFacts, n: int) -> Array:
    """Eigenvalues of L, ascending, shape [n].

    Raises:
        GraphError: no closed form, or parameters that do not fit n.
    """
    family, parameters = words(network.graph), network.graph_parameters
    if network.edges or family not in _SPECTRA:
        raise GraphError(f"no closed form for graph {network.graph!r}")
    result: Array = np.sort(_SPECTRA[family](n, parameters))
    return result


def mixing_rate(network: NetworkFacts, n: int) -> float | None:
    """The second largest |eigenvalue| of W in closed form, or None.

    Raises:
        GraphError: the graph has no closed-form spectrum.
    """
    spectrum = laplacian_spectrum(network, n)
    rule = words(network.weights)
    if network.matrix is not None:
        return None
    if rule == "uniform":
        return 0.0 if words(network.graph) == "complete" else None
    if rule == "best-constant":
        return float((spectrum[-1] - spectrum[1]) / (spectrum[-1] + spectrum[1]))
    if rule == "fastest-mixing":
        return _fastest_rate(network, n, spectrum)
    if rule in {"static-exponential", "one-peer-exponential"}:
        return _exponential_rate(network, n, rule)
    alpha = _edge_weight(network, n, rule)
    if alpha is None:
        return None
    rates = 1.0 - alpha * spectrum[1:]
    rates = 0.5 * (1.0 + rates) if rule == "lazy" else rates
    return float(np.abs(rates).max())


def _fastest_rate(network: NetworkFacts, n: int, spectrum: Array) -> float | None:
    """cos(π/n) on a path; with one weight on all edges where these are alike; else unknown."""
    if words(network.graph) == "path":
        return float(np.cos(np.pi / n))
    edges = edge_list(network, n)
    if not edge_transitive(edges, n):
        return None
    degree = float(laplacian(edges, n).diagonal().max())
    return float(np.abs(1.0 - fastest_weight(spectrum, degree) * spectrum[1:]).max())


def _exponential_rate(network: NetworkFacts, n: int, rule: str) -> float | None:
    """The largest modulus of an eigenvalue but 1: of W, or of the product of a period.

    Formula:
        static (1 + Σ_k ω^(l 2^k))/(1 + K), one-peer Π_k ½(1 + ω^(l 2^k)), ω = e^(2πi/n),
        l = 1 ... n−1, K = ⌈log2 n⌉: 1 − 2/(1 + K) for n even, and 0 for n = 2^K.
    """
    if words(network.graph) != "exponential":
        return None
    hops = np.array(exponential_hops(n))
    roots = np.exp(2j * np.pi * np.arange(1, n)[:, None] * hops / n)
    if rule == "static-exponential":
        return float(np.abs((1 + roots.sum(1)) / (1 + len(hops))).max())
    if n & (n - 1) == 0:
        return 0.0
    return float(np.abs(np.prod((1 + roots) / 2, axis=1)).max())


def _edge_weight(network: NetworkFacts, n: int, rule: str) -> float | None:
    """α of W = I − αL: the weight that every edge carries, or None if edges differ."""
    family = words(network.graph)
    top = _largest_degree(family, n, network.graph_parameters)
    constant = family != "grid" or 1 in sides(n, network.graph_parameters) or n == 4
    if rule == "max-degree" or (rule in {"metropolis", "lazy"} and constant):
        return 1.0 / (top + 1.0)
    return None


def _largest_degree(family: str, n: int, parameters: Mapping[str, Any]) -> int:
    if family in {"star", "complete"}:
        return n - 1
    if family == "hypercube":
        return hypercube_dimension(n)
    if family == "complete-bipartite":
        left = left_size(n, parameters)
        return max(left, n - left)
    if family in {"circulant", "exponential"}:
        hops = parameters["hops"] if family == "circulant" else exponential_hops(n)
        return len({way for hop in hops for way in (hop % n, -hop % n)})
    if family in {"ring", "path"}:
        return min(2, n - 1)
    return sum(min(2, side - 1) for side in sides(n, parameters))


def _ring(n: int, _: Mapping[str, Any]) -> Array:
    if n == 2:
        return np.array([0.0, 2.0])
    result: Array = 2.0 - 2.0 * np.cos(2 * np.pi * np.arange(n) / n)
    return result


def _path(n: int, _: Mapping[str, Any]) -> Array:
    result: Array = 2.0 - 2.0 * np.cos(np.pi * np.arange(n) / n)
    return result


def _circulant(n: int, parameters: Mapping[str, Any]) -> Array:
    given = {min(int(hop), n - int(hop)) for hop in parameters.get("hops", ())}
    if not given or min(given) < 1:
        raise GraphError(f"got hops {parameters.get('hops')}; expected some of 1 to {n - 1}")
    angle = 2 * np.pi * np.arange(n)
    waves = [(1 if 2 * hop == n else 2) * (1 - np.cos(angle * hop / n)) for hop in given]
    result: Array = np.sum(waves, axis=0)
    return result


def _exponential(n: int, _: Mapping[str, Any]) -> Array:
    return _circulant(n, {"hops": exponential_hops(n)})


def _star(n: int, _: Mapping[str, Any]) -> Array:
    return np.array([0.0, *(1.0,) * (n - 2), float(n)])


def _complete(n: int, _: Mapping[str, Any]) -> Array:
    return np.array([0.0, *(float(n),) * (n - 1)])


def _grid(n: int, parameters: Mapping[str, Any]) -> Array:
    rows, columns = sides(n, parameters)
    return np.add.outer(_path(rows, {}), _path(columns, {})).ravel()


def _torus(n: int, parameters: Mapping[str, Any]) -> Array:
    rows, columns = sides(n, parameters)
    return np.add.outer(_ring(rows, {}), _ring(columns, {})).ravel()


def _hypercube(n: int, _: Mapping[str, Any]) -> Array:
    return np.array([2.0 * node.bit_count() for node in range(2 ** hypercube_dimension(n))])


def _complete_bipartite(n: int, parameters: Mapping[str, Any]) -> Array:
    p = left_size(n, parameters)
    q = n - p
    return np.array([0.0, *(float(q),) * (p - 1), *(float(p),) * (q - 1), float(n)])


_SPECTRA = {
    "ring": _ring,
    "path": _path,
    "star": _star,
    "complete": _complete,
    "grid": _grid,
    "torus": _torus,
    "circulant": _circulant,
    "exponential": _exponential,
    "hypercube": _hypercube,
    "complete-bipartite": _complete_bipartite,
}
