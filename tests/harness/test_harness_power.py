"""Power: which check is repeated, how it is counted, and what the count may claim."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from hzbench.core import registry
from hzbench.core.spec import Spec
from hzbench.harness import power
from hzbench.harness.mutation import Planted, mutated, unplanted
from hzbench.harness.power import Candidate, candidates, chosen, first, measure
from hzbench.harness.prepare import prepare
from hzbench.harness.run import execute_case
from hzbench.harness.simulate import simulate
from hzbench.harness.suite import load, parse

LEVEL = 1e-3
NOISE = {
    "problem": {"name": "quadratic", "dimension": 1, "noise": 0.5, "initial": 0.0},
    "nodes": [{"count": 2}],
    "method": "probe",
    "run": {"steps": 1, "replicas": 1600, "record": [1], "seed": 3},
    "checks": [
        {
            "theorem": "estimator_moments",
            "observables": ["estimate_power"],
            "mutants": ["noise_plus_5"],
        }
    ],
}
PAIRS = {
    "problem": {"name": "quadratic", "dimension": 2},
    "nodes": [{"count": 4}],
    "run": {"steps": 4, "replicas": 16},
    "checks": [{"theorem": "step_invariants", "mutants": ["gossip_weight_48"]}],
}


def planted(table):
    spec = Spec.parse(table)
    return Planted(mutant=spec.checks[0].mutants[0], spec=spec, checks=spec.checks)


def row(without="consistent", with_it="violated", method="Hall t", p_value=1e-20):
    check = {"without": without, "with": with_it, "method": method, "p_value": p_value}
    return {"checks": [check]}


def candidate(mutant="a", certain=False, margin=9.0, cost=1.0):
    return Candidate(mutant=mutant, case=None, certain=certain, margin=margin, cost=cost)


def test_only_checks_that_found_their_mutant_are_candidates():
    each = planted(NOISE)
    rows = [row(), row(with_it="consistent"), row(without="inconclusive"), row()]
    found = candidates([each] * 4, rows, LEVEL)
    assert [c.mutant for c in found] == ["noise_plus_5"] * 2
    assert found[0].case.spec.mutant == "noise_plus_5"
    assert not found[0].certain
    assert candidates([each], [row(method="deterministic", p_value=0.0)], LEVEL)[0].certain


def test_the_margin_is_that_of_the_fewest_replicas():
    table = NOISE | {"run": NOISE["run"] | {"replicas": 6400}}
    for spec, shrink in ((NOISE, 1.0), (table, 0.5)):
        p = 2 * stats.norm.sf(9.0)
        found = candidates([planted(spec)], [row(p_value=p)], LEVEL)[0]
        assert found.margin == pytest.approx(9.0 * shrink - 3.2905, abs=1e-3)
    underflow = candidates([planted(NOISE)], [row(p_value=0.0)], LEVEL)[0]
    assert 30 < underflow.margin < math.inf


def test_the_cheapest_check_beyond_doubt_is_repeated():
    cheap, dear, weak = candidate(cost=2.0), candidate(cost=3.0), candidate(margin=1.0, cost=0.1)
    assert chosen([dear, weak, cheap]) == [cheap]
    weaker = candidate(margin=0.5, cost=0.01)
    assert chosen([weaker, weak]) == [weak]
    sure = candidate(certain=True, margin=math.inf, cost=5.0)
    assert chosen([cheap, replace(sure, cost=6.0), sure]) == [sure, cheap]
    assert chosen([sure, candidate(cost=501.0)]) == [sure]
    other = candidate("b")
    assert chosen([other, cheap]) == [cheap, other]


def test_fewer_replicas_are_the_first_of_more():
    spec = Spec.parse(NOISE)
    more = simulate(spec.sized(600), ("estimate_power",))
    fewer = simulate(spec.sized(300), ("estimate_power",))
    cut = first(more, 300)
    assert cut.replicas == 300
    assert np.array_equal(cut.columns["estimate_power"], fewer.columns["estimate_power"])


def test_power_is_that_of_the_test():
    """Against a plain simulation: the mean square of two normals, and a normal test."""
    found = measure(candidates([planted(NOISE)], [row()], LEVEL), LEVEL, 40, workers=1)
    (each,) = found["rows"]
    rng, critical = np.random.default_rng(5), stats.norm.isf(LEVEL / 2)
    for rate in each["rates"]:
        R = rate["replicas"]
        values = rng.chisquare(2, size=(400, R)) / 2 * 1.05**2
        z = (values.mean(1) - 1) / (values.std(1) / math.sqrt(R))
        expected = float((np.abs(z) > critical).mean())
        spread = math.sqrt(40 * max(expected * (1 - expected), 0.02))
        assert rate["trials"] == 40
        assert abs(rate["found"] - 40 * expected) < 4 * spread
    assert each["rates"][0]["found"] < each["rates"][1]["found"]
    assert not each["enough"]  # 40 of 40 would not do either
    assert found["enough"] == {"noise_plus_5": False}


def test_repetitions_are_fresh_and_reproducible():
    case = mutated(planted(NOISE))
    seeds = []

    def spy(function, *arguments):
        seeds.extend(arguments[1])
        return power.here(function, *arguments)

    each = Candidate(mutant="m", case=case, certain=False, margin=9.0, cost=1.0)
    power._submit(each, LEVEL, 3, spy)
    power._submit(each, LEVEL, 3, spy)
    assert len(set(seeds[:3])) == 3
    assert seeds[:3] == seeds[3:]
    assert case.spec.run.seed not in seeds


@pytest.mark.parametrize("found", [59, 58, 30, 0])
def test_the_limit_is_one_sided(found):
    low = power._rate(1600, found, 59, False)["low"]
    if found == 0:
        assert low == 0.0
    else:
        assert stats.binom.sf(found - 1, 59, low) == pytest.approx(0.05, rel=1e-6)
    assert (low >= power.CLAIMED) == (found == 59)


def test_where_nothing_varies_one_repetition_is_enough():
    each = planted(PAIRS)
    verdicts = [
        execute_case(case, LEVEL).verdicts[0] for case in (prepare(each.spec), mutated(each))
    ]
    assert [v.outcome for v in verdicts] == ["consistent", "violated"]
    found = candidates([each], [row(method=verdicts[1].method, p_value=0.0)], LEVEL)
    (told,) = measure(found, LEVEL, 59, workers=1)["rows"]
    assert told["deterministic"]
    assert [rate["trials"] for rate in told["rates"]] == [1, 1]
    assert told["enough"]


def test_core_and_async_judge_every_theorem_and_plant_every_mutant():
    """Every theorem says what it must refute, and some check of it there is asked to do it."""
    core, servers = load("core"), load("async")
    assert set(unplanted(core)) & set(unplanted(servers)) == set()
    named = {}
    for spec in (*core.specs, *servers.specs):
        for check in spec.checks:
            named.setdefault(check.theorem, set()).update(check.mutants)
    declared = {
        name: set(entry.facts.get("mutants", ()))
        for name, entry in registry.entries("theorem").items()
    }
    assert set(named) == set(declared)
    missing = {name: promised - named[name] for name, promised in declared.items()}
    assert {name: found for name, found in missing.items() if found} == {}
    assert [name for name, promised in declared.items() if not promised] == []


def test_a_blind_spot_is_declared_with_its_reason():
    case = {"name": "a", **PAIRS}
    suite = parse(
        {"suite": {"name": "s", "blind_spots": {"self_pairs": "why"}}, "case": [case]}, "s"
    )
    missing = unplanted(suite)
    assert "self_pairs" not in missing
    assert "gossip_weight_48" not in missing
    assert "one_endpoint" in missing
