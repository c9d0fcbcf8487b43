import json

import numpy as np
from judge_synthetic import make_trace, predict, squares

from hzbench.core.verdict import Verdict
from hzbench.judge import judge
from hzbench.judge.record import record


def test_a_verdict_survives_json():
    trace = make_trace({"objective_gap": squares(np.random.default_rng(71), 1600)})
    verdict = judge(trace, predict({"objective_gap": 1.0}, "upper"), level=0.01)
    plain = record(verdict)
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert plain["theorem"] == "synthetic"
    assert plain["met"] is verdict.met
    assert plain["tolerance"] is None  # a bound has none
    assert plain["statistics"][0]["measured"] == verdict.statistics[0].measured


def test_numbers_that_json_does_not_know_become_none():
    plain = record(Verdict(theorem="t", outcome="inapplicable", reason="", tightness=np.inf))
    assert plain["p_value"] is None
    assert plain["tightness"] is None
    assert plain["met"] is False
