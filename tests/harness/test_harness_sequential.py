"""Sequential looks: sizes and levels fixed in advance, longer runs that contain shorter ones."""

from dataclasses import replace

import numpy as np
import pytest

from hzbench.core.errors import SpecError
from hzbench.core.spec import Spec
from hzbench.harness.prepare import prepare
from hzbench.harness.run import execute_case
from hzbench.harness.simulate import simulate
from hzbench.harness.store import Store
from hzbench.judge.sequential import look_levels, look_sizes

LEVEL = 1e-3
NAMES = ("objective_gap", "path_gradient_norm", "probe_sums")


def spec_of(replicas=1600, most=None, tolerance=0.08, steps=3):
    run = {"steps": steps, "replicas": replicas, "record": [steps]}
    return Spec.parse(
        {
            "problem": {"name": "quadratic", "dimension": 2, "noise": 1.0, "initial": 0.3},
            "nodes": [{"count": 3}],
            "method": {"name": "hdo", "step_size": 0.3},
            "run": run | ({"max_replicas": most} if most else {}),
            "checks": [
                {
                    "theorem": "quadratic_dynamics",
                    "observables": ["objective_gap"],
                    "tolerance": tolerance,
                }
            ],
        }
    )


def test_sizes_double_up_to_the_cap():
    assert look_sizes(1600, None) == (1600,)
    assert look_sizes(1600, 1600) == (1600,)
    assert look_sizes(1600, 10000) == (1600, 3200, 6400, 10000)


@pytest.mark.parametrize("looks", [1, 2, 5])
def test_levels_halve_and_sum_to_the_level(looks):
    levels = look_levels(LEVEL, looks)
    assert len(levels) == looks
    assert sum(levels) == pytest.approx(LEVEL, rel=1e-15)
    assert levels[0] == (LEVEL / 2 if looks > 1 else LEVEL)
    assert levels[-1] == (levels[-2] if looks > 1 else LEVEL)


@pytest.mark.parametrize("shorter", [300, 512, 40])
def test_a_longer_run_contains_the_shorter_one(shorter):
    long, short = spec_of(700, steps=40), spec_of(shorter, steps=40)
    whole, part = simulate(long, NAMES), simulate(short, NAMES)
    extended = simulate(long, NAMES, shorter=part)
    assert extended.replicas == 700
    for name, values in whole.columns.items():
        np.testing.assert_array_equal(extended.columns[name], values)
        known = part.columns[name][:, : shorter // 256 * 256]
        np.testing.assert_array_equal(values[:, : known.shape[1]], known)


def test_an_inconclusive_check_is_looked_at_again(tmp_path):
    first = execute_case(prepare(spec_of()), LEVEL)
    assert first.verdicts[0].outcome == "inconclusive"
    needed = first.verdicts[0].replicas_needed
    assert 3200 < needed < 12800
    spec, store = spec_of(most=30000), Store(tmp_path)
    result = execute_case(prepare(spec), LEVEL, store)
    verdict = result.verdicts[0]
    assert verdict.outcome == "consistent"
    looks = look_sizes(1600, 30000)
    taken = looks.index(verdict.replicas) + 1
    assert looks[taken - 1] >= needed * 0.9
    assert verdict.level == LEVEL / 2**taken
    assert len(list(tmp_path.iterdir())) == taken
    again = execute_case(prepare(spec), LEVEL, store)
    assert again.reused
    assert again.verdicts == result.verdicts
    direct = simulate(spec_of(verdict.replicas), ["objective_gap"])
    assert (direct.at("objective_gap", 3) == result.trace.at("objective_gap", 3)).all()


def test_it_stops_at_the_cap():
    result = execute_case(prepare(spec_of(most=3000, tolerance=0.001)), LEVEL)
    assert result.trace.replicas == 3000
    assert result.verdicts[0].outcome == "inconclusive"
    assert result.verdicts[0].level == LEVEL / 2


def test_a_decided_check_keeps_its_look():
    """The coarse check is decided at once; only the fine one needs more replicas."""
    spec = spec_of(most=12800, tolerance=0.1)
    fine = spec.checks[0].model_copy(update={"tolerance": 0.07})
    coarse = spec.checks[0].model_copy(update={"tolerance": 0.5})
    result = execute_case(prepare(spec.model_copy(update={"checks": (coarse, fine)})), LEVEL)
    assert [v.outcome for v in result.verdicts] == ["consistent", "consistent"]
    assert result.verdicts[0].replicas == 1600 < result.verdicts[1].replicas
    assert result.verdicts[0].level == LEVEL / 2


def test_a_wrong_prediction_stops_at_the_first_look():
    case = prepare(spec_of(most=30000))
    wrong = {"objective_gap": case.predictions[0].values["objective_gap"] * 1.5}
    broken = replace(case.predictions[0], values=wrong)
    result = execute_case(replace(case, predictions=(broken,)), LEVEL)
    assert result.verdicts[0].outcome == "violated"
    assert result.trace.replicas == 1600


def test_the_cap_is_no_part_of_what_is_simulated():
    assert spec_of(most=5000).digest == spec_of().digest
    assert spec_of(1700).digest != spec_of().digest


def test_a_cap_below_the_replicas_is_a_mistake():
    with pytest.raises(SpecError, match="max_replicas = 100 below replicas = 1600"):
        spec_of(most=100)
