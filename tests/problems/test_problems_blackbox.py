"""A user's own function: values as it gives them, and one clear message for every way it fails."""

import math
import os

import numpy as np
import pytest
import torch
from problems_cases import rows

import hzbench
from hzbench.core.errors import HzbenchError, SpecError, UserMistakeError
from hzbench.core.problem import Placement
from hzbench.core.registry import find
from hzbench.core.returned import returned_numbers
from hzbench.harness.store import run_digest
from hzbench.problems.blackbox import bowl

SOURCE = """
import fractions, math, sys
import numpy, torch
def plain(x): return float((x - 1) @ (x - 1))
def by_node(x, i): return (i + 1) * float(x.sum())
def many(points): return (points ** 2).sum(axis=1)
def root(x): return math.sqrt(x[0])
def whole(x): return x
def words(x): return "high"
def wild(x): return float("nan")
def steep(x): return math.inf if x[0] > 2 else 0.0
def tracked(x): return (torch.tensor(x, requires_grad=True) ** 2).sum()
def huge(x): return 10 ** 400
def imaginary(x): return numpy.complex128(1 + 2j)
def plain_imaginary(x): return complex(1, 2)
def quoted(x): return "1.5"
def date(x): return numpy.datetime64("2020-01-01")
def silent(x): x @ x
def constant(points): return 1.0
def raises(x): raise RuntimeError("two\\nlines")
def leaves(x): sys.exit(5)
def ragged(x): return [[1], [1, 2]]
def table(x): return {"a": 1}
def hollow(points): return [1.0, None]
def odd(x): raise BaseException("odd")
def closes(x): raise GeneratorExit
def wordless(x): raise ValueError
def stops(x): raise KeyboardInterrupt
def masked(x): return numpy.ma.masked
def hidden(x): return numpy.ma.array(1.0, mask=True)
def hidden_one(points): return [1.0, numpy.ma.masked]
def hidden_row(points): return numpy.ma.array([1.0, 2.0], mask=[True, False])
def seen(x): return numpy.ma.array(x, mask=False)[0]
def short(x): return torch.tensor(x[0], dtype=torch.bfloat16)
def longer(x): return numpy.longdouble("1e4000")
def chatty(x): print("HELLO"); return 0.0
def half(x): return fractions.Fraction(1, 2)
def halves(points): return [fractions.Fraction(1, 2)] * len(points)
async def later(x): return 1.0
number = 3
"""


@pytest.fixture
def mine(tmp_path):
    """The path of a user's file."""
    path = tmp_path / "mine.py"
    path.write_text(SOURCE, encoding="utf-8")
    return path


def build(reference, kinds=("zeroth",) * 3, **keys):
    table = {"function": str(reference), "dimension": 2, **keys}
    return find("problem", "blackbox").target(**table).build(Placement(kinds=kinds))


def spec_of(reference, **keys):
    return {
        "problem": {"name": "blackbox", "function": str(reference), "dimension": 2},
        "nodes": [{"count": 3, "estimator": "zeroth_order"}],
        "run": {"steps": 4, "replicas": 8, "observables": ["objective"]},
        **keys,
    }


def test_values_are_those_of_the_function(mine):
    x = torch.tensor([[0.0, 2.0], [1.0, 1.0], [3.0, -1.0]]).double()
    at, points = rows(1, nodes=3), x.view(3, 1, 1, 2).expand(3, 2, 1, 2)
    plain = build(f"{mine}:plain")
    found = plain.values(points, at.node, plain.sample(at, 5, 2))
    assert found[..., 0].tolist() == [[2.0, 2.0], [0.0, 0.0], [8.0, 8.0]]
    each = build(f"{mine}:by_node", per_node=True)
    assert each.values(points, at.node, each.sample(at, 1, 2))[:, 0, 0].tolist() == [2, 4, 6]
    assert each.objective(x).tolist() == [4, 4, 4]
    assert build(f"{mine}:many", batched=True).objective(x).tolist() == [4, 2, 10]
    assert plain.batch_cost(at.node, 7).tolist() == [1, 1, 1]
    assert math.isnan(plain.constants.minimum)
    assert build(f"{mine}:plain", minimum=0.0).constants.minimum == 0
    with pytest.raises(HzbenchError, match="gradients of a blackbox"):
        plain.gradients(x, at.node, plain.sample(at, 1, 1))


@pytest.mark.parametrize(
    ("name", "keys", "text"),
    [
        ("root", {"initial": -1.0}, "got ValueError from"),
        ("whole", {}, "got shape 2 from"),
        ("words", {}, "got a value of type str from"),
        ("wild", {}, "got nan from"),
        ("plain", {"per_node": True}, "got TypeError from"),
        ("plain", {"batched": True}, "got ValueError from"),
        ("constant", {"batched": True}, "got a single number from .*expected shape 1; return that"),
        ("raises", {}, "two lines; expected a number"),
        ("many", {"batched": True, "initial": [1.0]}, "got initial of shape 1"),
        ("huge", {}, "got a number beyond 1e308 from .*return inf, or a smaller one"),
        ("imaginary", {}, "got a complex number from .*return its real part"),
        ("plain_imaginary", {}, "got a complex number from"),
        ("quoted", {}, "got a value of type str from"),
        ("date", {}, "got a value of type datetime64 from"),
        ("later", {}, "got a coroutine from .*drop async"),
        ("silent", {}, "got None from .*end the function with return"),
        ("leaves", {}, "got SystemExit from .*: 5; expected a number"),
        ("odd", {}, "got BaseException from .*: odd; expected a number"),
        ("closes", {}, r"got GeneratorExit from .* at x = \[[^;]*\]; expected a number"),
        ("wordless", {}, r"got ValueError from .* at x = \[[^;]*\]; expected a number"),
        ("masked", {}, "got a masked value from .*; return its number"),
        ("hidden", {}, "got a masked value from"),
        ("hidden_one", {"batched": True}, "got a masked value from"),
        ("hidden_row", {"batched": True}, "got a masked value from"),
        ("ragged", {}, "got a value of type list from"),
        ("table", {}, "got a value of type dict from"),
        ("hollow", {"batched": True}, "got a value of type NoneType from"),
        ("absent", {}, "has no function 'absent'"),
        ("number", {}, "has no function 'number'"),
    ],
)
def test_a_function_that_fails_is_named(mine, name, keys, text):
    with pytest.raises((SpecError, UserMistakeError), match=text):
        build(f"{mine}:{name}", **keys)


def test_every_kind_of_real_number_is_taken(mine):
    x = torch.tensor([[1.0, -2.0], [3.0, 0.0]]).double()
    assert build(f"{mine}:tracked").objective(x).tolist() == [5.0, 9.0]
    assert build(f"{mine}:half").objective(x).tolist() == [0.5, 0.5]
    assert build(f"{mine}:halves", batched=True).objective(x).tolist() == [0.5, 0.5]
    x = torch.tensor([[1.5078125, 0.0], [1.0 + 2.0**-9, 0.0]]).double()  # 8 bits: exact; rounded
    assert build(f"{mine}:short").objective(x).tolist() == [1.5078125, 1.0]
    assert build(f"{mine}:seen").objective(x).tolist() == x[:, 0].tolist()
    assert build(f"{mine}:longer").objective(x).tolist() == [math.inf, math.inf]
    where = ((2,), "f")
    assert returned_numbers([True, np.float32(0.25)], *where).tolist() == [1, 0.25]
    assert returned_numbers(np.arange(2), *where).dtype == np.float64


def test_only_the_keyboard_interrupts(mine):
    with pytest.raises(KeyboardInterrupt):
        build(f"{mine}:stops")


def test_what_a_function_or_its_file_prints_goes_to_stderr(tmp_path, mine, capsys):
    loud = tmp_path / "loud.py"
    loud.write_text("print('LOADED')\n" + SOURCE, encoding="utf-8")
    build(f"{loud}:chatty").objective(torch.zeros(1, 2).double())
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.split() == ["LOADED"] + ["HELLO"] * 4


def test_what_it_writes_to_the_file_of_stdout_goes_to_stderr(tmp_path, capfd):
    """By the number of the file, by python's first stdout, and by a program that it starts."""
    loud = tmp_path / "loud.py"
    loud.write_text(
        "import os, subprocess, sys\n"
        "os.write(1, b'LOADED ')\n"
        "def f(x):\n"
        "    os.write(1, b'FILE ')\n"
        "    sys.__stdout__.write('FIRST ')\n"
        "    subprocess.run(['echo', 'PROGRAM'], check=True)\n"
        "    return 0.0\n"
        "def g(x): os.write(1, b'BEFORE '); raise ValueError\n",
        encoding="utf-8",
    )
    call = build(f"{loud}:f", kinds=("zeroth",)).call
    with pytest.raises(SpecError, match="ValueError"):
        build(f"{loud}:g")
    os.write(1, b"OURS")
    said = capfd.readouterr()
    assert said.out == "OURS"
    assert sorted(said.err.split()) == ["BEFORE", "FILE", "FIRST", "LOADED", "LOADED", "PROGRAM"]
    free = next_free()
    call(np.zeros((2, 2)), 0)
    assert next_free() == free


def next_free():
    """The least number that no open file has."""
    number = os.dup(1)
    os.close(number)
    return number


@pytest.mark.parametrize(
    ("source", "told"),
    [("import sys; sys.exit(5)", "SystemExit: 5"), ("raise GeneratorExit", "GeneratorExit")],
)
def test_a_file_that_leaves_is_named(tmp_path, source, told):
    (tmp_path / "leaves.py").write_text(source, encoding="utf-8")
    with pytest.raises(SpecError, match=rf"cannot be loaded \({told}\)"):
        build(f"{tmp_path}/leaves.py:f")


@pytest.mark.parametrize(("stated", "wrong"), [(0.0, False), (-1.0, False), (0.125, True)])
def test_a_stated_minimum_that_a_run_goes_below_is_refuted(mine, stated, wrong):
    problem = {**spec_of(f"{mine}:plain")["problem"], "minimum": stated}
    run = {"steps": 60, "replicas": 4, "observables": ["objective", "objective_gap"]}
    found = hzbench.run(spec_of(f"{mine}:plain", problem=problem, run=run))
    gaps = found.trace.columns["objective_gap"]
    assert np.array_equal(gaps, found.trace.columns["objective"] - stated)
    told = [each for each in found.warnings if "not the minimum" in each]
    assert len(told) == wrong
    assert not told or f"f(mean) is {-gaps.min():.4g} below f* = 0.125 (stated" in told[0]


def test_files_and_modules_that_are_not_there(tmp_path):
    (tmp_path / "broken.py").write_text("def f(x) return 1", encoding="utf-8")
    for reference, text in (
        (f"{tmp_path}/none.py:f", "there is no file"),
        (f"{tmp_path}/broken.py:f", "SyntaxError"),
        ("no_such_module:f", "ModuleNotFoundError"),
        ("justaname", "expected 'file.py:name'"),
        ("../../etc/passwd:f", "expected 'file.py:name'"),
        (".relative:f", "expected 'file.py:name'"),
    ):
        with pytest.raises(SpecError, match=text):
            build(reference)
    with pytest.raises(ValueError, match="no other process can import"):
        find("problem", "blackbox").target(function=lambda _: 0.0, dimension=2)


def test_gradients_are_refused_before_anything_runs(mine):
    first = spec_of(
        f"{mine}:plain", nodes=[{"count": 1}, {"count": 2, "estimator": "zeroth_order"}]
    )
    with pytest.raises(SpecError, match=r"first-order nodes \[0\] on a blackbox"):
        hzbench.run(first)
    forward = {"name": "zeroth_order", "difference": "directional_derivative"}
    with pytest.raises(SpecError, match="'zeroth_order', which needs gradients"):
        hzbench.run(spec_of(f"{mine}:plain", nodes=[{"count": 3, "estimator": forward}]))
    for name in ("objective_gap", "node_distance", "gradient_norm"):
        run = {"steps": 4, "replicas": 8, "observables": [name]}
        with pytest.raises(SpecError, match=f"got observable '{name}'"):
            hzbench.run(spec_of(f"{mine}:plain", run=run))


def test_a_run_descends(mine):
    table = spec_of(f"{mine}:plain", method={"name": "hdo", "step_size": 0.2})
    table["run"] = {"steps": 60, "replicas": 16, "observables": ["objective"]}
    result = hzbench.run(table)
    found = result.trace.at("objective", 60)
    assert (result.trace.status == 0).all()
    assert found.mean() < 0.05 * result.trace.at("objective", 0).mean()
    assert "objective_gap" not in result.trace.columns


def test_infinity_is_a_divergence_and_nan_a_mistake(mine):
    problem, at = build(f"{mine}:steep"), rows(1, nodes=3)
    x = torch.full((3, 1, 1, 2), 5.0).double()
    assert problem.values(x, at.node, problem.sample(at, 1, 1)).isinf().all()
    problem = build(f"{mine}:many", batched=True)
    assert problem.values(x * math.nan, at.node, problem.sample(at, 1, 1)).isnan().all()


def test_editing_the_file_names_another_run(mine):
    spec = hzbench.Spec.parse(spec_of(f"{mine}:plain"))
    before = run_digest(spec, ["objective"], "cpu")
    assert run_digest(spec, ["objective"], "cpu") == before
    mine.write_text(SOURCE + "\n# edited\n", encoding="utf-8")
    assert run_digest(spec, ["objective"], "cpu") != before


def test_a_function_object_is_kept_by_name():
    component = find("problem", "blackbox").target(function=bowl, dimension=3)
    assert component.function == "hzbench.problems.blackbox:bowl"
    built = component.build(Placement(kinds=("zeroth",)))
    assert built.objective(torch.tensor([[1.0, -2.0, 0.0]]).double()).tolist() == [8.0]
    assert np.size(built.optimum) == 0
