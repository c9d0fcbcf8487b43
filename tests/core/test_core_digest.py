"""The digest of a spec: what is simulated, nothing more, however it is worded."""

import pytest

from hzbench.core.spec import Spec

BASE = {
    "problem": {"name": "quadratic", "dimension": 2},
    "nodes": [
        {"count": 2},
        {"count": 2, "estimator": {"name": "zeroth_order", "samples": 2}},
    ],
    "network": {"graph": {"name": "torus", "rows": 2, "columns": 2}},
    "method": {"name": "hdo", "step_size": 0.2},
    "run": {"steps": 50, "replicas": 100},
}


def digest(*changes):
    table = dict(BASE)
    for change in changes:
        table = table | change
    return Spec.parse(table).digest


SAME = {
    "title": {"title": "another"},
    "name": {"name": "another"},
    "checks": {"checks": [{"theorem": "step_invariants", "mutants": ["one_endpoint"]}]},
    "checks at recorded steps": {"checks": [{"theorem": "step_invariants", "steps": [50]}]},
    "bare names": {"nodes": [{"count": 2, "estimator": "gradient"}, BASE["nodes"][1]]},
    "defaults of the problem": {
        "problem": {"name": "quadratic", "dimension": 2, "noise": 0.0, "spectrum": "linear"}
    },
    "defaults of an estimator": {
        "nodes": [
            {"count": 2, "batch_size": 1},
            {
                "count": 2,
                "estimator": {
                    "name": "zeroth_order",
                    "samples": 2,
                    "directions": "sphere",
                    "data": "shared",
                },
            },
        ]
    },
    "defaults of the network": {
        "network": BASE["network"]
        | {"gossip": "pair", "weights": "metropolis", "edge_law": "uniform"}
    },
    "defaults of the method": {
        "method": {"name": "hdo", "step_size": 0.2, "momentum": 0, "schedule": {"name": "constant"}}
    },
    "defaults of the run": {"run": BASE["run"] | {"seed": 0, "record": 12, "dtype": "float64"}},
    "order of keys": {"run": {"replicas": 100, "steps": 50}},
    "integers for floats": {"problem": {"name": "quadratic", "dimension": 2, "smoothness": 1}},
}


@pytest.mark.parametrize("change", SAME.values(), ids=SAME)
def test_wording_does_not_count(change):
    assert digest(change) == digest()


def test_defaults_are_left_out_of_the_normal_form():
    spec = Spec.parse(BASE | SAME["defaults of the problem"] | SAME["defaults of an estimator"])
    assert spec.problem == {"name": "quadratic", "dimension": 2}
    assert spec.nodes[1].estimator == {"name": "zeroth_order", "samples": 2}
    assert spec.model_dump(mode="json", exclude_defaults=True).keys() == BASE.keys()


def node(index, **changes):
    groups = [dict(group) for group in BASE["nodes"]]
    groups[index] |= changes
    return {"nodes": groups}


def estimator(**changes):
    return node(1, estimator=BASE["nodes"][1]["estimator"] | changes)


def table(key, **changes):
    return {key: BASE[key] | changes}


CHANGED = {
    "dimension": table("problem", dimension=3),
    "noise": table("problem", noise=0.1),
    "instance_seed": table("problem", instance_seed=1),
    "problem": {"problem": {"name": "ridge"}},
    "count": node(0, count=3),
    "step_size of a group": node(0, step_size=0.2),
    "batch_size": node(0, batch_size=2),
    "full batch": node(0, batch_size="full"),
    "estimator": node(0, estimator="zeroth_order"),
    "samples": estimator(samples=3),
    "directions": estimator(directions="gaussian"),
    "difference": estimator(difference="forward"),
    "smoothing": estimator(smoothing=0.1),
    "data": estimator(data="fresh"),
    "graph": {"network": {"graph": "ring"}},
    "rows": {"network": {"graph": {"name": "torus", "rows": 1, "columns": 4}}},
    "gossip": table("network", gossip="matching"),
    "weights": table("network", weights="lazy"),
    "edge_law": table("network", edge_law="node-neighbour"),
    "idle_steps": table("network", idle_steps=True),
    "edges": {"network": {"edges": [[0, 1], [1, 2], [2, 3]]}},
    "method": {"method": {"name": "local", "step_size": 0.2}},
    "step_size": table("method", step_size=0.21),
    "momentum": table("method", momentum=0.1),
    "schedule": table("method", schedule={"name": "cosine"}),
    "warmup": table("method", schedule={"name": "cosine", "warmup": 2}),
    "steps": table("run", steps=51),
    "replicas": table("run", replicas=101),
    "seed": table("run", seed=1),
    "record": table("run", record=5),
    "dtype": table("run", dtype="float32"),
    "observables": table("run", observables=["slem"]),
    "mutant": {"mutant": "one_endpoint"},
    "versus": {"versus": {"nodes": [{"count": 4}]}},
    "steps that checks ask for": {"checks": [{"theorem": "step_invariants", "steps": [49]}]},
}


@pytest.mark.parametrize("change", CHANGED.values(), ids=CHANGED)
def test_everything_simulated_counts(change):
    assert digest(change) != digest()


def test_all_these_digests_differ():
    found = [digest(change) for change in CHANGED.values()]
    assert len(set(found)) == len(found)


def test_the_order_of_groups_counts():
    assert digest({"nodes": BASE["nodes"][::-1]}) != digest()


def test_a_parsed_spec_keeps_its_digest_through_replace():
    spec = Spec.parse(BASE)
    assert spec.replace().digest == spec.digest
    assert Spec.parse(spec.model_dump(mode="json", exclude_defaults=True)).digest == spec.digest
