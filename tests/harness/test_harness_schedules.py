"""The product's arrivals and theory's, written apart, agree estimate by estimate."""

from collections import Counter

import numpy as np
import pytest

from hzbench.core.spec import Spec
from hzbench.harness.server import schedule_of
from hzbench.harness.setting import clock_facts, method_of
from hzbench.theory.arrivals import history

METHODS = {
    "asgd": {},
    "adaptive": {"name": "asgd", "adaptive": "ratio"},
    "capped": {"name": "asgd", "adaptive": "capped", "cap": 2.0},
    "fastest_asgd": {"fastest": 2},
    "ringmaster": {"delay_threshold": 3},
    "stops": {"name": "ringmaster", "delay_threshold": 3, "stops": True},
    "rennala": {"batch": 7},
    "malenia": {"batch": 11},
    "waiting": {"name": "malenia"},
    "minibatch_sgd": {},
    "ia2sgd": {},
    "ringleader": {},
}


def clocks(random, n):
    whole = random.integers(1, 7, n).tolist()
    decimal = random.uniform(0.3, 4, n).round(2).tolist()
    links = {"download": random.integers(0, 3, n).tolist(), "upload": 0.5}
    rates = random.integers(0, 3, (n, 4)).tolist()
    rates = [row if any(row) else [1, 0, 0, 2] for row in rates]
    return {
        "whole": {"name": "fixed", "seconds": whole},
        "decimal": {"name": "fixed", "seconds": decimal},
        "sqrt": {"name": "fixed", "pace": "sqrt", "unit": 0.3},
        "linked": {"name": "fixed", "seconds": whole, **links},
        "exponential": {"name": "exponential", "pace": "linear"},
        "uniform": {"name": "uniform", "spread": 0.7, **links},
        "power": {"name": "power", "exponents": [2.0] + [1.0] * (n - 1), "seconds": whole},
        "cubic": {"name": "power", "exponents": [1.0, 3.0] + [1.0] * (n - 2)},
        "decimal outages": {
            "name": "intervals",
            "rates": [[1.0, 0.0], [0.3, 0.1]] + [[0.0, 0.5, 0.1]] * (n - 2),
            "interval": 0.3,
            "seconds": [0.1] * n,
        },
        "outages": {"name": "intervals", "rates": rates, "interval": 1.5, "seconds": whole},
    }


def of_product(spec):
    table = schedule_of(spec, method_of(spec))
    uses = []
    for k in range(table.updates):
        used = table.samples[table.used(k)]
        weights = table.scales[k] * table.weights[table.used(k)]
        uses.append(_uses(table.workers[used], table.versions[used], weights))
    arrived = [Counter(table.workers[table.received[:c]].tolist()) for c in table.counts]
    return table.times, uses, arrived


def of_theory(spec):
    method = method_of(spec)
    found = history(clock_facts(spec, method), method.server_facts(), spec.run.steps)
    uses, arrived = [], []
    for k in range(found.updates):
        served = int(found.served[k])
        workers, versions, bins = (
            each[:served] for each in (found.workers, found.versions, found.bins)
        )
        parts = []
        for index in range(found.offsets[k], found.offsets[k + 1]):
            inside = bins == found.used[index]
            parts += [
                (w, v, found.weights[index])
                for w, v in zip(workers[inside], versions[inside], strict=True)
            ]
        uses.append(_uses(*zip(*parts, strict=True)))
        arrived.append(Counter(workers.tolist()))
    return found.times, uses, arrived


def _uses(workers, versions, weights):
    return sorted(
        (int(w), int(v), round(float(p), 12))
        for w, v, p in zip(workers, versions, weights, strict=True)
    )


@pytest.mark.parametrize("clock", clocks(np.random.default_rng(0), 2))
@pytest.mark.parametrize("name", METHODS)
def test_arrivals_agree(name, clock):
    steps = 9 if clock in ("power", "cubic") else 40
    for seed in range(3):
        random = np.random.default_rng([seed, len(name), len(clock)])
        n = int(random.integers(2, 6))
        spec = Spec.parse(
            {
                "problem": {"name": "quadratic", "dimension": 2},
                "nodes": [{"count": 1}, {"count": n - 1, "work": 1.5}],
                "clock": clocks(random, n)[clock],
                "method": {"name": name} | METHODS[name],
                "run": {"steps": steps, "replicas": 1, "seed": seed},
            }
        )
        times, uses, arrived = of_product(spec)
        expected = of_theory(spec)
        np.testing.assert_allclose(times, expected[0], rtol=1e-9)
        assert uses == expected[1]
        assert arrived == expected[2]
