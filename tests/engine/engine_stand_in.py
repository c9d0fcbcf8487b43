"""A stand-in for CUDA: a device that computes on the host what a device would, by its rules.

Tensors of it call themselves `meta` (the one device besides the CPU that every build of torch
knows), say `is_cuda`, and hold their numbers out of sight. As on CUDA an operation takes tensors of
one device (0-dimensional ones of the host may join arithmetic); numpy cannot look into them; copies
between host and device, and whatever tells the host a number, are noted as waits. Streams and
captures keep the rules of CUDA too: what is captured does not run, a wait ends a capture by an
error, after which its end is an error as well, and what a capture leaves behind holds no numbers.
The classes `torch.cuda.graph` and `torch.cuda.stream` are torch's own.
"""

import warnings
from contextlib import contextmanager
from functools import cache

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from hzbench.core import streams
from hzbench.engine import graphs
from hzbench.estimators import one_point

DEVICE = "meta"
ANSWERS = (torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape)
MIXES = {  # beside arithmetic: take 0-dimensional tensors of the host
    "aten::masked_fill",
    "aten::masked_fill_",
    "aten::fill_",
    "aten::index_put_",
    "aten::index_fill_",
}
COPIES = {"aten::_to_copy", "aten::copy_"}
CACHES = ((streams, "_octet_signs"), (one_point, "_point"))


class Elsewhere(torch.Tensor):
    """A tensor of the stand-in; `inner` has the numbers."""

    __torch_function__ = torch._C._disabled_torch_function_impl
    is_cuda = True
    is_meta = False

    @staticmethod
    def __new__(cls, inner):
        dense = inner.layout == torch.strided
        found = torch.Tensor._make_wrapper_subclass(
            cls,
            inner.shape,
            strides=inner.stride() if dense else None,
            storage_offset=inner.storage_offset() if dense else None,
            dtype=inner.dtype,
            device=DEVICE,
        )
        found.inner = inner
        return found

    @property
    def layout(self):
        return self.inner.layout

    def untyped_storage(self):
        return self.inner.untyped_storage()

    def tolist(self):
        return self.cpu().tolist()

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        raise AssertionError(f"{func} of a tensor that has left its device")


def inside(value):
    return value.inner if isinstance(value, Elsewhere) else value


class Computes(TorchDispatchMode):
    """Runs operations on the device, and holds them to its rules.

    Attributes:
        waits: operations that have made the host wait.
        tape: of the capture that is under way.
    """

    def __init__(self):
        super().__init__()
        self.waits, self.tape, self.sync_mode = [], None, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        given = [a for a in tree_leaves((args, kwargs)) if isinstance(a, torch.Tensor)]
        there = any(isinstance(a, Elsewhere) for a in given)
        name, told = func.name().split(".")[0], kwargs.get("device")
        goes = there if told is None else torch.device(told).type == DEVICE
        if name == "aten::_make_dual":  # what is left of it below autograd
            func, args = torch.ops.aten.alias.default, args[:1]
        if name == "aten::_efficientzerotensor":
            func = torch.ops.aten.zeros.default
        if name in COPIES:
            here = isinstance(args[0], Elsewhere) if name == "aten::copy_" else goes
            goes = here
            others = {isinstance(a, Elsewhere) for a in given} | {here}
            if len(others) > 1:
                self.wait(func)
        elif there:
            self.check(func, name, given)
        if told is not None:
            kwargs["device"] = torch.device("cpu")
        if not (goes or there):
            return func(*args, **kwargs)
        if there and self.answers(func, name, args):
            self.wait(func)
        return self.compute(func, args, kwargs, given, goes)

    def compute(self, func, args, kwargs, given, goes):
        args, kwargs = tree_map(inside, args), tree_map(inside, kwargs)
        if self.tape is not None:
            self.tape.before(func, args, kwargs)
        found = func(*args, **kwargs)
        if self.tape is not None:
            self.tape.after(func, args, kwargs, found)
        known = {id(inside(a)): a for a in given}

        def outside(value):
            if not isinstance(value, torch.Tensor):
                return value
            if id(value) in known:
                return known[id(value)]
            return Elsewhere(value) if goes else value

        return tree_map(outside, found)

    def check(self, func, name, given):
        """Tensors of one device."""
        strange = [a for a in given if not isinstance(a, Elsewhere)]
        if not strange:
            return
        scalars = all(a.dim() == 0 for a in strange)
        if scalars and (torch.Tag.pointwise in func.tags or name in MIXES):
            return
        raise RuntimeError(f"Expected all tensors to be on the same device: {func}")

    def answers(self, func, name, args):
        """Whether the host must know a number of the result, or of an argument."""
        if name == "aten::index":
            return any(i is not None and i.dtype == torch.bool for i in args[1])
        if name == "aten::index_put_":
            masks = [i for i in args[1] if i is not None and i.dtype == torch.bool]
            return bool(masks) and args[2].dim() > 0
        if name == "aten::equal":
            return True
        return any(tag in func.tags for tag in ANSWERS)

    def wait(self, func):
        self.waits.append(str(func))
        if self.tape is not None:
            self.tape.broken = True
            raise RuntimeError(f"CUDA error: operation not permitted when capturing ({func})")
        if self.sync_mode:
            warnings.warn("called a synchronizing CUDA operation", UserWarning, stacklevel=2)


class Moves(TorchFunctionMode):
    """Values that torch reads on the host go to the device by a copy, as on CUDA."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        told = kwargs.get("device")
        if func in (torch.tensor, torch.as_tensor) and told is not None:
            del kwargs["device"]
            return func(*args, **kwargs).to(told)
        if func is torch.Tensor.new_tensor and isinstance(args[0], Elsewhere) and told is None:
            kwargs.setdefault("dtype", args[0].dtype)
            return torch.tensor(*args[1:], **kwargs).to(args[0].device)
        return func(*args, **kwargs)


def places(tree):
    """The memory of all tensors in it, those of the lines of a sparse one too."""
    for each in tree_leaves(tree):
        if isinstance(each, torch.Tensor):
            sparse = each.layout == torch.sparse_csr
            parts = (each.crow_indices(), each.col_indices(), each.values()) if sparse else (each,)
            yield from (part.untyped_storage() for part in parts)


class Tape:
    """What is captured: operations to be played again; what they have changed is put back."""

    def __init__(self):
        self.operations, self.made, self.kept, self.broken = [], {}, {}, False

    def before(self, func, args, kwargs):
        for value in self.written(func, args, kwargs):
            place = value.untyped_storage()
            if place.data_ptr() not in self.made and place.data_ptr() not in self.kept:
                self.kept[place.data_ptr()] = (place, place.clone())

    def written(self, func, args, kwargs):
        for number, argument in enumerate(func._schema.arguments):
            if argument.alias_info is not None and argument.alias_info.is_write:
                named = kwargs.get(argument.name)
                value = args[number] if number < len(args) else named
                if isinstance(value, torch.Tensor):
                    yield value

    def after(self, func, args, kwargs, found):
        before = {each.data_ptr() for each in places((args, kwargs))}
        for place in places(found):
            if place.data_ptr() not in before:
                self.made[place.data_ptr()] = place
        self.operations.append((func, args, kwargs, found))

    def end(self):
        """Nothing has run: old tensors are as before, new ones hold no numbers."""
        for place, value in self.kept.values():
            place.copy_(value)
        for pointer, place in self.made.items():
            if pointer not in self.kept:
                place.fill_(0xFF)

    def replay(self):
        made = {}

        def current(value):
            return made.get(id(value), value)

        for func, args, kwargs, found in self.operations:
            again = func(*tree_map(current, args), **tree_map(current, kwargs))
            made |= zip(map(id, tree_leaves(found)), tree_leaves(again), strict=True)


class Stream:
    """Order is that of the host; only which one is current matters."""

    def __init__(self, device=None):
        self.device = torch.device(DEVICE) if device is None else device

    def wait_stream(self, other):
        pass


class Device:
    """What torch.cuda is asked for."""

    def __init__(self):
        self.computes, self.main = Computes(), Stream()
        self.stream = self.main
        self.captures, self.released = 0, []

    def set_stream(self, stream):
        self.stream = stream

    def set_sync_debug_mode(self, mode):
        self.computes.sync_mode = 0 if mode in (0, "default") else 1

    def capture_begin(self, graph):
        assert self.computes.tape is None
        self.computes.tape, graph.stream = graph.tape, self.stream

    def capture_end(self, graph):
        assert self.stream is graph.stream, "Capture must end on the same stream it began on."
        self.computes.tape = None
        graph.tape.end()
        if graph.tape.broken:
            raise RuntimeError("CUDA error: operation failed due to a previous error in capture")
        self.captures += 1


@contextmanager
def stand_in(monkeypatch):
    """Within, the device of that name is there, and the one that torch.cuda speaks of."""
    device = Device()

    class Graph:
        def __init__(self):
            self.tape = Tape()

        def capture_begin(self, *_, **__):
            device.capture_begin(self)

        def capture_end(self):
            device.capture_end(self)

        def replay(self):
            assert device.computes.tape is None
            self.tape.replay()

    for name, value in {
        "Stream": Stream,
        "CUDAGraph": Graph,
        "graph_pool_handle": object,
        "current_stream": lambda _=None: device.stream,
        "default_stream": lambda _=None: device.main,
        "set_stream": device.set_stream,
        "synchronize": lambda *_: None,
        "empty_cache": lambda: None,
        "is_available": lambda: True,
        "get_sync_debug_mode": lambda: device.computes.sync_mode,
        "set_sync_debug_mode": device.set_sync_debug_mode,
        "_get_device_index": lambda *_: 0,
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    for name, value in {
        "_host_emptyCache": lambda: None,
        "_cuda_endAllocateToPool": lambda *_: device.released.append(True),
    }.items():
        monkeypatch.setattr(torch._C, name, value, raising=False)
    monkeypatch.setattr(graphs, "BROKEN", [])
    for module, name in CACHES:  # what tests have kept of the true "meta" stays there
        kept = getattr(module, name)
        monkeypatch.setattr(module, name, cache(kept.__wrapped__))
    with device.computes, Moves():
        yield device
