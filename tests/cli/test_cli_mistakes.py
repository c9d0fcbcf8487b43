"""A user's mistakes: exit 2, one message that says what was got and expected, nothing written."""

import pytest
from cli_specs import BASE, write

NAN = float("nan")
MATRIX = {"gossip": "matrix"}
DSGD = {"method": "dsgd"}
W = [[0.5, 0.5, 0, 0], [0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5], [0, 0, 0.5, 0.5]]
LINE = [[0, 1], [1, 2], [2, 3]]
ZEROTH = [{"count": 4, "estimator": {"name": "zeroth_order", "direction": "sphere"}}]


def check(**changes):
    return {"checks": [{"theorem": "quadratic_dynamics"} | changes]}


MISTAKES = {
    "unknown problem": ({"problem": "quadratc"}, "did you mean 'quadratic'"),
    "unknown graph": ({"network": {"graph": "rings"}}, "did you mean 'ring'"),
    "unknown theorem": (check(theorem="quadratic_dynamic"), "did you mean 'quadratic_dynamics'"),
    "unknown key": ({"nodes": ZEROTH}, "nodes.0.estimator.direction: got an unknown key"),
    "unknown observable": ({"run": {"observables": ["gap"]}}, "got observable 'gap'"),
    "observable of a check": (check(observables=["slam"]), "checks.0.observables: got slam"),
    "observable not predicted": (check(observables=["slem"]), "which quadratic_dynamics predicts"),
    "estimate without probe": ({"run": {"observables": ["estimate"]}}, "take method"),
    "difference without reference": (
        {"run": {"observables": ["objective_gap_difference"]}},
        "add [versus]",
    ),
    "wrong type": ({"run": {"steps": "many"}}, "run.steps: got 'many'"),
    "negative size": ({"nodes": [{"count": -3}]}, "nodes.0.count: got -3"),
    "NaN": ({"method": {"name": "hdo", "step_size": NAN}}, "method.step_size: got nan"),
    "NaN in data": (
        {"problem": {"name": "quadratic", "hessian": [[1.0, NAN], [NAN, 1.0]]}},
        "hessian",
    ),
    "NaN in W": (DSGD | {"network": {"matrix": [[NAN]]}}, "got nan"),
    "NaN in probabilities": (
        {"network": {"edges": LINE, "edge_law": "explicit", "edge_probabilities": [NAN, 0.5, 0.5]}},
        "got nan",
    ),
    "unknown data": ({"problem": {"name": "ridge", "data": "diabetis"}}, "diabetes"),
    "steps of a check beyond the horizon": (check(steps=[7]), "checks.0.steps: got [7]"),
    "negative record point": ({"run": {"steps": 6, "record": [-1]}}, "got record points [-1]"),
    "record beyond the horizon": ({"run": {"steps": 6, "record": [7]}}, "run.record: got [7]"),
    "expect without reason": (check(expect="violated"), "without a reason"),
    "hdo with a matrix": ({"network": MATRIX}, "expected one of pair, matching"),
    "dsgd with pairs": (
        {"method": "dsgd", "network": {"gossip": "pair"}},
        "expected one of matrix",
    ),
    "matching on a ring": (
        {"network": {"gossip": "matching", "graph": "ring"}},
        "use gossip = 'pair'",
    ),
    "one node for a pair": ({"nodes": [{"count": 1}]}, "expected at least 2 to form a pair"),
    "one node for a matching": (
        {"nodes": [{"count": 1}], "network": {"gossip": "matching"}},
        "expected at least 2 to form a pair",
    ),
    "hypercube of 9": (
        {"nodes": [{"count": 9}], "network": {"graph": "hypercube"}},
        "got 9 nodes for a hypercube",
    ),
    "karate of 33": (
        {
            "nodes": [{"count": 33}],
            "network": {"graph": {"name": "networkx", "generator": "karate_club_graph"}},
        },
        "expected 34",
    ),
    "torus of 5": (
        {"nodes": [{"count": 5}], "network": {"graph": {"name": "torus", "rows": 2, "columns": 3}}},
        "got 5 nodes",
    ),
    "disconnected edges": (
        {"network": {"edges": [[0, 1], [2, 3]]}},
        "got a graph with 2 components",
    ),
    "edge out of range": (
        {"network": {"edges": [*LINE, [3, 4]]}},
        "network.edges: got the edge [3, 4]",
    ),
    "negative node": (
        {"network": {"edges": [*LINE, [-1, 0]]}},
        "network.edges: got the edge [-1, 0]",
    ),
    "self-loop": ({"network": {"edges": [*LINE, [2, 2]]}}, "drop the loop"),
    "edge twice": (
        {"network": {"edges": [*LINE, [1, 0]]}},
        "network.edges: got the edges [(0, 1)] more than once",
    ),
    "two bad edges": ({"network": {"edges": [*LINE, [2, 2], [0, 9]]}}, "2 mistakes"),
    "graph and edges": ({"network": {"edges": LINE, "graph": "ring"}}, "edges would win"),
    "W of another size": (
        DSGD | {"network": {"matrix": [[1.0]]}},
        "got a weight matrix",
    ),
    "W not stochastic": (
        DSGD | {"network": {"matrix": [[0.9, 0, 0, 0], *W[1:]]}},
        "row 0 sums to 0.9",
    ),
    "W not symmetric": (
        DSGD | {"network": {"matrix": [W[0], [0.4, 0.6, 0, 0], *W[2:]]}},
        "not symmetric",
    ),
    "W beyond the edges": (
        DSGD | {"network": {"edges": [[0, 2], [2, 1], [1, 3]], "matrix": W}},
        "without an edge",
    ),
    "W of explicit name": (
        DSGD | {"network": {"weights": "explicit"}},
        "without a matrix",
    ),
    "graph of explicit name": ({"network": {"graph": "explicit"}}, "without edges"),
    "too few probabilities": (
        {"network": {"edges": LINE, "edge_law": "explicit", "edge_probabilities": [1.0]}},
        "got 1 for 3 edges",
    ),
    "probabilities of sum 2": (
        {"network": {"edges": LINE, "edge_law": "explicit", "edge_probabilities": [1, 0.5, 0.5]}},
        "sum to 2",
    ),
    "probabilities without edges": ({"network": {"edge_law": "explicit"}}, "list of edges"),
    "probabilities without their law": (
        {"network": {"edges": LINE, "edge_probabilities": [0.2, 0.3, 0.5]}},
        "which ignores them",
    ),
    "probability 0 on a cut": (
        {"network": {"edges": LINE, "edge_law": "explicit", "edge_probabilities": [0.5, 0.5, 0]}},
        "leaves 2 parts",
    ),
    "W for pairs": (
        {"network": {"matrix": [[0.25] * 4] * 4}},
        "network.matrix: got a matrix with protocol 'pair', which does not read it",
    ),
    "weights for pairs": (
        {"network": {"weights": "lazy"}},
        "network.weights: got {'name': 'lazy'}",
    ),
    "matching law for pairs": ({"network": {"matching_law": "greedy"}}, "network.matching_law"),
    "idle steps for pairs": ({"network": {"idle_steps": True}}, "network.idle_steps: got True"),
    "pair weight for W": (DSGD | {"network": MATRIX | {"pair_weight": 0.3}}, "network.pair_weight"),
    "edge law for W": (
        DSGD | {"network": MATRIX | {"edge_law": "node-neighbour"}},
        "network.edge_law: got 'node-neighbour' with protocol 'matrix'",
    ),
    "nothing recorded": ({"run": {"record": []}}, "run.record: got record points []"),
    "only the start recorded": ({"run": {"record": [0]}}, "run.record: got record points [0]"),
    "only the start checked": (check(steps=[0]), "checks.0.steps: got [0]"),
    "dimension beyond memory": (
        {"problem": {"name": "quadratic", "dimension": 10**10}},
        "problem.dimension: got 10000000000",
    ),
    "a Hessian beyond memory": (
        {"problem": {"name": "quadratic", "dimension": 10**8}},
        "dimension: got 100000000, whose Hessian would take 7.45e+07 GiB",
    ),
    "nodes beyond memory": (
        {"nodes": [{"count": 10**8}]},
        "network: got graph 'complete' of 100000000 nodes",
    ),
    "replicas beyond memory": ({"run": {"replicas": 10**11}}, "run.replicas: got 100000000000"),
    "steps beyond memory": ({"run": {"steps": 2 * 10**9}}, "run.steps: got 2000000000 steps"),
    "keys that all-reduce ignores": (
        {"method": "centralized", "network": {"weights": "lazy", "link_failure": 0.5}},
        "network.link_failure: got 0.5 with method 'centralized'",
    ),
    "batch beyond integers": ({"nodes": [{"count": 4, "batch_size": 10**20}]}, "batch_size: got 1"),
    "W that expands": (
        DSGD | {"nodes": [{"count": 2}], "network": {"matrix": [[1.5, -0.5], [-0.5, 1.5]]}},
        "network.matrix: got a W with |W − J/n| = 2",
    ),
    "unknown schedule": (
        {"method": {"name": "hdo", "schedule": "cosin"}},
        "'inverse-time' or 'cosine'",
    ),
    "endless warm-up": (
        {"method": {"name": "hdo", "schedule": {"warmup": 6}}, "run": {"steps": 6}},
        "method.schedule.warmup: got 6",
    ),
    "torus of a prime": (
        DSGD | {"nodes": [{"count": 7}], "network": {"graph": "torus", "gossip": "matrix"}},
        "got 7 nodes, a prime number",
    ),
    "wrong batch size": (
        {"nodes": [{"count": 4, "batch_size": "ful"}]},
        "got 'ful'; expected a whole number or 'full'",
    ),
    "mutant of another protocol": ({"mutant": "lazy_weights"}, "means nothing"),
    "bad reference": (
        {"versus": {"nodes": [{"count": 1}]}, "checks": []},
        "expected at least 2 to form a pair",
    ),
    "grid path": ({"grid": {"nodes.3.count": [1]}}, "got a path that the spec does not have"),
    "grid value": ({"grid": {"network.graph": ["ring", "rong"]}}, "'rong'"),
    "same cell twice": ({"grid": {"run.seed": [1, 1]}}, "more than once"),
    "hopeless smoothing": (
        {"nodes": [{"count": 4, "estimator": {"name": "zeroth_order", "smoothing": 0.0}}]},
        "smoothing",
    ),
}


@pytest.mark.parametrize("verb", ["run", "predict", "mutants"])
@pytest.mark.parametrize(("changes", "words"), MISTAKES.values(), ids=MISTAKES)
def test_one_clear_message_and_nothing_written(shell, verb, changes, words):
    path = shell.spec(**changes)
    found = shell(verb, path)
    assert found.code == 2
    assert found.out == ""
    assert words in found.err, found.err
    assert "got" in found.err
    assert "expected" in found.err
    assert "Traceback" not in found.err
    assert shell.written == ["spec.toml"]


def test_all_mistakes_of_building_come_together(shell):
    changes = {
        "network": {"gossip": "matching", "edges": [[0, 1], [2, 3]]},
        "run": {"steps": 6, "record": [9]},
        "problem": {"name": "quadratic", "dimension": 2, "noise": -1.0},
    }
    found = shell.run(shell.spec(**changes))
    assert found.code == 2
    assert "4 mistakes" in found.err
    for words in ("run.record", "matching", "noise", "2 components"):
        assert words in found.err


FILES = {
    "empty": ("", "is empty"),
    "comment": ("# nothing\n", "is empty"),
    "not TOML": ("[problem\n", "is not TOML"),
    "no nodes": ('[problem]\nname = "ridge"\n', "nodes"),
    "no problem": ("[[nodes]]\ncount = 4\n", "problem: got nothing"),
    "only a suite": ('[suite]\nname = "s"\n', "case: got none"),
    "case is a table": ('[suite]\nname = "s"\n[case]\nname = "a"\n', "write [[case]]"),
    "case is a list of numbers": ('case = [1]\n[suite]\nname = "s"\n', "write [[case]]"),
    "suite is a number": ("suite = 3\ncase = [{}]\n", "suite: got 3"),
    "only a number": ("suite = 3\n", "suite: got 3"),
    "unknown inclusion": ("[suite]\nname = 's'\ninclude = ['quik']\n", "suite.include: got 'quik'"),
    "inclusion of itself": ("[suite]\nname = 'quick'\ninclude = ['quick']\n", "another suite"),
    "inclusion of a number": ("[suite]\nname = 's'\ninclude = 3\n", "suite.include: got 3"),
    "default is a number": ("default = 3\ncase = [{}]\n[suite]\nname = 's'\n", "default: got 3"),
    "suite without a name": ("[suite]\nalpha = 0.1\n[[case]]\n", "suite.name"),
    "suite outside the folder": ("[suite]\nname = '../up'\n[[case]]\n", "suite.name"),
    "alpha 0": ("[suite]\nname = 's'\nalpha = 0\n[[case]]\n", "suite.alpha"),
    "alpha NaN": ("[suite]\nname = 's'\nalpha = nan\n[[case]]\n", "suite.alpha"),
    "unknown table": ("[suite]\nname = 's'\n[cases]\n[[case]]\n", "cases: got an unknown table"),
}


@pytest.mark.parametrize(("text", "words"), FILES.values(), ids=FILES)
def test_files_that_are_no_specs(shell, text, words):
    path = write(shell.folder / "spec.toml", text)
    found = shell.run(path)
    assert found.code == 2
    assert words in found.err, found.err
    assert shell.written == ["spec.toml"]


def test_targets_that_do_not_exist(shell):
    assert "did you mean 'quick'" in shell("run", "quik").err
    assert "cannot be read" in shell("run", "none.toml").err
    assert "cannot be read" in shell("run", shell.folder).err
    assert shell("run", "zzzz").code == 2
    assert shell.written == []


def test_names_that_do_not_exist(shell):
    found = shell("list", "problm")
    assert found.code == 2
    assert "did you mean 'problem'" in found.err
    found = shell("show", "quadratik")
    assert found.code == 2
    assert "'quadratic'" in found.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("run",),
        ("frobnicate",),
        ("run", "quick", "--frobnicate"),
        ("run", "quick", "--workers", "-1"),
        ("run", "quick", "--workers", "two"),
        ("run", "quick", "--device", "tpu"),
    ],
)
def test_usage(shell, arguments):
    found = shell(*arguments)
    assert found.code == 2
    assert found.err
    assert shell.written == []


def test_cuda_where_there_is_none(shell, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    found = shell.run(shell.spec(), "--device", "cuda")
    assert found.code == 2
    assert "sees no CUDA device" in found.err
    assert shell.written == ["spec.toml"]


@pytest.mark.parametrize("verb", ["run", "mutants"])
def test_an_unwritable_folder(shell, verb):
    (shell.folder / "file").write_text("in the way")
    checks = [{"theorem": "step_invariants", "mutants": ["gossip_weight_48"]}]
    path = shell.spec(checks=checks)
    found = shell(verb, path, "--out", shell.folder / "file" / "out", "--workers", "1")
    assert found.code == 2
    assert "cannot be written" in found.err
    found = shell(verb, path, "--out", "a" * 300, "--workers", "1")
    assert found.code == 2
    assert "cannot be written (File name too long)" in found.err
    assert shell.written == ["file", "spec.toml"]
    out = shell.folder / "out"
    out.mkdir()
    (out / "spec").write_text("in the way of the results")
    found = shell(verb, path, "--out", out, "--workers", "1")
    assert found.code == 2
    assert "cannot be written" in found.err
    assert not list(out.rglob("*.parquet"))


def test_a_mutant_that_a_run_cannot_have_is_a_mistake_of_its_check(shell):
    checks = [{"theorem": "step_invariants", "mutants": ["lazy_weights"]}]
    found = shell("mutants", shell.spec(checks=checks))
    assert found.code == 2
    assert "means nothing" in found.err
    assert shell.written == ["spec.toml"]


def test_mutants_need_checks_that_name_them(shell):
    found = shell("mutants", shell.spec())
    assert found.code == 2
    assert "name no mutant" in found.err


@pytest.mark.parametrize("content", ["", "[]", "{}", "null", '{"schema": 1}'])
def test_reports_of_what_is_no_result(shell, content):
    path = shell.folder / "results.json"
    path.write_text(content)
    found = shell("report", path)
    assert found.code == 2
    assert "holds no results" in found.err
    assert shell("report", shell.folder / "none.json").code == 2
    assert shell.written == ["results.json"]


def test_mistakes_name_the_case_of_a_suite(shell):
    cases = [{"name": "good", **BASE}, {"name": "bad", **BASE, "run": {"steps": -1}}]
    cases.append({"name": "bad", **BASE, "method": "hdoo"})
    path = write(shell.folder / "s.toml", {"suite": {"name": "s"}, "case": cases})
    found = shell.run(path)
    assert found.code == 2
    assert "bad: run.steps: got -1" in found.err
    assert "bad: method: got method 'hdoo'" in found.err
    lost = {"problem": {"name": "logistic", "data": {"name": "libsvm", "file": "lost"}}}
    cases = [{"name": name, **BASE, **lost} for name in ("one", "two")]
    cases.append({"name": "three", **BASE, "problem": {"name": "ridge", "data": "diabetis"}})
    path = write(shell.folder / "s.toml", {"suite": {"name": "s"}, "case": cases})
    for text in (shell.run(path).err, shell("predict", path).err):
        assert text.count("got no data folder") == 1
        assert "one, two: problem: got no data folder" in text
        assert "three: problem: got data 'diabetis'" in text
        assert "hzbench: 2 mistakes in" in text
    cases = [{"name": f"c{i}", **BASE, "run": {"steps": -1}} for i in range(11)]
    path = write(shell.folder / "s.toml", {"suite": {"name": "s"}, "case": cases})
    assert "c6, c7 and 3 more: run.steps: got -1" in shell.run(path).err
    twice = [{"name": "same", **BASE}] * 2
    path = write(shell.folder / "s.toml", {"suite": {"name": "s"}, "case": twice})
    assert "'same' more than once" in shell.run(path).err
