"""The stand-in for CUDA keeps the rules that the tests with it rely on."""

import warnings

import pytest
import torch
from engine_stand_in import DEVICE, Elsewhere, stand_in

from hzbench.engine import graphs
from hzbench.engine.graphs import WARM_UP, Replay, side_stream, waiting
from hzbench.problems.network_model import _forward_mode

THREE = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)


@pytest.fixture
def device(monkeypatch):
    with stand_in(monkeypatch) as found:
        yield found


def test_numbers_go_there_and_come_back(device):
    there = THREE.to(DEVICE)
    assert isinstance(there, Elsewhere)
    assert there.is_cuda
    assert torch.equal((2 * there + torch.ones(3, device=DEVICE)).cpu(), 2 * THREE + 1)
    assert len(device.computes.waits) == 2
    assert float(there.sum()) == 6.0
    assert there.new_tensor([4.0]).tolist() == [4.0]


@pytest.mark.parametrize(
    "mixed",
    [
        lambda x: x + THREE,
        lambda x: torch.cat([x, THREE]),
        lambda x: x @ THREE,
        lambda x: x.index_select(0, torch.tensor([0])),
        lambda x: torch.stack([x.sum(), THREE.sum()]),
        lambda x: x[torch.tensor([0])],
    ],
)
def test_tensors_of_two_devices_do_not_meet(device, mixed):
    with pytest.raises(RuntimeError, match="on the same device"):
        mixed(THREE.to(DEVICE))
    assert (THREE.to(DEVICE) * THREE.sum()).tolist() == [6.0, 12.0, 18.0]  # as on CUDA


def test_numpy_cannot_look_into_it(device):
    with pytest.raises((TypeError, RuntimeError)):
        THREE.to(DEVICE).numpy()


@pytest.mark.parametrize(
    "asks",
    [
        lambda x: bool((x > 0).all()),
        lambda x: x[x > 1],
        lambda x: x.nonzero(),
        torch.unique,
        lambda x: x.cpu(),
        lambda x: x.copy_(THREE),
        lambda x: torch.equal(x, x),
    ],
)
def test_what_waits_is_noted_and_told(device, asks):
    x = THREE.to(DEVICE)
    device.computes.waits.clear()
    with waiting() as seen:
        (x + 1).sum()
        assert device.computes.waits == []
        asks(x)
    assert device.computes.waits
    assert seen


def test_derivatives_both_ways(device):
    x = THREE.to(DEVICE).requires_grad_()
    slope = torch.autograd.grad((x**3).sum(), x)[0]
    assert slope.tolist() == [3.0, 12.0, 27.0]
    forward_ad = _forward_mode()
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(THREE.to(DEVICE), torch.ones_like(slope.detach()))
        tangent = forward_ad.unpack_dual((dual**3).sum()).tangent
    assert float(tangent) == 42.0


def test_what_is_captured_runs_when_it_is_replayed(device):
    state, kept = torch.zeros(2, device=DEVICE), []
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=side_stream(state.device)):
        kept.append(state + 1)
        state.add_(kept[0])
    assert device.stream is device.main
    assert state.tolist() == [0.0, 0.0]
    assert kept[0].isnan().all()
    for expected in (1.0, 3.0, 7.0):
        graph.replay()
        assert state.tolist() == [expected, expected]


def test_a_wait_breaks_a_capture_off_which_stays_on_its_stream(device):
    """As `torch.cuda.graph` is written: why `Replay.capture` sets the stream again."""
    state = torch.zeros(2, device=DEVICE)
    capture = torch.cuda.graph(torch.cuda.CUDAGraph(), stream=side_stream(state.device))
    with pytest.raises(RuntimeError, match="due to a previous error") as told, capture:
        state.sum().item()
    assert "operation not permitted" in str(told.value.__context__)
    assert device.stream is not device.main


def counting(state, bad):
    """A round that adds 1, which waits for the device from step `bad` on."""

    def body(step):
        if step >= bad:
            float(state.sum())
        state.add_(1)

    return Replay(body, lambda _: 0, torch.zeros((), dtype=torch.int64, device=DEVICE))


def test_a_capture_that_breaks_off_leaves_everything_in_order(device):
    state = torch.zeros(2, device=DEVICE)
    with pytest.warns(RuntimeWarning, match="cannot be captured .CUDA error: operation not permit"):
        counting(state, bad=WARM_UP).run(0, 7)
    assert state.tolist() == [7.0, 7.0]
    assert device.stream is device.main
    assert device.released == [True]
    counting(state, bad=99).run(0, 7)  # no word, and no capture beside a broken one
    assert state.tolist() == [14.0, 14.0]
    assert device.captures == 0
    graphs.BROKEN.clear()
    counting(state, bad=99).run(0, 7)
    assert state.tolist() == [21.0, 21.0]
    assert device.captures == 1


def test_runs_of_one_device_share_a_stream(device):
    state = torch.zeros(2, device=DEVICE)
    assert counting(state, 9).stream is counting(state, 9).stream
    assert device.stream is device.main


def test_nothing_of_it_is_left(monkeypatch):
    with monkeypatch.context() as patch, stand_in(patch), warnings.catch_warnings():
        THREE.to(DEVICE)
    assert THREE.to("meta").is_meta
