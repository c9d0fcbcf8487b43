"""The shared vocabulary of traces and predictions: every observable, its shape and its unit.

Here mean = (1/n) Σ x_i and f = (1/n) Σ f_i. A trace column is [T', R] for a scalar and [T', R, k]
for a vector.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Observable:
    """One named quantity.

    Attributes:
        meaning: formula in words.
        unit: of its values.
        size: "scalar", "d", "n" or "probe" (core/probe.py).
    """

    meaning: str
    unit: str
    size: str = "scalar"


OBSERVABLES: dict[str, Observable] = {
    "objective": Observable(meaning="f(mean), where f* is unknown", unit="objective"),
    "objective_gap": Observable(meaning="f(mean) − f*", unit="objective"),
    "consensus_potential": Observable(meaning="Γ = (1/n) Σ |x_i − mean|²", unit="squared length"),
    "mean_iterate": Observable(meaning="mean = (1/n) Σ x_i", unit="length", size="d"),
    "node_distance": Observable(meaning="(1/n) Σ |x_i − x*|²", unit="squared length"),
    "mean_distance": Observable(meaning="|mean − x*|²", unit="squared length"),
    "mean_distance_square": Observable(meaning="|mean − x*|⁴", unit="fourth power of length"),
    "mean_shift": Observable(
        meaning="|mean − mean at the previous record point|²", unit="squared length"
    ),
    "gradient_norm": Observable(meaning="|∇f(mean)|²", unit="squared gradient"),
    "validation_loss": Observable(
        meaning="mean over the nodes of their models' loss on data set aside", unit="objective"
    ),
    "validation_loss_spread": Observable(
        meaning="standard deviation over the nodes of that loss", unit="objective"
    ),
    "validation_accuracy": Observable(
        meaning="mean over the nodes of their models' share of right answers there", unit="1"
    ),
    "validation_accuracy_spread": Observable(
        meaning="standard deviation over the nodes of that share", unit="1"
    ),
    "path_gradient_norm": Observable(
        meaning="(1/t) Σ_{s<t} |∇f(mean_s)|², unbiased at t = T", unit="squared gradient"
    ),
    "path_objective_gap": Observable(
        meaning="(1/t) Σ_{s<t} f(mean_s) − f*, unbiased at t = T", unit="objective"
    ),
    "path_weighted_gap": Observable(
        meaning="the same with weights ∝ (1 − ηl/(2n))^(−s), l the strong convexity of f",
        unit="objective",
    ),
    "probe_sums": Observable(
        meaning="sums over the probe ticks so far that the martingale test combines",
        unit="mixed",
        size="probe",
    ),
    "martingale_mean": Observable(
        meaning="Σ over probe ticks of |mean+ − x*|² minus its conditional expectation, over "
        "what drift takes away",
        unit="1",
    ),
    "martingale_consensus": Observable(
        meaning="Σ over probe ticks of Γ+ minus its conditional expectation, over what "
        "contraction and drift take away",
        unit="1",
    ),
    "estimate": Observable(meaning="(1/n) Σ G_i, the last estimates", unit="gradient", size="d"),
    "estimate_square": Observable(meaning="|(1/n) Σ G_i|²", unit="squared gradient"),
    "estimate_power": Observable(meaning="(1/n) Σ |G_i|²", unit="squared gradient"),
    "estimate_bias_square": Observable(
        meaning="mean of <G_i − ∇f_i, G_j − ∇f_j> over pairs i ≠ j: |bias|² where nodes are alike",
        unit="squared gradient",
    ),
    "laplacian_spectrum": Observable(
        meaning="eigenvalues of the graph Laplacian, ascending", unit="1", size="n"
    ),
    "slem": Observable(meaning="second largest |eigenvalue| of W", unit="1"),
    "adjacency_slem": Observable(
        meaning="second largest |eigenvalue| of D^(−½) A D^(−½): A adjacency, D degrees",
        unit="1",
    ),
    "pair_disagreement": Observable(
        meaning="largest |x_i − x_j| of a pair that has just averaged, over |X|_max", unit="1"
    ),
    "mass_residual": Observable(
        meaning="largest |Σ x+ − Σ x + Σ η_i G_i| over the steps so far, over |X|_max", unit="1"
    ),
    "idle_change": Observable(
        meaning="largest change of a node that did not take part", unit="length"
    ),
    "objective_gap_difference": Observable(
        meaning="f(mean) of this population minus f(mean) of the reference, same seeds",
        unit="objective",
    ),
    "gradient_norm_difference": Observable(
        meaning="|∇f(mean)|² of this population minus that of the reference, same seeds",
        unit="squared gradient",
    ),
    "hidden_coordinates": Observable(
        meaning="coordinates of a zero-chain beyond the last one with |x_k| > λ/4",
        unit="coordinates",
    ),
    "seconds": Observable(meaning="simulated time at which the step was done", unit="seconds"),
    "arrivals": Observable(
        meaning="estimates of each worker that have reached the server", unit="estimates", size="n"
    ),
    "used_weight": Observable(
        meaning="Σ over the updates so far of their weights W_ks, by worker", unit="1", size="n"
    ),
    "used_version": Observable(
        meaning="the same with every weight times v_s, the version that was computed at",
        unit="updates",
        size="n",
    ),
    "used_point": Observable(
        meaning="mean of the points x^v of the estimates used since the previous record point, "
        "by weight times step size",
        unit="length",
        size="d",
    ),
    "elapsed_seconds": Observable(
        meaning="simulated time since the previous record point", unit="seconds"
    ),
    "largest_delay": Observable(
        meaning="largest k − v_s of an estimate that an update so far has used", unit="updates"
    ),
    "least_harmonic_batch": Observable(
        meaning="least (1/n Σ 1/b_i)⁻¹ of an update so far, b_i the estimates of worker i in it",
        unit="estimates",
    ),
    "gradient_calls": Observable(meaning="per-sample gradients computed", unit="oracle calls"),
    "function_calls": Observable(
        meaning="per-sample function values computed", unit="oracle calls"
    ),
    "derivative_calls": Observable(
        meaning="per-sample directional derivatives computed", unit="oracle calls"
    ),
    "floats_sent": Observable(meaning="numbers sent over edges", unit="floats"),
}
