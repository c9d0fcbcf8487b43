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
    locator=f"own derivation (A1-A8 and A10); bounds of the same quantities: {NESTEROV_SPOKOINY}"
)
SEPARABLE_MEANS = Source(locator="own derivation (A11)")
SMOOTHING_BIAS = Source(locator="own derivation (A12)")
NESTEROV_SPOKOINY_BIAS = Source(
    locator=f"{NESTEROV_SPOKOINY}, Lemma 3 (A13)",
    printed="|∇f_μ(x) − ∇f(x)| <= (μ/2) L_1 (n+3)^(3/2); with a Lipschitz Hessian (recalled, not "
    "confirmed) <= (μ²/6) L_2 (n+4)²",
)
NESTEROV_SPOKOINY_POWER = Source(
    locator=f"{NESTEROV_SPOKOINY}, Theorem 4 (A13)",
    printed="E|g_μ(x)|² <= (μ²/2) L_1² (n+6)³ + 2(n+4)|∇f(x)|²",
)
ESTIMATE_POWER = Source(locator="own derivation (A14)")
FASTEST_MIXING = (
    "S. Boyd, P. Diaconis, L. Xiao: Fastest mixing Markov chain on a graph, SIAM Review 46 (2004)"
)
EXPONENTIAL = (
    "B. Ying et al.: Exponential graph is provably efficient for decentralized deep training, "
    "NeurIPS 2021"
)
GRAPH_SPECTRUM = Source(
    locator=f"{XIAO_BOYD}, section 4; {FASTEST_MIXING}; {EXPONENTIAL}; closed forms: own "
    "derivation (B1-B4, B11)"
)
ALON_BOPPANA = Source(
    locator="A. Nilli: On the second eigenvalue of a graph, Discrete Mathematics 91 (1991); for "
    "random graphs J. Friedman (2008) (B13)"
)
RANDOM_GRAPH_EDGE = Source(
    locator="trace of the square: own derivation; the limit: F. Chung, L. Lu, V. Vu: Spectra of "
    "random graphs with given expected degrees, PNAS 100 (2003) (B13)"
)
GOSSIP_CONTRACTION = Source(
    locator=f"{BOYD_GOSSIP}, section II; constants: own derivation (B5-B12)"
)
QUADRATIC_DYNAMICS = Source(locator=f"own derivation (C1-C5, C13) for Algorithm 1 of {HDO}")
MEAN_DYNAMICS = Source(
    locator="own derivation (A1, A6, C1-C5, C13); the estimator: Zhang, Zhou, Ji, Zavlanos: A new "
    "one-point residual-feedback oracle for black-box learning and control, Automatica 136 (2022)"
)
LEAST_SQUARES_DYNAMICS = Source(locator=f"own derivation (C12) for Algorithm 1 of {HDO}")
DSGD_BOUND = Source(locator="own derivation (E1)")
PAIR_BOUND = Source(locator=f"own derivation (E4), with Lemma 2 of {HDO}")
STEP_INVARIANTS = Source(locator=f"own derivation (F4) from Algorithm 1 of {HDO}")
HYBRID_CROSSOVER = Source(locator=f"own derivation (D1); the question is that of {HDO}")
LEMMA2_MARTINGALE = Source(
    locator=f"own derivation (C10); {HDO}, Lemma 2, bounds the same step",
    printed="E Γ_{t+1} ≤ (1 − 1/(2n)) E Γ_t + (4/n) η² M^G",
)
PL_BOUND = Source(locator="own derivation (E2)")
CONVEX_BOUND = Source(locator="own derivation (E3)")
HDO_CONSENSUS_STEP = Source(
    locator=f"Lemma 2 of {HDO}; proved again from the exact identity (C10)",
    printed="E Γ+ ≤ (1 − 1/(2n)) Γ + (4/n) η² M",
)
HDO_SECOND_MOMENT = Source(
    locator=f"Lemma 3 of {HDO}; proved again from Lemma 5",
    printed="M ≤ 6(d+4)L²Γ + (6(d+4)n_0 ς_0² + 3n_1 ς_1²)/n + 6(2d+9)L(f − f*) + "
    "(2(d+4) Σ_{N0} s_i² + Σ_{N1} s_i²)/n + η² n_0 L²(d+6)³/(2nc²), ν = η/c",
)
HDO_ESTIMATE_POWER = Source(
    locator=f"Lemma 5 of {HDO}, after {NESTEROV_SPOKOINY}; the square of |∇f_i| is ours (E8e)",
)
HDO_MEAN_STEP = Source(locator=f"Lemma 14 of {HDO}", printed="E|Δμ|² ≤ 4η²M/n²")
HDO_MEAN_RECURSION = Source(
    locator=f"Lemma 13 (4 in the main text) of {HDO}, with the bias at its order in η; own proof"
)
HDO_MEAN_AS_PRINTED = Source(
    locator=f"Lemma 13 of {HDO}, eq. (39): rebuilt from notes on the extended version, see "
    "docs/errata.md",
    printed="R_3 ≤ 2η²B/n",
)
HDO_THEOREM = Source(locator=f"Theorem 1 of {HDO}; every constant is ours (own derivation)")
HDO_OBJECTIVE = Source(locator=f"own derivation for Algorithm 1 of {HDO} (E8b)")
HDO_OBJECTIVE_AS_PRINTED = Source(
    locator=f"the objective of {HDO}: rebuilt from notes on the extended version, see "
    "docs/errata.md",
    printed="f = (1/n_0) Σ_{N0} f_i + (1/n_1) Σ_{N1} f_i",
)
WORST_CASE = Source(
    locator="semidefinite programs of Drori and Teboulle (2014) and Taylor, Hendrickx and Glineur "
    "(2017), solved with PEPit (Goujaud et al., Mathematical Programming Computation 16, 2024)"
)
RINGLEADER = (
    "A. Maranjyan, P. Richtárik: Ringleader ASGD: The First Asynchronous SGD with Optimal Time "
    "Complexity under Data Heterogeneity, 2025"
)
SERVER_SCHEDULE = Source(locator=f"own derivation, of the rules of {RINGLEADER}, and its peers")
SERVER_MOMENTS = Source(locator=f"own derivation, of the rules of {RINGLEADER}, and its peers")
ZERO_CHAIN = Source(
    locator="own derivation, on the chain of Carmon, Duchi, Hinder and Sidford (2020) and the "
    "oracle of Arjevani et al. (2023), with the time argument of Tyurin and Richtárik (2023)"
)
SERVER_FLOOR = Source(
    locator="own derivation; the bias is that of Mishchenko et al. 2022 and Tyurin and Richtárik "
    "2023 in closed form"
)
ROUND_TIME = Source(
    locator=f"{RINGLEADER}; A. Maranjyan, A. Tyurin, P. Richtárik: Ringmaster ASGD, 2025; A. "
    "Tyurin, P. Richtárik: Optimal time complexities of parallel stochastic optimization methods "
    "under a fixed computation model, NeurIPS 2023"
)
SERVER_LIMIT = Source(
    locator="own derivation; the bias is that of Mishchenko et al. 2022 and Tyurin and Richtárik "
    "2023, at any stable step size"
)
