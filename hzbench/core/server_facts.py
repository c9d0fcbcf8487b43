"""Server facts: what an asynchronous server does, in words that theory reads."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class ServerFacts:
    """What the server does, in words; x^k the server's point, δ = k − v of an arriving job.

    All workers start at x^0 at time 0. A worker that is sent a point computes there at once, and
    stops what it ran. Restart: it is sent x^k again.

    Attributes:
        rule: asgd: every arrival updates, W = 1 times `adaptive`, and its worker is sent x^{k+1}.
            ringmaster: as asgd where δ < `delay_threshold`; else nothing is updated; either way
            the worker is sent the current point. With `stops`, after every update all jobs with
            k − v >= delay_threshold are restarted.
            collect: in a round all workers compute at x^k, again and again; it ends with the
            arrival that makes it complete: by `collection` "sum" once Σ_i b_i >= `batch` (b_i
            arrivals of worker i), "harmonic" once all b_i > 0 and n/(Σ 1/b_i) >= batch/n, "all"
            once all b_i > 0. W = 1/Σ b_i for each estimate ("sum"), or 1/(n b_i). Then all workers
            restart at x^{k+1}. Minibatch is "all" with every worker idle after its first arrival
            (`idles`).
            table: G_i the latest estimate of worker i; once all have arrived, every arrival
            updates by (1/n) Σ G_i, and its worker is sent x^{k+1} (before, x^0 again).
            ringleader: two phases a round. G_i, b_i sum and count of this round's estimates of i.
            While some b_i = 0, arrivals are added, and their worker is sent x^k. The arrival that
            completes the table updates, by (1/n) Σ G_i/b_i; its worker is sent x^{k+1} and is done.
            Then an arrival of a worker that is not done is added, updates, and is done; one of a
            worker that is done is kept for the next round's table, without update; the worker is
            sent the current point. When all are done the kept estimates are the next table.
        fastest: only the m workers with the least seconds, links included, take part (ties by
            index); the others never start; 0: all. W and n are then those of the m workers.
        delay_threshold: R of ringmaster.
        stops: of ringmaster.
        batch: S of collect.
        collection: of collect.
        idles: of collect.
        adaptive: asgd: none: 1; ratio: n/max(n, δ); capped: 1 if δ <= n, else min(1, `cap`/δ).
        cap: of capped.
    """

    rule: Literal["asgd", "ringmaster", "collect", "table", "ringleader"]
    fastest: int = 0
    delay_threshold: int = 0
    stops: bool = False
    batch: int = 1
    collection: Literal["sum", "harmonic", "all"] = "sum"
    idles: bool = False
    adaptive: Literal["none", "ratio", "capped"] = "none"
    cap: float = 0.0
