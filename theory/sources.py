"""Citations of the theorems, one object each."""

from hzbench.core.prediction import Source

HDO = (
    "S. Ansaripour, S. Talaei, G. Nadiradze, D. Alistarh: Hybrid Decentralized Optimization: "
    "Leveraging Both First- and Zeroth-Order Optimizers for Faster Convergence, AAAI 2025, "
    "arXiv 2210.07703"
)
NESTEROV_SPOKOINY = (
    "Y. Nesterov, V. Spokoiny: Random Gradient-Free Minimization of Convex Functions, "
    "Foundations of Computational Mathematics 17 (2017)"
)
XIAO_BOYD = "L. Xiao, S. Boyd: Fast linear iterations for distributed averaging, SCL 53 (2004)"
BOYD_GOSSIP = (
    "S. Boyd, A. Ghosh, B. Prabhakar, D. Shah: Randomized gossip algorithms, "
    "IEEE Transactions on Information Theory 52 (2006)"
)

ESTIMATOR_MOMENTS = Source(
    locator=f"own derivation (A1-A3 and A8); bounds of the same quantities: {NESTEROV_SPOKOINY}"
)
GRAPH_SPECTRUM = Source(locator=f"{XIAO_BOYD}, section 4; closed forms: own derivation (B1-B3)")
GOSSIP_CONTRACTION = Source(
    locator=f"{BOYD_GOSSIP}, section II; constants: own derivation (B5, B7-B9)"
)
QUADRATIC_DYNAMICS = Source(locator=f"own derivation (C1-C5, C13) for Algorithm 1 of {HDO}")
LEAST_SQUARES_DYNAMICS = Source(locator=f"own derivation (C12) for Algorithm 1 of {HDO}")
DSGD_BOUND = Source(locator="own derivation (E1)")
PAIR_BOUND = Source(locator=f"own derivation (E4), with Lemma 2 of {HDO}")
STEP_INVARIANTS = Source(locator=f"own derivation (F4) from Algorithm 1 of {HDO}")
HYBRID_CROSSOVER = Source(locator=f"own derivation (D1); the question is that of {HDO}")
