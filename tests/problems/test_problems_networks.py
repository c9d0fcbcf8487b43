"""Networks against plain modules of torch.nn with the same parameters, one model at a time."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from plain_networks import PlainResNet, PlainTransformer
from problems_cases import KINDS, NETWORKS, N, case, points, rows
from torch import nn
from torch.nn.functional import cross_entropy
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from hzbench.core.errors import SpecError
from hzbench.core.problem import Placement
from hzbench.core.registry import find
from hzbench.problems import network_model

EACH = pytest.mark.parametrize("label", list(NETWORKS))


def plain(label):
    made = {
        "mlp-tanh": lambda: nn.Sequential(
            nn.Flatten(), nn.Linear(64, 3), nn.Tanh(), nn.Linear(3, 10)
        ),
        "mlp-relu": lambda: nn.Sequential(
            nn.Flatten(), nn.Linear(64, 4), nn.ReLU(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 10)
        ),
        "cnn": lambda: nn.Sequential(
            nn.Conv2d(1, 2, 3, padding=1),
            nn.Tanh(),
            nn.MaxPool2d(2),
            nn.Conv2d(2, 2, 3, padding=1),
            nn.Tanh(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(8, 4),
            nn.Tanh(),
            nn.Linear(4, 10),
        ),
        "resnet18": lambda: PlainResNet(2, "imagenet"),
        "transformer": lambda: PlainTransformer(3, 14, 4, 2, 2, 4, 2),
    }
    return made[label]().double().train()  # no dropout and no batch statistics: modes are equal


def loss_of(module, problem, x, index):
    """Mean cross-entropy of rows of data plus the penalty, and its gradient."""
    vector_to_parameters(x, module.parameters())
    inputs = torch.as_tensor(problem.examples.inputs[index])
    inputs = inputs.double() if inputs.is_floating_point() else inputs
    loss = cross_entropy(module(inputs), torch.as_tensor(problem.examples.targets[index]))
    loss = (
        loss + problem.regularization / 2 * parameters_to_vector(module.parameters()).square().sum()
    )
    slopes = torch.autograd.grad(loss, list(module.parameters()))
    return loss.detach(), torch.cat([slope.flatten() for slope in slopes])


def somewhere(problem, *shape, seed=0):
    start = torch.as_tensor(problem.initial)[0]
    return start + 0.2 * points(problem, *shape, seed=seed)


@EACH
def test_values_and_gradients_equal_a_plain_module(label):
    problem, module, at = case(label), plain(label), rows(2)
    x = somewhere(problem, 2 * N, 2, 2)
    for batch_size in (3, "full"):
        sample = problem.sample(at, batch_size, 2)
        values = problem.values(x, at.node, sample)
        gradients = problem.gradients(x[:, 0, 0], at.node, sample)
        for b, node in enumerate(at.node.tolist()[:4]):
            for s in range(2):
                held = problem.shares.members[node]
                index = held if batch_size == "full" else sample.index[b, s].numpy()
                for p in range(2):
                    loss, _ = loss_of(module, problem, x[b, s, p], index)
                    torch.testing.assert_close(values[b, s, p], loss, rtol=1e-11, atol=1e-12)
                _, slope = loss_of(module, problem, x[b, 0, 0], index)
                torch.testing.assert_close(gradients[b, s], slope, rtol=1e-9, atol=1e-11)


@EACH
def test_validation_equals_a_plain_module(label):
    problem, module = case(label), plain(label)
    x = somewhere(problem, 2, N)
    found = problem.validation(x)
    inputs = torch.as_tensor(problem.examples.validation_inputs)
    inputs = inputs.double() if inputs.is_floating_point() else inputs
    targets = torch.as_tensor(problem.examples.validation_targets)
    for r in range(2):
        for node in range(N):
            vector_to_parameters(x[r, node], module.parameters())
            logits = module(inputs).detach()
            right = (logits.argmax(1) == targets).double().mean()
            loss = cross_entropy(logits, targets)
            assert float(found["validation_accuracy"][r, node]) == pytest.approx(float(right))
            assert float(found["validation_loss"][r, node]) == pytest.approx(float(loss), rel=1e-11)


@EACH
def test_parameters_are_those_of_the_module_in_name_shape_and_order(label):
    weights, module = case(label).architecture.weights, plain(label)
    assert [w.shape for w in weights.values()] == [tuple(p.shape) for p in module.parameters()]
    if label in ("resnet18", "transformer"):
        names = [name.replace(".plain.", ".") for name, _ in module.named_parameters()]
        assert list(weights) == names


@EACH
def test_directional_derivatives_are_exact_over_all_parameters(label):
    problem, at = case(label), rows(1)
    x, u = somewhere(problem, N), points(problem, N, 2, 3, seed=4)
    for batch_size in (2, "full"):
        sample = problem.sample(at, batch_size, 2)
        found = problem.directional_derivatives(x, u, at.node, sample)
        slopes = problem.gradients(x, at.node, sample)
        expected = (slopes[:, :, None] * u).sum(-1)
        scale = (slopes[:, :, None] * u).abs().sum(-1)
        assert float(((found - expected).abs() / scale).max()) < 1e-12


@pytest.mark.parametrize("data", ["shared", "fresh"])
@EACH
def test_zeroth_order_nodes_take_the_forward_mode(label, data, monkeypatch):
    problem, at = case(label), rows(2)
    keys = {"difference": "directional_derivative", "samples": 3, "data": data}
    estimator = find("estimator", "zeroth_order").target(**keys)
    x = somewhere(problem, 2 * N)
    found = estimator.estimate(problem, x, at, 4).gradient
    sample = problem.sample(at, 4, 3 if data == "fresh" else 1)
    slopes, u = problem.gradients(x, at.node, sample), estimator.draw(at, problem.dimension)
    expected = ((slopes * u).sum(-1, keepdim=True) * u).mean(1)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-10)
    monkeypatch.setattr(type(problem), "gradients", None)
    assert torch.equal(estimator.estimate(problem, x, at, 4).gradient, found)


def test_the_product_tensor_by_tensor_has_the_second_moment_of_a_tensor():
    """Its mean is the gradient, its second moment Σ_t (|t| + 2)|g_t|², far below (d + 2)|g|²."""
    problem, count = case("mlp-tanh"), 1500
    law = {"difference": "directional_derivative", "directions": "gaussian"}
    right = find("estimator", "zeroth_order").target(**law)
    wrong = find("mutant", "dot_per_tensor").target().estimator(right)
    every = rows(count // N)
    at = replace(every, node=0 * every.node, step=torch.arange(count))
    x = torch.as_tensor(problem.initial)[0].expand(count, -1)
    one = at.take(torch.tensor([0]))
    slope = problem.gradients(x[:1], one.node, problem.sample(one, "full", 1))[0, 0]
    pieces = slope.split(problem.tensors)
    moments = {
        "right": (right, (problem.dimension + 2) * float(slope @ slope)),
        "wrong": (wrong, sum((len(g) + 2) * float(g @ g) for g in pieces)),
    }
    for estimator, moment in moments.values():
        drawn = estimator.estimate(problem, x, at, "full").gradient
        squares = drawn.square().sum(1)
        assert abs(float(squares.mean()) - moment) < 5 * float(squares.std()) / count**0.5
        error = (drawn.mean(0) - slope).norm() ** 2
        assert float(error) < 1.5 * moment / count
    assert moments["wrong"][1] < 0.8 * moments["right"][1]


@EACH
def test_small_parts_give_the_same_numbers(label, monkeypatch):
    problem, at = case(label), rows(2)
    x, sample = somewhere(problem, 2 * N), problem.sample(at, "full", 1)

    def everything(it):
        validation = it.validation(x.view(2, N, -1))
        return [
            it.values(x[:, None, None], at.node, sample),
            it.gradients(x, at.node, sample),
            it.objective(x),
            it.objective_gradient(x),
            *validation.values(),
        ]

    whole = everything(problem)
    monkeypatch.setattr(network_model, "_BLOCK", 40 * problem.architecture.activations)
    parts = everything(type(problem)(**vars_of(problem)))
    for one, other in zip(whole, parts, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


def vars_of(problem):
    return {name: getattr(problem, name) for name in problem.__dataclass_fields__}


@EACH
def test_all_nodes_start_from_one_seeded_point(label):
    start = case(label).initial
    assert (start == start[0]).all()
    assert np.isfinite(start).all()
    other = remade(label, initial_seed=1).initial[0]
    assert (other != start[0]).any()


def test_starts_follow_the_law_of_pytorch():
    weights = remade("mlp-relu", hidden=[400]).architecture.start(np.random.default_rng(0))
    first, bias = weights[: 400 * 64], weights[400 * 64 : 400 * 65]
    for drawn in (first, bias):
        assert abs(drawn).max() <= 1 / 8
        assert drawn.std() == pytest.approx(1 / 8 / math.sqrt(3), rel=0.1)


def test_no_graph_is_kept():
    problem, at = case("cnn"), rows(1)
    sample = problem.sample(at, 2, 1)
    found = problem.gradients(somewhere(problem, N), at.node, sample)
    assert not found.requires_grad


def remade(label, **changes):
    name, keys = NETWORKS[label]
    return find("problem", name).target(**{**keys, **changes}).build(Placement(kinds=KINDS))


@pytest.mark.parametrize(
    ("name", "keys", "words"),
    [
        ("mlp", {"hidden": []}, "at least one width"),
        ("mlp", {"hidden": [3, 0]}, "widths of 1 or more; raise 0"),
        ("mlp", {"data": "brackets"}, "got data of tokens"),
        ("mlp", {"data": "nothing"}, "nothing"),
        ("mlp", {"hidden": [10**7, 10**6]}, "GiB"),
        ("mlp", {"partition": "nothing"}, "nothing"),
        ("cnn", {"channels": [2] * 4}, "side of at least 16"),
        ("cnn", {"data": "brackets"}, "got data of tokens"),
        ("resnet18", {"data": "digits", "normalization": "frozen"}, "without weights"),
        ("transformer", {"data": "digits"}, "without a vocabulary"),
        ("transformer", {"heads": 3}, "a divisor of the width"),
        ("mlp", {"weights": "missing.pt"}, "got weights 'missing.pt'; expected a file"),
        ("mlp", {"weights": "a" * 300}, "aaa'; expected a file"),
    ],
)
def test_mistakes_are_one_message(name, keys, words):
    component = find("problem", name).target(**keys)
    found = component.mistakes(Placement(kinds=KINDS))
    assert len(found) == 1
    assert words in found[0]


class TestPretrained:
    def test_starts_from_the_file(self, tmp_path):
        module, file = nn.Sequential(*plain("mlp-relu")[1:]), tmp_path / "mlp.pt"
        torch.save(module.state_dict(), file)
        problem = remade("mlp-relu", weights=str(file))
        expected = parameters_to_vector(module.parameters()).detach().numpy()
        assert (problem.initial == expected).all()

    def test_wrong_files_are_named(self, tmp_path):
        file = tmp_path / "w.pt"
        module = nn.Sequential(nn.Linear(64, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU())
        torch.save(module.state_dict(), file)
        with pytest.raises(SpecError) as caught:
            remade("mlp-relu", weights=str(file))
        assert "tensors missing: 4.weight, 4.bias" in str(caught.value)
        assert "2.weight of shape 4×4 instead of 3×4" in str(caught.value)
        torch.save([1], file)
        with pytest.raises(SpecError, match="with a list"):
            remade("mlp-relu", weights=str(file))
        file.write_bytes(b"no file of torch")
        with pytest.raises(SpecError, match="cannot be read"):
            remade("mlp-relu", weights=str(file))

    def test_frozen_statistics_are_those_of_batch_normalisation(self, tmp_path):
        torch.manual_seed(0)
        module, file = PlainResNet(2, "imagenet", nn.BatchNorm2d).double(), tmp_path / "r.pt"
        module.train()
        module(3 * torch.randn(20, 1, 8, 8).double() + 1)  # statistics other than 0 and 1
        module.eval()
        torch.save(module.state_dict(), file)
        problem = remade("resnet18", weights=str(file), normalization="frozen")
        at = rows(1)
        x = torch.as_tensor(problem.initial)
        sample = problem.sample(at, 4, 1)
        values = problem.values(x[:, None, None], at.node, sample)[:, 0, 0]
        slopes = problem.gradients(x, at.node, sample)[:, 0]
        for b in range(N):
            loss, slope = loss_of(module, problem, x[b], sample.index[b, 0].numpy())
            torch.testing.assert_close(values[b], loss, rtol=1e-11, atol=1e-12)
            torch.testing.assert_close(slopes[b], slope, rtol=1e-9, atol=1e-11)

    def test_another_head_is_drawn_only_where_asked(self, tmp_path):
        module, file = PlainResNet(2, "imagenet"), tmp_path / "r.pt"
        state = {k.replace(".plain.", "."): v for k, v in module.state_dict().items()}
        torch.save(state | {"fc.weight": torch.zeros(7, 16), "fc.bias": torch.zeros(7)}, file)
        with pytest.raises(SpecError, match=r"fc\.weight of shape 7×16 instead of 10×16"):
            remade("resnet18", weights=str(file))
        start = remade("resnet18", weights=str(file), fresh_head=True).initial[0]
        drawn = remade("resnet18").initial[0]
        assert (start[-170:] == drawn[-170:]).all()
        assert start[0] == float(state["conv1.weight"].flatten()[0])
