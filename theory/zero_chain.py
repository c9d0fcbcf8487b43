"""Theorem: no method that follows gradients reveals a hidden chain faster than the game allows."""

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from hzbench.core.prediction import Assumption, Prediction
from hzbench.core.registry import register
from hzbench.core.setting import Setting
from hzbench.core.structure import GradientLaw
from hzbench.theory import sources
from hzbench.theory.arrivals import participants
from hzbench.theory.checks import Values, assume, conclude
from hzbench.theory.paces import job_seconds
from hzbench.theory.server_schedule import server_assumptions, server_history
from hzbench.theory.zero_chain_game import mean_hidden

Array = NDArray[np.float64]

MUTANTS = ("batch_plus_one",)


@register("theorem", "zero_chain_time", mutants=MUTANTS, protocols=("server",))
def zero_chain_time(setting: Setting) -> Prediction:
    """Lower bound on what is still hidden of a zero-chain at any time, for every server.

    Setting and assumptions: the chain of the lower bounds with x^0 = 0, no tilts and no additive
    noise; gradients alone, since random directions reveal every coordinate at once; workers on a
    fixed clock; any rule of the server and any step sizes.

    Formula:
        E #{k: beyond the last |x_k| > λ/4} >= Σ_{j=1}^T P(X_1 + ... + X_j > t) at time t, X_j
        independent copies of min_i τ_i Geom(p_i), p_i = 1 − (1 − p)^b for batches of b. So the
        mean time until all is revealed is at least T G, G = ∫_0^∞ Π (1 − p_i)^{floor(t/τ_i)} dt.

    Guarantee:
        lower bound, in law and without constants; equality where every reveal restarts all workers
        and one update carries a coordinate past λ/2, as with one worker.

    Source:
        own derivation, on the chain and oracle of Carmon et al. 2020 and Arjevani et al. 2023, and
        the time argument of Tyurin and Richtárik 2023.

    Args:
        setting: n nodes with a server and a fixed clock, on problem `zero_chain`.

    Returns:
        Kind lower at all record steps: hidden_coordinates [T'].

    Example:
        `async`, case `chain-one-worker`, step 4, T = 4, p = ½, one worker of 1 s, so 4 coins:
        hidden_coordinates = 2.0 = 4 - 4*0.5.
    """
    return conclude(
        "zero_chain_time",
        statement="At time t a chain hides at least Σ_j P(X_1 + ... + X_j > t) coordinates.",
        source=sources.ZERO_CHAIN,
        kind="lower",
        assumptions=_assumptions(setting),
        steps=setting.record,
        compute=lambda: (_hidden(setting), {}),
        validity="any first-order server; one-sided: being slower refutes nothing",
        mutants=MUTANTS,
    )


def _assumptions(setting: Setting) -> tuple[Assumption, ...]:
    other = [i for i, law in enumerate(setting.laws) if not isinstance(law, GradientLaw)]
    start = float(np.abs(setting.problem.initial).max(initial=0.0))
    return (
        assume(
            "a zero-chain without tilts and additive noise",
            setting.problem.chain is not None,
            f"chain = {setting.problem.chain}",
        ),
        assume("all is hidden at the start", start == 0, f"largest |x_k| at the start = {start:g}"),
        assume(
            "every estimator is a gradient",
            not other,
            f"nodes {other} see more than gradients show" if other else "",
        ),
        assume("a fixed clock", setting.clock is not None and setting.clock.law == "fixed"),
        *server_assumptions(setting),
    )


def chances(setting: Setting) -> tuple[list[Fraction], list[float]]:
    """Seconds of a whole job and the probability that it reveals, of every worker taking part."""
    clock, server, chain = setting.clock, setting.server, setting.problem.chain
    assert clock is not None
    assert server is not None
    assert chain is not None
    seconds, odds = [], []
    for i in participants(clock, server):
        law = setting.laws[i]
        assert isinstance(law, GradientLaw)
        seconds.append(job_seconds(clock)[i])
        full = law.batch_size == "full"
        odds.append(1.0 if full else 1.0 - (1.0 - chain.probability) ** int(law.batch_size))
    return seconds, odds


def _hidden(setting: Setting) -> Values:
    seconds, odds = chances(setting)
    times = np.concatenate([[0.0], server_history(setting).times])[list(setting.record)]
    return {"hidden_coordinates": mean_hidden(seconds, odds, setting.problem.dimension, times)}
