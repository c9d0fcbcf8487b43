"""The conformance suite as an author meets it: right components pass, wrong ones are refused."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hzbench.core import registry
from hzbench.core.setting import UpdateFacts
from hzbench.methods.asgd import AsynchronousSGD
from hzbench.methods.dsgd import DecentralizedSGD
from hzbench.methods.local import LocalSGD
from hzbench.methods.ringleader import Ringleader
from hzbench.methods.rounds import Rennala
from hzbench.testing import laws, method_laws, theorem_laws
from hzbench.testing.laws import CheckFailed
from hzbench.testing.settings import SETTINGS

PACKAGE = Path(__file__).parent / "third_party"
SOME = "third_ and not ring and not small and not noisy and not graph"  # settings: some are enough
ENTRY_POINTS = """
[hzbench.method]
third = third_party.methods
[hzbench.estimator]
third = third_party.estimators
[hzbench.theorem]
third = third_party.theorems
"""


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """What pytest prints of the package, installed by its entry points alone."""
    folder = tmp_path_factory.mktemp("installed")
    info = folder / "third_party-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: third-party\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    path = os.pathsep.join([str(PACKAGE), str(folder)])
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rA", "-k", SOME]
    found = subprocess.run(
        [*command, "--pyargs", "hzbench.testing.conformance"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**kept, "OMP_NUM_THREADS": "1", "PYTHONPATH": path},
    )
    return found.stdout + found.stderr


def words(text, item):
    """The words of the summary for all tests of one component."""
    found = re.findall(rf"^(PASSED|FAILED|ERROR) \S*::{item}\b", text, re.MULTILINE)
    assert found, text[-3000:]
    return set(found)


@pytest.mark.parametrize("kind", ["method", "estimator", "theorem"])
def test_right_components_pass(outcome, kind):
    assert words(outcome, rf"test_{kind}\[third_right") == {"PASSED"}


@pytest.mark.parametrize(
    ("item", "sentence"),
    [
        ("method[third_uphill", "does not move as its update_order"),
        ("method[third_shrinks", "does not move as its update_order"),
        ("method[third_silent", "does not move as its update_order"),
        ("method[third_late", "does not move as its update_order"),
        ("method[third_memoryless", "with momentum and a schedule"),
        ("method[third_hasty", "does not move as its update_order"),
        ("method[third_undivided", "does not move as its update_order"),
        ("method[third_choosy-1", "does not move as its update_order"),
        ("method[third_choosy-2", "does not move as its update_order"),
        ("method[third_restless", "declares moves = False and moves"),
        ("estimator[third_wide", "third_wide on steep exponentials does not follow the law"),
        ("estimator[third_forward", "third_forward at the optimum of a quadratic without noise"),
        ("estimator[third_fresh", "third_fresh on a noisy quadratic does not follow the law"),
        ("estimator[third_lone", "third_lone with batches of three does not follow the law"),
    ],
)
def test_wrong_components_are_refused_in_a_paragraph(outcome, item, sentence):
    assert words(outcome, rf"test_{re.escape(item)}") == {"FAILED"}
    heading = rf"^_+ test_{re.escape(item)}\] _+\n(.*?)(?=^_+ test_|^=+ )"
    paragraph = re.search(heading, outcome, re.MULTILINE | re.DOTALL)[1]
    assert sentence in paragraph
    assert len(paragraph.splitlines()) <= 20, paragraph


def test_a_wrong_theorem_is_refused_wherever_it_applies(outcome):
    for name in ("third_exact", "third_bound", "third_careless"):
        exchanging = rf"test_theorem\[{name}-(?!server|rounds of a server|zero-chain|pool)"
        assert words(outcome, exchanging) == {"FAILED"}
    told = "third_exact is violated in the setting 'hybrid pairs', where it says that all its"
    assert told in outcome
    assert "expected values exactly where it applies" in outcome


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("third_growth", "all-reduce without noise"),
        ("third_means", "coordinate differences alone"),
    ],
)
def test_an_exact_theorem_off_by_a_few_per_cent_is_refused(outcome, name, setting):
    assert words(outcome, rf"test_theorem\[{name}-{setting}") == {"FAILED"}


def test_a_refusal_is_no_traceback(outcome):
    assert "Traceback" not in outcome
    assert "During handling" not in outcome
    assert "_laws.py" not in outcome


UNKNOWN = UpdateFacts(rule="push-sum")
"""With a coin no recursion is known of it, so only the laws that need none are left."""


class Unknown(DecentralizedSGD):
    """Decentralized SGD of which theory knows no recursion."""

    def network_facts(self, declared, nodes):
        facts = super().network_facts(declared, nodes)
        return type(facts)(**{**vars(facts), "exchange_probability": 0.5})

    def update_facts(self):
        return UNKNOWN


class UnknownAscent(Unknown):
    def advance(self, local, gradient, mix, step_size):
        return super().advance(local, lambda x: -gradient(x), mix, step_size)


class UnknownDrift(Unknown):
    def advance(self, local, gradient, mix, step_size):
        return {"x": super().advance(local, gradient, mix, step_size)["x"] * (1 - 1e-6)}


class UnknownSilence(Unknown):
    def advance(self, local, gradient, mix, step_size):
        del mix
        return super().advance(local, gradient, lambda y: y, step_size)


class UnknownRest(Unknown):
    def advance(self, local, gradient, mix, step_size):
        return super().advance(local, lambda x: gradient(x) + 0.1, mix, step_size)


@pytest.fixture
def registered(monkeypatch):
    """Register a class for one test."""

    def put(target):
        registry.entries("method")
        entry = registry.Entry(kind="method", name="third_unknown", target=target)
        monkeypatch.setitem(registry._entries["method"], "third_unknown", entry)
        return target()

    return put


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        (Unknown, ""),
        (UnknownAscent, "does not descend"),
        (UnknownDrift, "does not keep the mean"),
        (UnknownSilence, "does not mix"),
        (UnknownRest, "does not keep the optimum"),
    ],
)
def test_laws_without_a_recursion(registered, target, sentence):
    method = registered(target)
    if not sentence:
        method_laws.method_laws("third_unknown", method)
        return
    with pytest.raises(CheckFailed, match=sentence):
        method_laws.method_laws("third_unknown", method)


class LateServer(AsynchronousSGD):
    """Sends a worker its point before the update that its estimate makes."""

    def begin_schedule(self, server):
        for worker in range(server.workers):
            server.send(worker)

        def receive(job):
            server.send(job.worker)
            server.update({job.sample: 1.0})

        return receive


class TooFew(Rennala):
    batch: int = 5

    def complete(self, counts):
        return sum(counts) >= self.batch - 1


class SumForMean(Ringleader):
    def begin_schedule(self, server):
        def forgetful(weights, scale=1.0):
            update(dict.fromkeys(weights, 1 / server.workers), scale)

        update, server.update = server.update, forgetful
        return super().begin_schedule(server)


@pytest.mark.parametrize("target", [LateServer, TooFew, SumForMean])
def test_servers_that_do_not_do_what_they_declare(registered, target):
    method = registered(target)
    with pytest.raises(CheckFailed, match=r"third_unknown under 'server'.* does not move as"):
        method_laws.method_laws("third_unknown", method)


def test_a_method_may_declare_that_it_never_exchanges():
    method_laws.method_laws("local", LocalSGD())


def test_nearly_every_theorem_is_held_to_a_run():
    """One that applies in no standard setting is not held to a run: add a setting for it."""
    idle = set(registry.entries("theorem"))
    for setting in SETTINGS:
        case = theorem_laws.prepared(setting, sorted(idle))
        idle -= {found.theorem for found in case.predictions if found.applies}
    assert idle <= {"noise_floor_order", "pair_floor_order", "worst_case_noisy_descent"}


def test_every_example_of_an_estimator_is_tested():
    laws_of = {
        (law.directions, law.difference, law.sampling)
        for estimator in laws.examples("estimator", "zeroth_order")
        for law in [estimator.law(1)]
    }
    assert {directions for directions, _, _ in laws_of} >= {"gaussian", "rademacher", "coordinate"}
    assert {difference for _, difference, _ in laws_of} == {
        "central",
        "forward",
        "directional_derivative",
    }
