"""Methods that remember, wait or drop: against their papers' formulas, step by step."""

import numpy as np
import pytest
import torch

from hzbench.core.errors import SpecError
from hzbench.core.spec import Spec
from hzbench.core.streams import Purpose, Rows, masks, replica_keys
from hzbench.engine.torch_executor import execute
from hzbench.harness.build import build, build_plan
from hzbench.harness.simulate import simulate

R, N, D, T, ETA = 5, 5, 3, 9, 0.3


def spec_of(method, steps=T, replicas=R, dimension=D, **network):
    return Spec.parse(
        {
            "problem": {
                "name": "quadratic",
                "dimension": dimension,
                "heterogeneity": 1.5,
                "initial_spread": 1.0,
            },
            "nodes": [{"count": N, "batch_size": "full"}],
            "network": {"graph": "ring", "gossip": "matrix"} | network,
            "method": {"step_size": ETA} | method,
            "run": {"steps": steps, "replicas": replicas, "seed": 3, "record": [steps]},
        }
    )


class Path:
    """A recorder that keeps every state."""

    watch = None

    def __init__(self, steps):
        self.boundaries, self.x = tuple(range(steps + 1)), []

    def record(self, state):
        self.x.append(state.x.numpy().copy())
        self.counters = state.counters


def run(spec):
    parts = build(spec)
    plan, path = build_plan(parts, range(spec.run.replicas)), Path(spec.run.steps)
    start = torch.as_tensor(parts.problem.initial)
    execute(plan, start, parts.problem, parts.population, parts.method, path)
    return parts.problem.structure, plan, path


def ring():
    W = np.eye(N)
    for shift in (1, -1):
        W += np.roll(np.eye(N), shift, axis=1)
    return W / 3


def replay(spec, advance):
    """Compare a run with x, memory = advance(t, x, memory, gradient, W or I of every replica)."""
    structure, plan, path = run(spec)
    W = np.full((N, N), 1 / N) if plan.matrix[0, 2] != 0 else ring()

    def gradient(x):
        return np.einsum("ikl,ril->rik", structure.hessians, x) - structure.linear

    x, memory = path.x[0].copy(), {}
    for t in range(spec.run.steps):
        up = np.ones(R, bool) if plan.exchanges is None else plan.exchanges[:, t]
        mix = np.where(up[:, None, None], W, np.eye(N))
        x = advance(t, x, memory, gradient, mix)
        np.testing.assert_allclose(path.x[t + 1], x, atol=1e-12)


def test_gradient_tracking_in_both_orders():
    def adapt(t, x, memory, gradient, W):
        g = gradient(x)
        memory["y"] = W @ (memory["y"] + g - memory["g"]) if t else W @ g
        memory["g"] = g
        return W @ (x - ETA * memory["y"])

    def simultaneous(t, x, memory, gradient, W):
        g = gradient(x)
        memory["y"] = W @ memory["y"] + g - memory["g"] if t else g
        memory["g"] = g
        return W @ x - ETA * memory["y"]

    replay(spec_of({"name": "gradient_tracking"}), adapt)
    replay(spec_of({"name": "gradient_tracking", "order": "simultaneous"}), simultaneous)
    replay(spec_of({"name": "gradient_tracking"}, exchange_probability=0.5), adapt)


def test_extra_is_its_paper():
    """X1 = W X0 − η G0, then (2.13) of Shi et al. 2015."""

    def advance(t, x, memory, gradient, W):
        g, before = gradient(x), memory.get("x")
        new = W @ x - ETA * g
        if t:
            half = (np.eye(N) + W) / 2
            new = (np.eye(N) + W) @ x - half @ before - ETA * (g - memory["g"])
        memory |= {"x": x, "g": g}
        return new

    replay(spec_of({"name": "extra"}), advance)


@pytest.mark.parametrize("lazy", [True, False])
def test_exact_diffusion_is_its_paper(lazy):
    """ψ, φ, x of Yuan et al. 2019, Algorithm 1; with W itself the second-order form of D²."""

    def diffusion(t, x, memory, gradient, W):
        psi = x - ETA * gradient(x)
        phi = psi + x - memory["psi"] if t else psi
        memory["psi"] = psi
        return (phi + W @ phi) / 2

    def squared(t, x, memory, gradient, W):
        g = gradient(x)
        new = W @ (2 * x - memory["x"] - ETA * (g - memory["g"]) if t else x - ETA * g)
        memory |= {"x": x, "g": g}
        return new

    replay(spec_of({"name": "exact_diffusion", "lazy": lazy}), diffusion if lazy else squared)


@pytest.mark.parametrize("steps", [1, 3, 4])
@pytest.mark.parametrize("weights", ["metropolis", "uniform"])
def test_local_sgd_exchanges_every_so_often(steps, weights):
    network = {"graph": "ring" if weights == "metropolis" else "complete", "weights": weights}
    structure, _, path = run(spec_of({"name": "local_sgd", "local_steps": steps}, **network))
    W = ring() if weights == "metropolis" else np.full((N, N), 1 / N)
    x = path.x[0]
    for t in range(T):
        g = np.einsum("ikl,ril->rik", structure.hessians, x) - structure.linear
        x = x - ETA * g
        x = W @ x if (t + 1) % steps == 0 else x
        np.testing.assert_allclose(path.x[t + 1], x, atol=1e-12)
    links = 2 * N if weights == "metropolis" else N * (N - 1)
    assert (path.counters["floats_sent"].numpy() == T // steps * links * D).all()


def test_local_sgd_takes_the_matrices_of_a_period_in_turn():
    network = {"graph": "exponential", "weights": "one-peer-exponential"}
    spec = spec_of({"name": "local_sgd", "local_steps": 2, "step_size": 0.0}, steps=8, **network)
    _, plan, path = run(spec)
    once = run(spec_of({"name": "dsgd", "step_size": 0.0}, steps=4, **network))[2]
    assert len(plan.matrix) == 2 * 3
    np.testing.assert_allclose(path.x[2::2], once.x[1:], atol=1e-13)


@pytest.mark.parametrize("delay", [0, 1, 4])
def test_delayed_gradients_are_of_that_age(delay):
    def advance(t, x, memory, gradient, W):
        memory[t] = x
        return W @ (x - ETA * gradient(memory[max(t - delay, 0)]))

    replay(spec_of({"name": "delayed_sgd", "delay": delay}), advance)


def test_scaffnew_is_algorithm_2():
    def advance(t, x, memory, gradient, W):
        h = memory.get("h", np.zeros_like(x))
        moved = x - ETA * (gradient(x) - h)
        exchanged = np.abs(W - np.eye(N)).max((1, 2)) > 0
        average = (moved - ETA / 0.4 * h).mean(1, keepdims=True)
        new = np.where(exchanged[:, None, None], average, moved)
        memory["h"] = h + 0.4 / ETA * (new - moved)
        return new

    replay(spec_of({"name": "scaffnew", "probability": 0.4}), advance)


def mask_at(t, kept):
    node = torch.arange(N).repeat(R)
    replica = torch.arange(R).repeat_interleave(N)
    keys = replica_keys(3, range(R))[replica]
    rows = Rows(keys=keys, replica=replica, node=node, step=torch.full_like(node, t))
    return masks(rows, Purpose.MASK, kept, D).numpy().reshape(R, N, D)


def test_masked_steps_and_exchanges():
    def unbiased(t, x, memory, gradient, W):
        return W @ (x - ETA * D / 2 * mask_at(t, 2) * gradient(x))

    def feedback(t, x, memory, gradient, W):
        wanted = memory.get("e", 0) + ETA * gradient(x)
        memory["e"] = (1 - mask_at(t, 2)) * wanted
        return W @ (x - mask_at(t, 2) * wanted)

    def choco(t, x, memory, gradient, W):
        half = x - ETA * gradient(x)
        public = memory.get("p", np.zeros_like(x))
        memory["p"] = public + mask_at(t, 1) * (half - public)
        return half + 0.2 * (W @ memory["p"] - memory["p"])

    replay(spec_of({"name": "rand_k_sgd", "kept": 2}), unbiased)
    replay(spec_of({"name": "rand_k_sgd", "kept": 2, "memory": True}), feedback)
    replay(spec_of({"name": "choco_sgd", "kept": 1, "consensus_step": 0.2}), choco)


PLAIN = {
    "delayed_sgd": {"delay": 0},
    "rand_k_sgd": {"kept": D},
    "choco_sgd": {"kept": D, "consensus_step": 1.0},
}


@pytest.mark.parametrize("momentum", [0.0, 0.5])
@pytest.mark.parametrize("name", PLAIN)
def test_with_nothing_remembered_or_dropped_it_is_dsgd(name, momentum):
    plain = run(spec_of({"name": "dsgd", "momentum": momentum}))[2]
    same = run(spec_of({"name": name, "momentum": momentum} | PLAIN[name]))[2]
    np.testing.assert_allclose(same.x, plain.x, atol=1e-12)


def test_scaffnew_that_always_exchanges_is_centralized():
    always = run(spec_of({"name": "scaffnew", "probability": 1.0}))[2]
    np.testing.assert_allclose(always.x, run(spec_of({"name": "centralized"}))[2].x, atol=1e-12)


@pytest.mark.parametrize(
    "method",
    [
        {"name": "gradient_tracking"},
        {"name": "scaffnew"},
        {"name": "extra"},
        {"name": "exact_diffusion"},
        {"name": "exact_diffusion", "lazy": False},
    ],
)
def test_heterogeneous_nodes_all_reach_the_optimum(method):
    spec = spec_of(method, steps=400)
    assert simulate(spec, ["node_distance"]).at("node_distance", 400).max() < 1e-12
    for biased in ({"name": "dsgd"}, {"name": "local_sgd", "local_steps": 4}):
        plain = simulate(spec_of(biased, steps=400), ["node_distance"])
        assert plain.at("node_distance", 400).min() > 1e-2


def test_coins_have_their_probability_and_stop_every_exchange():
    spec = spec_of({"name": "dsgd"}, steps=400, replicas=50, exchange_probability=0.3)
    _, plan, path = run(spec)
    assert abs(plan.exchanges.mean() - 0.3) < 4.5 * np.sqrt(0.21 / plan.exchanges.size)
    assert (plan.exchanges[0] != plan.exchanges[1]).any()
    sent = path.counters["floats_sent"].numpy()
    assert (sent == plan.exchanges.sum(1) * 2 * N * D).all()
    assert run(spec_of({"name": "dsgd"}))[1].exchanges is None


def test_masks_keep_k_coordinates_all_subsets_alike():
    node = torch.arange(4000)
    keys = replica_keys(1, range(1))[torch.zeros_like(node)]
    rows = Rows(keys=keys, replica=0 * node, node=node, step=0 * node)
    drawn = masks(rows, Purpose.MASK, 2, 4)
    assert (drawn.sum(1) == 2).all()
    counts = torch.unique(drawn @ torch.tensor([1.0, 2, 4, 8]).double(), return_counts=True)[1]
    assert len(counts) == 6
    assert float(((counts - 4000 / 6) ** 2 / (4000 / 6)).sum()) < 30  # chi² with 5 degrees: 1e-5
    assert torch.equal(masks(rows.take(node[7:9]), Purpose.MASK, 2, 4), drawn[7:9])


def test_choco_sends_only_what_its_masks_keep():
    sent = [
        run(spec_of({"name": name, **more}))[2].counters["floats_sent"].numpy()
        for name, more in (("dsgd", {}), ("choco_sgd", {"kept": 1}))
    ]
    assert (sent[0] == T * 2 * N * D).all()
    assert (sent[1] == T * 2 * N).all()


def test_what_makes_no_sense_is_refused():
    with pytest.raises(SpecError, match="got a mask of 4 coordinates in dimension 3"):
        build(spec_of({"name": "choco_sgd", "kept": 4}))
    with pytest.raises(SpecError, match=r"exchange_probability: got 0\.5 with protocol 'pair'"):
        build(spec_of({"name": "hdo"}, gossip="pair", exchange_probability=0.5))
    with pytest.raises(SpecError, match="exchange_probability"):
        spec_of({"name": "dsgd"}, exchange_probability=0.0)
