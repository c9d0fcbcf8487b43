"""Exact moments of asynchronous runs against enumeration, impulse responses and closed forms."""

import time

import numpy as np
import pytest
from theory_servers import (
    ASGD,
    MALENIA,
    MINIBATCH,
    RENNALA,
    RINGLEADER,
    SERVERS,
    TABLE,
    clock,
    clocks,
)
from theory_settings import FIRST, quadratic, setting, spd, zeroth

from hzbench.core.server_facts import ServerFacts
from hzbench.core.setting import ScheduleFacts
from hzbench.core.structure import CoordinateLaw, GeneralizedLinear, GradientLaw, Quadratic
from hzbench.theory import server_dynamics
from hzbench.theory.server_dynamics import server_moments
from hzbench.theory.server_schedule import server_history, server_schedule

GRADIENTS = (GradientLaw(batch_size=1),) * 3


def given(structure, laws, server, timing, steps, **changes):
    """A setting with a server and one common start."""
    d = len(structure.linear[0]) if isinstance(structure, Quadratic) else 2
    start = np.random.default_rng(d).normal(size=d)
    words = {
        "server": server,
        "clock": timing,
        "protocol": "server",
        "steps": steps,
        "initial": np.tile(start, (len(laws), 1)),
    }
    return setting(structure, laws, **(words | changes))


def samples(told):
    """Per update, (arrival, weight): bins taken apart."""
    for k in range(told.updates):
        pairs = []
        for use in range(told.offsets[k], told.offsets[k + 1]):
            inside = np.flatnonzero(told.bins[: told.served[k]] == told.used[use])
            pairs += [(s, told.weights[use]) for s in inside.tolist()]
        yield pairs


def impulses(case, shapes=None):
    """Mean and covariance of x^K by one response matrix for every estimate ever made."""
    told, form = server_history(case), case.problem.structure
    d = form.linear.shape[1]
    batch = np.array([1.0 if law.batch_size == "full" else law.batch_size for law in case.laws])
    noise = form.noise * np.array([law.batch_size != "full" for law in case.laws])[:, None, None]
    noise = noise / batch[:, None, None]
    S = len(told.workers)
    mean, response = [case.problem.initial[0]], [np.zeros((S, d, d))]
    for k, pairs in enumerate(samples(told)):
        x, C = mean[-1].copy(), response[-1].copy()
        scale = 1.0 if shapes is None else shapes[k]
        for s, weight in pairs:
            i, v = told.workers[s], told.versions[s]
            gain = weight * scale * case.step_sizes[i]
            x -= gain * (form.hessians[i] @ mean[v] - form.linear[i])
            C -= gain * np.einsum("kl,slm->skm", form.hessians[i], response[v])
            C[s] -= gain * np.eye(d)
        mean.append(x)
        response.append(C)
    covariance = np.einsum("skl,slm,spm->kp", response[-1], noise[told.workers], response[-1])
    return mean[-1], covariance


def assert_matches(case, mean, covariance):
    answer = server_moments(case)
    assert answer.applies, answer.assumptions
    form = case.problem.structure
    A = form.hessians.mean(0)
    optimum = np.linalg.solve(A, form.linear.mean(0))
    second = covariance + np.outer(mean - optimum, mean - optimum)
    last = {name: value[-1] for name, value in answer.values.items()}
    np.testing.assert_allclose(last["mean_iterate"], mean, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(last["mean_distance"], np.trace(second), rtol=1e-10)
    np.testing.assert_allclose(last["objective_gap"], 0.5 * np.trace(A @ second), rtol=1e-10)
    np.testing.assert_allclose(last["gradient_norm"], np.trace(A @ A @ second), rtol=1e-10)
    spread = answer.spread["mean_iterate"][-1]
    np.testing.assert_allclose(spread, np.sqrt(np.diag(covariance)), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("law", ["linear", "decimals", "exponential", "intervals"])
@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("diagonal", [False, True])
def test_impulse_responses(name, law, diagonal):
    """Heterogeneous Hessians, offsets, noise, step sizes and batches; the schedule moves too."""
    rng = np.random.default_rng(7)
    form, _ = quadratic(rng, 3, 4, diagonal=diagonal)
    laws = (GradientLaw(batch_size=1), GradientLaw(batch_size=4), GradientLaw(batch_size="full"))
    schedule = ScheduleFacts(name="inverse-time", offset=5.0)
    timing = clocks(3)[law]
    case = given(form, laws, SERVERS[name], timing, 23, schedule=schedule, record=(5, 23))
    shapes = [1.0 / (1.0 + k / 5.0) for k in range(23)]
    assert_matches(case, *impulses(case, shapes))


def enumerated(case, root):
    """Mean of x^K and of (x − x*)(x − x*)' over all signs of data noise and directions."""
    told, form = server_history(case), case.problem.structure
    d = form.linear.shape[1]
    used = sorted({s for pairs in samples(told) for s, _ in pairs})
    axes = {s: (d if case.kinds[told.workers[s]] == "zeroth" else 0) + 1 for s in used}
    bits = sum(axes.values())
    assert bits <= 18
    signs = 1.0 - 2.0 * ((np.arange(2**bits)[:, None] >> np.arange(bits)) & 1)
    points, estimates, first = [np.tile(case.problem.initial[0], (len(signs), 1))], {}, 0
    place = {}
    for s in used:
        place[s], first = slice(first, first + axes[s]), first + axes[s]
    for pairs in samples(told):
        x = points[-1].copy()
        for s, weight in pairs:
            i = told.workers[s]
            if s not in estimates:
                own = signs[:, place[s]]
                g = points[told.versions[s]] @ form.hessians[i] - form.linear[i]
                g = g + own[:, :1] * root[i][:, 0]
                if case.kinds[i] == "zeroth":
                    u = own[:, 1:]
                    g = u * (g * u).sum(1, keepdims=True)
                estimates[s] = g
            x -= weight * case.step_sizes[i] * estimates[s]
        points.append(x)
    mean = points[-1].mean(0)
    apart = points[-1] - mean
    return mean, apart.T @ apart / len(apart)


@pytest.mark.parametrize(
    ("server", "seconds", "steps"),
    [
        (ASGD, (1, 1.2), 6),
        (TABLE, (1, 1.5), 5),
        (RINGLEADER, (1, 1.3), 5),
        (RENNALA, (1, 2.5), 1),
        (ServerFacts(rule="collect", collection="harmonic", batch=3), (1, 1.5), 2),
        (MINIBATCH, (1, 1.5), 3),
        (ServerFacts(rule="ringmaster", delay_threshold=2), (1, 1.2), 6),
    ],
)
def test_enumeration_of_rademacher_directions(server, seconds, steps):
    """A zeroth-order worker: its noise grows with the gradient where it computes."""
    rng = np.random.default_rng(11)
    form, root = quadratic(rng, 2, 2)
    laws = (FIRST, zeroth(directions="rademacher"))
    case = given(form, laws, server, clock(*seconds), steps)
    assert_matches(case, *enumerated(case, root))


def test_coordinates_agree_with_full_blocks(monkeypatch):
    """Diagonal and rotated forms tell the same as full blocks, tables and directions included."""
    rng = np.random.default_rng(5)
    laws = (FIRST, zeroth(samples=2), zeroth(directions="gaussian", difference="forward"))
    for server in (ASGD, RINGLEADER, TABLE, MALENIA):
        diagonal, _ = quadratic(rng, 3, 3, diagonal=True, evaluation_noise=0.1)
        case = given(diagonal, laws, server, clocks(3)["linear"], 30, record=(7, 30))
        apart = server_moments(case)
        with monkeypatch.context() as patched:
            patched.setattr(server_dynamics, "is_diagonal", lambda _: False)
            full = server_moments(case)
            for name, value in full.values.items():
                np.testing.assert_allclose(apart.values[name], value, rtol=1e-10, err_msg=name)
            np.testing.assert_allclose(
                apart.spread["mean_iterate"], full.spread["mean_iterate"], rtol=1e-9
            )
        common, _ = quadratic(rng, 3, 3, common=True)
        case = given(common, laws, server, clocks(3)["linear"], 30, record=(7, 30))
        full = server_moments(case)
        with monkeypatch.context() as patched:
            patched.setattr(server_dynamics, "COMFORTABLE_WORK", 0.0)
            rotated = server_moments(case)
        assert full.spread
        assert not rotated.spread
        for name, value in full.values.items():
            np.testing.assert_allclose(rotated.values[name], value, rtol=1e-10, err_msg=name)


def test_rows_of_least_squares():
    """Enumerate which row every estimate draws."""
    rng = np.random.default_rng(2)
    a, y = rng.normal(size=(4, 2)), rng.normal(size=4)
    members = (np.array([0, 1]), np.array([2, 3]))
    rows = GeneralizedLinear(
        features=a, targets=y, members=members, loss="squared", regularization=0.1
    )
    start = np.tile(rng.normal(size=2), (2, 1))
    case = given(rows, (FIRST, FIRST), RINGLEADER, clock(1, 2.1), 5, initial=start)
    told = server_history(case)
    used = sorted({s for pairs in samples(told) for s, _ in pairs})
    picks = (np.arange(2 ** len(used))[:, None] >> np.arange(len(used))) & 1
    points, estimates = [np.tile(start[0], (len(picks), 1))], {}
    for pairs in samples(told):
        x = points[-1].copy()
        for s, weight in pairs:
            i, at = told.workers[s], points[told.versions[s]]
            row = members[i][picks[:, used.index(s)]]
            residual = (a[row] * at).sum(1) - y[row]
            estimates.setdefault(s, a[row] * residual[:, None] + 0.1 * at)
            x -= weight * case.step_sizes[i] * estimates[s]
        points.append(x)
    H = a.T @ a / 4 + 0.1 * np.eye(2)
    e = points[-1] - np.linalg.solve(H, a.T @ y / 4)
    answer = server_moments(case)
    np.testing.assert_allclose(answer.values["mean_distance"][-1], (e**2).sum(1).mean(), rtol=1e-10)
    gap = 0.5 * np.einsum("rk,kl,rl->r", e, H, e).mean()
    np.testing.assert_allclose(answer.values["objective_gap"][-1], gap, rtol=1e-10)
    np.testing.assert_allclose(answer.values["mean_iterate"][-1], points[-1].mean(0), rtol=1e-10)


def alone(n, curvature, variance, offsets=None):
    """N workers with f_i = ½ a x² − b_i x in one dimension."""
    return Quadratic(
        hessians=np.full((n, 1, 1), curvature),
        linear=np.zeros((n, 1)) if offsets is None else np.reshape(offsets, (n, 1)).astype(float),
        noise=np.full((n, 1, 1), variance),
    )


@pytest.mark.parametrize("server", [MALENIA, RENNALA])
def test_rounds_settle_where_the_closed_form_says(server):
    """Stationary variance γ v/(λ (2 − γ λ)), v = s²/n² Σ 1/b_i or s²/Σ b_i."""
    tau, gamma, lam, s2 = (1, 2, 4), 0.3, 1.5, 0.7
    b = {"harmonic": (6, 3, 1), "sum": (4, 1)}[server.collection]
    v = s2 / sum(b) if server.collection == "sum" else s2 / 9 * sum(1 / each for each in b)
    form = alone(3, lam, s2)
    case = given(form, GRADIENTS, server, clock(*tau), 200, step_sizes=np.full(3, gamma))
    spread = server_moments(case).spread["mean_iterate"][-1, 0]
    np.testing.assert_allclose(spread**2, gamma * v / (lam * (2 - gamma * lam)), rtol=1e-12)


@pytest.mark.parametrize("a", [0.1, 0.5, 0.9])
def test_one_delayed_estimate_settles_where_the_closed_form_says(a):
    """Two equal workers are gradients of delay 1: (1 + a)/(1 − a) γ² s²/(a (2 + a)), a = γ λ."""
    s2, lam = 0.7, 2.0
    form = alone(2, lam, s2)
    words = {"step_sizes": np.full(2, a / lam), "record": (1500,)}
    case = given(form, GRADIENTS[:2], ASGD, clock(1, 1), 1500, **words)
    spread = server_moments(case).spread["mean_iterate"][-1, 0]
    expected = (1 + a) / (1 - a) * (a / lam) ** 2 * s2 / (a * (2 + a))
    np.testing.assert_allclose(spread**2, expected, rtol=1e-12)


def test_a_plain_loop():
    """Monte Carlo with Gaussian noise, 20000 replicas, of two rules that reuse estimates."""
    rng = np.random.default_rng(23)
    form, root = quadratic(rng, 3, 2)
    for server in (RINGLEADER, TABLE):
        case = given(form, GRADIENTS, server, clock(1, 1.7, 3.1), 24, record=(24,))
        told, estimates = server_history(case), {}
        points = [np.tile(case.problem.initial[0], (20000, 1))]
        for pairs in samples(told):
            x = points[-1].copy()
            for s, weight in pairs:
                i = told.workers[s]
                if s not in estimates:
                    g = points[told.versions[s]] @ form.hessians[i] - form.linear[i]
                    estimates[s] = g + rng.normal(size=(20000, 1)) * root[i][:, 0]
                x -= weight * case.step_sizes[i] * estimates[s]
            points.append(x)
        answer = server_moments(case)
        e = points[-1] - np.linalg.solve(form.hessians.mean(0), form.linear.mean(0))
        square = (e**2).sum(1)
        error = square.std() / np.sqrt(20000)
        assert abs(square.mean() - answer.values["mean_distance"][-1]) < 4 * error
        assert 40 * error < square.mean()  # an error of a tenth would show


def test_a_long_run_takes_seconds():
    rng = np.random.default_rng(0)
    n, d = 32, 50
    form = Quadratic(
        hessians=np.repeat(np.diag(np.linspace(0.02, 1, d))[None], n, 0),
        linear=rng.normal(size=(n, d)),
        noise=np.repeat(np.eye(d)[None], n, 0),
    )
    timing = clock(*[float(i + 1) for i in range(n)])
    began = time.perf_counter()
    for server in (ASGD, RINGLEADER):
        case = given(
            form, (FIRST,) * n, server, timing, 1000, step_sizes=np.full(n, 1e-3), record=(1000,)
        )
        assert server_moments(case).applies
    assert time.perf_counter() - began < 30  # 1 to 3 s alone


def test_runs_that_would_take_long_are_refused(monkeypatch):
    form, _ = quadratic(np.random.default_rng(1), 3, 2)
    case = given(form, GRADIENTS, ASGD, clock(1, 2, 3), 50)
    for name, value, told in (
        ("MOST_UPDATES", 49, "50 updates"),
        ("MOST_WORK", 10.0, "multiplications"),
        ("LARGEST_STATE", 7, "state of size 8"),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(server_dynamics, name, value)
            answer = server_moments(case)
        assert not answer.applies
        assert told in answer.assumptions[-1].detail


def test_what_does_not_apply_says_why():
    rng = np.random.default_rng(1)
    form, _ = quadratic(rng, 3, 2)
    timing = clock(1, 2, 3)
    plain = setting(form, GRADIENTS)
    for theorem in (server_moments, server_schedule):
        assert not theorem(plain).applies
        assert not theorem(plain).values
    hopeless = clock(1, 1, 1, law="intervals", rates=((1.0,), (1.0,), (0.0,)))
    late = server_moments(given(form, GRADIENTS, TABLE, hopeless, 5))
    assert not late.applies
    assert "workers [2] never finish" in " ".join(each.detail for each in late.assumptions)
    unknown = server_moments(given(form, (None, *GRADIENTS[1:]), ASGD, timing, 5))
    assert not unknown.applies
    flat = Quadratic(hessians=np.zeros((3, 2, 2)), linear=form.linear, noise=form.noise)
    assert not server_moments(given(flat, GRADIENTS, ASGD, timing, 5)).applies


def test_full_coordinate_differences_shift_the_optimum():
    """Forward differences of step ν add ½ν diag A to every estimate."""
    law = CoordinateLaw(difference="forward", smoothing=0.5, batch_size="full")
    form = Quadratic(
        hessians=np.array([spd(np.random.default_rng(3), 2)]),
        linear=np.ones((1, 2)),
        noise=np.zeros((1, 2, 2)),
    )
    case = given(form, (law,), ASGD, clock(1), 400, record=(400,))
    A = form.hessians[0]
    settled = np.linalg.solve(A, form.linear[0] - 0.25 * np.diag(A))
    answer = server_moments(case)
    np.testing.assert_allclose(answer.values["mean_iterate"][0], settled, rtol=1e-9)
