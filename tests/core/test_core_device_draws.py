"""Who draws on a CUDA device: a kernel, as compiled and as launched, or torch's operators."""

import re
import struct
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import chain, product
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from core_draw_cases import some_rows
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from hzbench.core import device_draws, streams
from hzbench.core.device_draws import Draw, kernel, proved
from hzbench.core.inverse_normal import Q_TAIL, REST, REST_TAIL, Q
from hzbench.core.streams import Rows
from hzbench.harness.store import source_closure

TILES = {what: (1, 4, 16) if what == Draw.SIGNS else (1, 8, 128) for what in Draw}
VARIANTS = [(sm, what, wide) for sm, what in product((80, 90), Draw) for wide in TILES[what]]
MULTIPLIERS = {0xD2511F53, 0xCD9E8D57}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """A variant of the kernel for a device that need not be there."""
    triton = pytest.importorskip("triton", reason="no triton: its wheels are for Linux on x86-64")
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from hzbench.core.philox_triton import OPTIONS, fill

    def found(sm, what, wide, first="i32"):
        real = "*fp64" if what in (Draw.SIGNS, Draw.NORMALS) else "*i64"
        shape = {"WHAT": what.value, "ROWS": TILES[what][-1] // wide, "BLOCKS": wide}
        kinds = dict.fromkeys(fill.arg_names, "i32") | {"first": first, "out": real}
        kinds |= dict.fromkeys(("keys", "node", "step", "high"), "*i64")
        kinds |= dict.fromkeys(shape, "constexpr")
        source = ASTSource(fn=fill, signature=kinds, constexprs=shape)
        return triton.compile(source, target=GPUTarget("cuda", sm, 32), options=OPTIONS).asm

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_CACHE_DIR", str(tmp_path_factory.mktemp("triton")))
        yield found


def operations(ptx):
    """Every instruction with what it reads, constants in the place of registers that hold them."""
    found = re.findall(r"^\s+(?:@%\w+ )?([a-z][\w.]*)\s+%\w+, ([^;{]+);", ptx, re.MULTILINE)
    kept = dict(re.findall(r"\smov\.\w+\s+(%\w+), (-?\d\w*);", ptx))
    return [(name, [kept.get(each, each) for each in reads.split(", ")]) for name, reads in found]


def products(ptx):
    """How often a multiplier of Philox makes a product with a high half."""
    wide = {"mul.hi.u32", "mul.lo.s64", "mul.wide.u32"}
    read = chain.from_iterable(reads for name, reads in operations(ptx) if name in wide)
    words = Counter(int(each, 0) % 2**32 for each in read if not each.startswith("%"))
    return {word: words[word] for word in MULTIPLIERS}


def as_written(number):
    """A double as PTX writes it."""
    return f"0d{struct.pack('>d', number).hex().upper()}"


@pytest.mark.parametrize(("sm", "what", "wide"), VARIANTS)
def test_every_variant_compiles_to_one_philox_a_thread_in_registers(
    compiled, tmp_path, sm, what, wide
):
    asm = compiled(sm, what, wide)
    assert products(asm["ptx"]) == dict.fromkeys(MULTIPLIERS, 10)
    assert ".local" not in asm["ptx"]
    strides = [stride for stride in offsets(asm["ttir"]).values() if stride]
    assert len(strides) == 4 + (what == Draw.INTEGERS)
    assert all(re.search(r"arith\.muli .*i64", step) for step in chain(*strides)), strides
    usage = resources(asm["cubin"], tmp_path)
    assert (usage["STACK"], usage["LOCAL"]) == (0, 0)
    assert usage["REG"] <= 128


def offsets(ttir):
    """Whatever is added to each pointer that is given, as it is written there."""
    steps = dict(re.findall(r"^\s+(%\w+) = (.+)$", ttir, re.MULTILINE))
    whole = dict(re.findall(r"(%\w+) = tt\.splat (%\w+)", ttir))
    added = [(whole.get(to, to), by) for to, by in re.findall(r"tt\.addptr (%\w+), (%\w+)", ttir)]
    pointers = re.findall(r"(%\w+): !tt\.ptr", ttir)
    return {at: [steps[by] for to, by in added if to == at] for at in pointers}


def resources(cubin, folder):
    """Registers and bytes that the machine code takes, a thread."""
    tool = Path(find_spec("triton").origin).parent / "backends/nvidia/bin/cuobjdump"
    (folder / "kernel.cubin").write_bytes(cubin)
    told = subprocess.run(
        [tool, "-res-usage", folder / "kernel.cubin"], capture_output=True, text=True, check=True
    ).stdout
    return {name: int(number) for name, number in re.findall(r"(\w+):(\d+)", told)}


def test_normals_are_rounded_after_every_operation(compiled):
    """No product is fused with a sum but within the logarithm, which the library brings."""
    steps = operations(compiled(90, Draw.NORMALS, 128)["ptx"])
    for number in {*REST, *Q, *REST_TAIL, *Q_TAIL} - {1.0}:
        either = {as_written(number), as_written(-number)}
        used = [name for name, reads in steps if either & {*reads} and "mov" not in name]
        assert len(used) == 4  # the words of a counter
        assert set(used) <= {"mul.rn.f64", "add.rn.f64", "sub.rn.f64"}
    real = Counter(name for name, _ in steps if re.match(r"(div|sqrt|mul|add|sub)\S*f64", name))
    assert real["div.rn.f64"] == 8
    assert real["sqrt.rn.f64"] == 4
    assert all(".rn." in name for name in real)


def test_a_counter_may_begin_beyond_31_bits(compiled):
    ptx = compiled(90, Draw.WORDS, 8, first="i64")["ptx"]
    assert products(ptx) == dict.fromkeys(MULTIPLIERS, 10)


@pytest.fixture
def on_cuda(monkeypatch):
    """Rows that say they lie on a device, on a machine that says it has one."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(device_draws, "find_spec", bool)
    proved.cache_clear()
    yield SimpleNamespace(node=SimpleNamespace(device=torch.device("cuda", 0)))
    proved.cache_clear()


def found(answer):
    """A proof that raises its answer, or gives it."""

    def mistake(draw, device):
        if isinstance(answer, Exception):
            raise answer
        return answer

    return mistake


@pytest.mark.parametrize("answer", ["wrong words", OSError("no C compiler")])
def test_what_is_not_proved_is_told_once_and_not_taken(on_cuda, monkeypatch, answer):
    pytest.importorskip("triton")
    monkeypatch.setattr(device_draws, "mistake", found(answer))
    with pytest.warns(RuntimeWarning, match=rf"got .*{answer}.* on cuda:0; exp.*; do ") as told:
        assert [kernel(on_cuda), kernel(on_cuda)] == [None, None]
    assert len(told) == 1


def test_what_is_proved_is_taken(on_cuda, monkeypatch):
    pytest.importorskip("triton")
    monkeypatch.setattr(device_draws, "mistake", found(""))
    from hzbench.core.philox_triton import draw

    assert kernel(on_cuda) is draw


@pytest.mark.parametrize("lacking", ["triton", "device"])
def test_without_triton_or_a_device_operators_draw_and_nothing_is_told(
    on_cuda, monkeypatch, lacking
):
    if lacking == "triton":
        monkeypatch.setattr(device_draws, "find_spec", {}.get)
    else:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert kernel(on_cuda) is None


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_other_devices_are_not_asked(device):
    rows = some_rows()
    assert kernel(Rows(**{name: value.to(device) for name, value in vars(rows).items()})) is None


@pytest.fixture
def launched(monkeypatch):
    """What the kernel would be launched with, and on whose device: nothing is."""
    pytest.importorskip("triton")
    from hzbench.core import philox_triton

    chosen = [None]

    @contextmanager
    def device_of(tensor):
        chosen.append(tensor)
        yield
        chosen.pop()

    class Launches(list):
        def __getitem__(self, grid):
            return lambda *args, **options: self.append((args, options, chosen[-1]))

    found = Launches()
    found.kernel = philox_triton.fill
    monkeypatch.setattr(philox_triton, "fill", found)
    monkeypatch.setattr(torch.cuda, "device_of", device_of)
    monkeypatch.setattr(streams, "kernel", lambda _: philox_triton.draw)
    return found


COUNT = 1024
DRAWS = {
    "words": lambda rows: streams.words(rows, 1, COUNT),
    "signs": lambda rows: streams.signs(rows, 1, COUNT),
    "normals": lambda rows: streams.normals(rows, 1, COUNT),
    "integers": lambda rows: streams.integers(rows, 1, rows.node + 1, COUNT),
}


def rows_of_a_round(step, size=1000):
    """Rows that know their step as a number on a device of which no number can be read."""
    row = torch.arange(size, device="meta")
    keys = torch.zeros(size, 2, dtype=torch.int64, device="meta")
    return Rows(keys=keys, replica=row, node=row, step=step.expand(size))


@pytest.mark.parametrize("name", DRAWS)
def test_a_draw_is_one_launch_that_asks_the_host_nothing(launched, name):
    step = torch.empty((), dtype=torch.int64, device="meta")
    DRAWS[name](rows_of_a_round(step))
    [(arguments, _, chosen)] = launched
    _, _, read, _, out, *numbers = arguments
    assert read._base is step
    assert out.is_contiguous()
    assert chosen is out
    assert all(type(number) is int for number in numbers)


@pytest.mark.parametrize("name", DRAWS)
def test_what_is_launched_was_compiled_whatever_the_numbers_and_addresses(launched, name):
    """Triton's own variants are of numbers that are 1 or divide by 16, and of addresses that do."""
    from hzbench.core.philox_triton import OPTIONS

    DRAWS[name](some_rows())
    [(arguments, options, _)] = launched
    shape = {key: options[key] for key in ("WHAT", "ROWS", "BLOCKS")}
    assert options == shape | OPTIONS
    key = variant(launched.kernel, arguments, options)
    for place, given in enumerate(arguments):
        for other in others(given):
            changed = (*arguments[:place], other, *arguments[place + 1 :])
            assert variant(launched.kernel, changed, options) == key


def variant(fill, arguments, options):
    """What Triton looks up before a launch, and compiles where it finds nothing."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler.compiler import make_backend
    from triton.runtime.jit import create_function_from_signature

    backend = make_backend(GPUTarget("cuda", 90, 32))
    bind = create_function_from_signature(fill.signature, fill.params, backend)
    _, specialization, rest = bind(*arguments, **options)
    return str(specialization), str(rest)


def others(given):
    """Values that are as good: of a number, or a tensor at another address."""
    if isinstance(given, int):
        return (0, 1, 16, 17, 2**31 - 1)
    words = given.new_empty(4)
    return [words[place:] for place in range(3)]


class Traffic(TorchDispatchMode):
    """Counts what torch's operators launch, and the bytes that they read and write."""

    def __init__(self):
        super().__init__()
        self.launches = self.bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if not func.is_view and name not in ("empty", "_unsafe_view"):
            given = args[1:] if name == "copy_" else args
            arrays = [a for a in tree_leaves((given, found)) if isinstance(a, torch.Tensor)]
            self.launches += 1
            self.bytes += sum(a.numel() * a.element_size() for a in arrays)
        return found


LEAST = {"words": (170, 550), "signs": (180, 28), "normals": (245, 1950), "integers": (170, 580)}
"""Launches, and bytes a value, of torch's operators: what docs/profile.md rounds."""


@pytest.mark.parametrize("name", DRAWS)
def test_operators_move_what_the_kernel_is_there_for(name):
    """The kernel writes 8 bytes a value, by one launch."""
    with Traffic() as traffic:
        drawn = DRAWS[name](rows_of_a_round(torch.empty((), dtype=torch.int64, device="meta")))
    launches, moved = LEAST[name]
    assert launches <= traffic.launches <= 1.1 * launches
    assert moved <= traffic.bytes / drawn.numel() <= 1.1 * moved


def test_a_stored_run_is_named_by_the_kernel_too():
    closure = source_closure({"hzbench.core.streams"})
    assert {"hzbench.core.device_draws", "hzbench.core.philox_triton"} <= closure


def test_a_run_on_the_cpu_loads_no_triton():
    code = (
        "import sys\n"
        "from hzbench.core.spec import Spec\n"
        "from hzbench.harness.simulate import simulate\n"
        "from hzbench.harness.store import run_digest\n"
        "nodes = {'count': 2, 'estimator': 'zeroth_order'}\n"
        "problem = {'name': 'quadratic', 'dimension': 2}\n"
        "spec = Spec.parse({'problem': problem, 'nodes': [nodes], 'run': {'steps': 2}})\n"
        "run_digest(spec, (), 'cpu'), simulate(spec, ('objective_gap',))\n"
        "print('torch' in sys.modules, 'triton' in sys.modules)\n"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "True False"
