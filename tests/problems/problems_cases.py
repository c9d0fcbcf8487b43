"""Problems that the tests of this folder share, and plain numpy versions of what they declare."""

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from scipy.special import expit

from hzbench.core.problem import Placement, Problem
from hzbench.core.registry import find
from hzbench.core.streams import Rows, replica_keys
from hzbench.core.structure import Quadratic, Separable

KINDS = ("first", "zeroth", "first", "zeroth", "zeroth")
N = len(KINDS)
_random = np.random.default_rng(2024)


def _psd(*shape: int) -> np.ndarray:
    factor = _random.standard_normal(shape)
    return factor @ np.swapaxes(factor, -1, -2) / shape[-1]


EXPLICIT: dict[str, Any] = {
    "hessian": _psd(3, 3) + 0.2 * np.eye(3),
    "hessians": _psd(N, 3, 3) + 0.1 * np.eye(3),
    "diagonals": np.stack([np.diag(row) for row in 0.1 + _random.random((N, 3))]),
    "linear_terms": _random.standard_normal((N, 3)),
    "covariance": _psd(3, 3),
    "covariances": _psd(N, 3, 3),
    "initial": _random.standard_normal((N, 3)),
    "features": _random.standard_normal((12, 2)),
    "real": _random.standard_normal(12),
    "signs": np.resize([1.0, -1.0, -1.0], 12),
}

BRACKETS: dict[str, Any] = {
    "name": "brackets",
    "training": 40,
    "validation": 12,
    "shortest": 12,
    "longest": 14,
}

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "isotropic": ("quadratic", {"dimension": 4, "spectrum": "isotropic", "noise": 0.2}),
    "diagonal": (
        "quadratic",
        {"dimension": 4, "heterogeneity": 0.7, "noise": [0.1, 0.0, 0.3, 0.2], "spectrum": "log"},
    ),
    "one-dimension": ("quadratic", {"dimension": 1, "heterogeneity": 1.0, "noise": 0.5}),
    "rotated": (
        "quadratic",
        {
            "dimension": 5,
            "spectrum": "power",
            "rotation": True,
            "heterogeneity": 0.3,
            "noise": 0.1,
            "initial_spread": 0.5,
            "instance_seed": 3,
        },
    ),
    "given": (
        "quadratic",
        {
            "hessian": EXPLICIT["hessian"],
            "linear_terms": EXPLICIT["linear_terms"],
            "noise_covariance": EXPLICIT["covariance"],
            "initial": EXPLICIT["initial"],
            "evaluation_noise": 0.1,
        },
    ),
    "node-hessians": (
        "quadratic",
        {
            "hessians": EXPLICIT["hessians"],
            "linear_terms": EXPLICIT["linear_terms"],
            "noise_covariance": EXPLICIT["covariances"],
        },
    ),
    "node-diagonals": (
        "quadratic",
        {"hessians": EXPLICIT["diagonals"], "heterogeneity": 0.4, "noise": 0.1},
    ),
    "ridge": ("ridge", {}),
    "ridge-sorted": ("ridge", {"partition": "sorted", "regularization": 0.0}),
    "ridge-replicated": ("ridge", {"partition": "replicated", "initial": 1.0}),
    "ridge-raw": (
        "ridge",
        {
            "features": EXPLICIT["features"],
            "targets": EXPLICIT["real"],
            "standardize": False,
            "partition": {"name": "dirichlet", "alpha": 0.3},
        },
    ),
    "logistic": ("logistic", {"partition": "two-copies"}),
    "logistic-digits": (
        "logistic",
        {"data": "digits", "partition": {"name": "dirichlet", "alpha": 0.2, "seed": 1}},
    ),
    "logistic-replicated": ("logistic", {"partition": "replicated", "regularization": 0.1}),
    "logistic-raw": (
        "logistic",
        {
            "features": EXPLICIT["features"],
            "targets": EXPLICIT["signs"],
            "standardize": False,
            "partition": "sorted",
        },
    ),
    "exponential": (
        "separable",
        {
            "term": "exponential",
            "dimension": 3,
            "coefficients": 0.5 + _random.random((N, 3)),
            "rates": [0.5, -0.7, 0.3],
            "noise": [0.1, 0.0, 0.3],
        },
    ),
    "cosine": (
        "separable",
        {
            "dimension": 4,
            "coefficients": _random.standard_normal((N, 4)),
            "rates": [0.5, -0.7, 0.3, 1.2],
            "linear_terms": EXPLICIT["real"][:4] * np.linspace(-1, 1, N)[:, None],
            "noise": 0.2,
            "evaluation_noise": 0.1,
        },
    ),
    "quartic": (
        "separable",
        {
            "term": "quartic",
            "dimension": 2,
            "coefficients": [0.7, 0.2],
            "linear_terms": _random.standard_normal((N, 2)),
            "rates": [1.1, -0.8],
            "noise": 0.2,
        },
    ),
}


_ROWS = {"features": EXPLICIT["features"], "targets": EXPLICIT["real"], "standardize": False}
_SIGNS = {**_ROWS, "targets": EXPLICIT["signs"]}
_CLEAN = {"rows": 30, "dimension": 3}
LIBRARY: dict[str, tuple[str, dict[str, Any]]] = {  # what declares no structure to theory
    "huber": ("huber", {**_ROWS, "width": 0.6, "partition": "sorted"}),
    "huber-data": ("huber", {}),
    "hinge": ("smoothed_hinge", {**_SIGNS, "width": 0.5}),
    "hinge-clean": ("smoothed_hinge", {"planted": _CLEAN, "regularization": 0.0}),
    "lasso": ("smooth_lasso", _ROWS),
    "lasso-replicated": ("smooth_lasso", {**_ROWS, "partition": "replicated", "width": 0.02}),
    "nonconvex": ("nonconvex_logistic", {**_SIGNS, "nonconvexity": 0.4}),
    "nonconvex-ridge": ("nonconvex_logistic", {**_SIGNS, "regularization": 0.5}),
    "cauchy": ("cauchy", {**_ROWS, "width": 0.8, "partition": "sorted"}),
    "cauchy-clean": ("cauchy", {"planted": _CLEAN, "regularization": 0.0}),
    "geman": ("geman_mcclure", {**_ROWS, "width": 0.8}),
    "geman-clean": ("geman_mcclure", {"planted": _CLEAN, "regularization": 0.0, "width": 1.7}),
    "poisson": ("poisson", {"planted": {**_CLEAN, "label_noise": 0.2}}),
    "phase": ("phase_retrieval", {"planted": _CLEAN}),
    "tridiagonal": (
        "quadratic",
        {
            "dimension": 6,
            "spectrum": "tridiagonal",
            "smoothness": 4.0,
            "strong_convexity": 0.01,
            "heterogeneity": 0.5,
            "noise": 0.1,
            "initial": 0.0,
        },
    ),
    "log-sum-exp": (
        "log_sum_exp",
        {"dimension": 3, "terms": 7, "temperature": 0.4, "heterogeneity": 0.5, "noise": 0.1},
    ),
    "sine": ("sine_square", {"dimension": 2, "heterogeneity": 0.7, "noise": [0.1, 0.3]}),
    "rosenbrock": ("rosenbrock", {"heterogeneity": 0.5, "steepness": 3.0}),
    "factorization": ("matrix_factorization", {"size": 3, "rank": 2, "noise": 0.1}),
    "factorization-full": (
        "matrix_factorization",
        {"size": 2, "rank": 2, "spectrum": [0.5, 2.0], "heterogeneity": 0.1},
    ),
    "sensing": ("matrix_sensing", {"size": 3, "rank": 1, "measurements": 12}),
    "chain": ("zero_chain", {"dimension": 5, "probability": 0.25, "initial": 2.0}),
    "chain-scaled": (
        "zero_chain",
        {"dimension": 4, "smoothness": 7.0, "scale": 0.5, "heterogeneity": 0.2, "initial": 2.0},
    ),
    "multinomial": ("multinomial", {"partition": "sorted"}),
    "multinomial-raw": (
        "multinomial",
        {**_ROWS, "targets": np.resize([0.0, 2.0, 1.0, 3.0, 1.0], 12), "regularization": 0.1},
    ),
    "blackbox": (
        "blackbox",
        {"function": "hzbench.problems.blackbox:bowl", "dimension": 3, "minimum": 0.0},
    ),
    "phase-noisy": ("phase_retrieval", {"planted": {**_CLEAN, "label_noise": 0.5}}),
}

NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "mlp-tanh": ("mlp", {"hidden": [3], "activation": "tanh"}),
    "mlp-relu": ("mlp", {"hidden": [4, 3], "regularization": 0.1, "partition": "replicated"}),
    "cnn": ("cnn", {"channels": [2, 2], "hidden": [4], "activation": "tanh"}),
    "resnet18": ("resnet18", {"data": "digits", "channels": 2}),
    "transformer": ("transformer", {"data": BRACKETS, "feedforward": 4}),
}


def make(name: str, dtype: str = "float64", kinds=KINDS, **keys: Any) -> Problem:
    """A problem by its registered name."""
    component = find("problem", name).target(**keys)
    kinds = ("zeroth",) * len(kinds) if component.gradient_free else kinds
    return component.build(Placement(kinds=kinds, dtype=dtype))


@lru_cache
def case(label: str, dtype: str = "float64") -> Problem:
    """One of CASES, LIBRARY or NETWORKS on the nodes KINDS."""
    name, keys = {**CASES, **LIBRARY, **NETWORKS}[label]
    return make(name, dtype, **keys)


def minimiser(problem: Problem) -> np.ndarray:
    """What is declared; of cosines, which have a minimum in every period, one of them."""
    it = problem.structure
    if not isinstance(it, Separable) or it.term != "cosine":
        return problem.optimum
    assert problem.optimum.size == 0
    return np.where(it.coefficients.mean(axis=0) > 0, np.pi / it.rates, 0.0)


def rows(replicas: int, nodes: int = N, step: int = 0) -> Rows:
    """All nodes of some replicas at one step."""
    replica = torch.arange(replicas).repeat_interleave(nodes)
    node = torch.arange(nodes).repeat(replicas)
    return Rows(
        keys=replica_keys(17, range(replicas))[replica],
        replica=replica,
        node=node,
        step=torch.full_like(node, step),
    )


def points(problem: Problem, *shape: int, seed: int = 0) -> torch.Tensor:
    """Random points [*shape, d]."""
    drawn = np.random.default_rng(seed).standard_normal((*shape, problem.dimension))
    return torch.from_numpy(drawn)


class Plain:
    """f_i, ∇f_i and ∇²f_i from the declared structure, one node and one point at a time."""

    def __init__(self, problem: Problem) -> None:
        self.it = problem.structure
        self.d = problem.dimension

    def rows(self, node, index=None):
        held = self.it.members[node] if index is None else index
        return self.it.features[held], self.it.targets[held]

    def value(self, node, x, index=None):
        if isinstance(self.it, Quadratic):
            return 0.5 * x @ self.it.hessians[node] @ x - self.it.linear[node] @ x
        if isinstance(self.it, Separable):
            c, z = self.it.coefficients[node], self.it.rates * x
            term = {"exponential": np.exp, "cosine": np.cos, "quartic": lambda y: y**4 / 4}
            return sum(c * term[self.it.term](z)) - self.it.linear[node] @ x
        features, targets = self.rows(node, index)
        margin = features @ x
        losses = (
            0.5 * (margin - targets) ** 2
            if self.it.loss == "squared"
            else np.log1p(np.exp(-targets * margin))
        )
        return losses.mean() + 0.5 * self.it.regularization * x @ x

    def gradient(self, node, x, index=None):
        if isinstance(self.it, Quadratic):
            return self.it.hessians[node] @ x - self.it.linear[node]
        if isinstance(self.it, Separable):
            c, a = self.it.coefficients[node], self.it.rates
            slope = {
                "exponential": np.exp,
                "cosine": lambda y: -np.sin(y),
                "quartic": lambda y: y**3,
            }
            return c * a * slope[self.it.term](a * x) - self.it.linear[node]
        return self.single(node, x, index).mean(axis=0) + self.it.regularization * x

    def single(self, node, x, index=None):
        """Loss gradients of single rows, [rows, d]."""
        features, targets = self.rows(node, index)
        margin = features @ x
        slopes = (
            margin - targets if self.it.loss == "squared" else -targets * expit(-targets * margin)
        )
        return slopes[:, None] * features

    def hessian(self, node, x):
        if isinstance(self.it, Quadratic):
            return self.it.hessians[node]
        if isinstance(self.it, Separable):
            c, a = self.it.coefficients[node], self.it.rates
            bend = {"exponential": np.exp, "cosine": lambda y: -np.cos(y)}
            return np.diag(c * a**2 * bend.get(self.it.term, lambda y: 3 * y**2)(a * x))
        features, targets = self.rows(node)
        curvature = np.ones(len(targets))
        if self.it.loss == "logistic":
            wrong = expit(-targets * (features @ x))
            curvature = wrong * (1 - wrong)
        mean = (curvature[:, None] * features).T @ features / len(targets)
        return mean + self.it.regularization * np.eye(self.d)

    def noise(self, node, x):
        """tr Cov of one gradient sample."""
        if isinstance(self.it, Quadratic):
            return np.trace(self.it.noise[node])
        if isinstance(self.it, Separable):
            return self.it.noise[node].sum()
        return self.single(node, x).var(axis=0).sum()
