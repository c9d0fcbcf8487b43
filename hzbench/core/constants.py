"""Constants of a problem, as declared facts: nan means unknown, inf means it does not hold."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import nan


@dataclass(frozen=True, kw_only=True)
class Constants:
    """What a theorem may assume about f = (1/n) Σ f_i.

    Attributes:
        smoothness: L, every f_i is L-smooth.
        sample_smoothness: L such that F_i(·; one data sample) is L-smooth for every i and sample.
        strong_convexity: μ (the paper's l) of f; 0 if f is convex only; negative if f is |μ|-weakly
            convex (f + ½|μ||x|² is convex), −inf if it is that for no μ.
        polyak_lojasiewicz: μ with |∇f|² ≥ 2μ(f − f*) everywhere; 0 if that holds for no μ > 0.
        noise: per node, tr Cov of one stochastic gradient sample (an upper bound over the
            region named in `noise_holds` when it depends on x), shape [n].
        noise_holds: where `noise` is valid: "everywhere" or a sentence.
        heterogeneity: ζ², an upper bound on (1/n) Σ|∇f_i − ∇f|².
        heterogeneity_holds: where `heterogeneity` is valid.
        hessian_lipschitz: ρ_H; 0 for quadratics.
        minimum: f* = min f.
        how: the certificate of each constant that is known: its name to how it was obtained; of one
            that was sought in vain, why it is unknown.
    """

    smoothness: float = nan
    sample_smoothness: float = nan
    strong_convexity: float = nan
    polyak_lojasiewicz: float = nan
    noise: tuple[float, ...] = ()
    noise_holds: str = "everywhere"
    heterogeneity: float = nan
    heterogeneity_holds: str = "everywhere"
    hessian_lipschitz: float = nan
    minimum: float = nan
    how: Mapping[str, str] = field(default_factory=dict)
