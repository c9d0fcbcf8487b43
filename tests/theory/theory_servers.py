"""Clocks and servers for the tests of asynchronous theory."""

from hzbench.core.clock import ClockFacts
from hzbench.core.server_facts import ServerFacts

ASGD = ServerFacts(rule="asgd")
TABLE = ServerFacts(rule="table")
RINGLEADER = ServerFacts(rule="ringleader")
MINIBATCH = ServerFacts(rule="collect", collection="all", idles=True)
RENNALA = ServerFacts(rule="collect", collection="sum", batch=5)
MALENIA = ServerFacts(rule="collect", collection="harmonic", batch=6)
MALENIA_ALL = ServerFacts(rule="collect", collection="all")
RINGMASTER = ServerFacts(rule="ringmaster", delay_threshold=3)
STOPPING = ServerFacts(rule="ringmaster", delay_threshold=3, stops=True)
RATIO = ServerFacts(rule="asgd", adaptive="ratio")
CAPPED = ServerFacts(rule="asgd", adaptive="capped", cap=2.5)
FASTEST = ServerFacts(rule="asgd", fastest=2)
SERVERS = {
    "asgd": ASGD,
    "ratio": RATIO,
    "capped": CAPPED,
    "fastest": FASTEST,
    "ringmaster": RINGMASTER,
    "stopping": STOPPING,
    "table": TABLE,
    "ringleader": RINGLEADER,
    "minibatch": MINIBATCH,
    "rennala": RENNALA,
    "malenia": MALENIA,
    "malenia-all": MALENIA_ALL,
}


def clock(*seconds, law="fixed", download=0.0, upload=0.0, **words):
    """A clock with these seconds a job, read as decimals."""
    n = len(seconds)
    return ClockFacts(
        law=law,
        work=(1.0,) * n,
        pace="given",
        seconds=seconds,
        download=(download,) * n,
        upload=(upload,) * n,
        **words,
    )


def clocks(n):
    """One clock of every law for n workers."""
    linear = [i + 1.0 for i in range(n)]
    rates = tuple(tuple(float((i + j) % 3) for j in range(3)) for i in range(n))
    return {
        "equal": clock(*[0.1] * n),
        "linear": clock(*linear),
        "decimals": clock(*[0.1 * (3 + i * i) for i in range(n)]),
        "far": clock(*linear, download=0.5, upload=0.25),
        "exponential": clock(*linear, law="exponential", seed=3),
        "uniform": clock(*linear, law="uniform", spread=0.4, seed=4, upload=0.5),
        "power": clock(*linear, law="power", exponents=tuple(1.0 + i % 2 for i in range(n))),
        "intervals": clock(*linear, law="intervals", rates=rates, interval=0.5),
    }
