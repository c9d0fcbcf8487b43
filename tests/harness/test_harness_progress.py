"""Long runs say how far they are, here and in workers."""

from hzbench.harness.suite import parse
from hzbench.harness.sweep import Options, run_suite

TABLES = {
    "suite": {"name": "told", "title": "", "description": ""},
    "default": {
        "problem": {"name": "quadratic", "dimension": 2},
        "nodes": [{"count": 2}],
        "method": {"name": "hdo", "step_size": 0.1},
        "run": {"steps": 8, "replicas": 300, "record": {"every": 2}},
        "checks": [],
    },
    "case": [{"name": "one"}, {"name": "two", "run": {"steps": 24}}],
}


def told(tmp_path, workers):
    found = []
    options = Options(out=tmp_path, workers=workers, engine="torch")
    run_suite(parse(TABLES, "here"), options, lambda name, done: found.append((name, done)))
    return found


def test_every_record_point_is_told_as_a_part_of_all_work(tmp_path):
    found = told(tmp_path, 1)
    shares = [done for _, done in found]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    first = [done for name, done in found if name == "one"]
    assert max(first) == 0.25  # a quarter of the work: 8 of 32 steps
    assert len(set(first)) >= 9  # 5 record points of 256 and of 44 replicas, one of them shared


def test_workers_tell_too(tmp_path):
    found = told(tmp_path, 2)
    shares = [done for _, done in found]
    assert shares == sorted(shares)
    assert shares[-1] == 1
