"""pLSTM's kernels: against the reference in float64, in every shape, with states, padding and directions."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from data.errors import InputError
from models.kernels import plstm as chooser
from models.kernels.plstm import KERNELS, choose_kernel, plstm
from models.mixers.base import make_mixer
from models.mixers.plstm import PLSTM

CPU = torch.device("cpu")
RUNNABLE = [
    name for name in ("torch", "numba", "triton") if not chooser._obstacle(name, "cpu", torch.float32)
]
NAMES = ("inputs", "hidden", "cell", "clock", "weight", "recurrent", "bias", "power")


def arguments(batch: int, rows: int, inputs: int, hidden: int, gates: int, seed: int = 0) -> list[Tensor]:
    """Of one layer, with a state that is not zero."""
    torch.manual_seed(seed)
    edge = hidden**-0.5
    return [
        torch.randn(batch, rows, inputs),
        0.5 * torch.randn(batch, hidden),
        torch.randn(batch, hidden),
        5.0 * torch.rand(batch, hidden) - 0.5,  # a clock between two rows is above -1, not 0
        torch.empty(gates * hidden, inputs).uniform_(-edge, edge),
        torch.empty(gates * hidden, hidden).uniform_(-edge, edge),
        torch.empty(gates * hidden).uniform_(-1.0, 1.0),
        torch.rand(hidden) * 0.98 + 0.01,
    ]


def passes(given: list[Tensor], kernel: str) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """The three results, and the gradients of a random sum of all of them."""
    return passes_of(given, partial(plstm, kernel=kernel))


def passes_of(
    given: list[Tensor], run: Callable[..., tuple[Tensor, ...]]
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """... of any function of the same arguments."""
    leaves = [tensor.clone().requires_grad_() for tensor in given]
    results = run(*leaves)
    generator = torch.Generator().manual_seed(1)
    total = sum(
        (result * torch.randn(result.shape, generator=generator).to(result.dtype)).sum() for result in results
    )
    return tuple(result.detach() for result in results), torch.autograd.grad(total, leaves)  # type: ignore[arg-type]


def relative(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


@pytest.mark.parametrize("gates", [3, 4])
@pytest.mark.parametrize(
    ("batch", "rows", "inputs", "hidden"),
    [(16, 80, 5, 32), (1, 7, 3, 5), (3, 1, 1, 1), (9, 13, 2, 17), (20, 30, 40, 48), (8, 512, 4, 16)],
)
@pytest.mark.parametrize("kernel", RUNNABLE)
def test_results_and_gradients_are_those_of_the_reference(
    kernel: str, batch: int, rows: int, inputs: int, hidden: int, gates: int
) -> None:
    """1e-5 relative up to 80 rows and 5e-4 at 512 is what is promised; it is far closer."""
    given = arguments(batch, rows, inputs, hidden, gates)
    results, gradients = passes(given, kernel)
    exact, expected = passes([tensor.double() for tensor in given], "reference")
    allowed = 1e-5 if rows <= 80 else 5e-4
    for found, wanted in zip(results, exact, strict=True):
        assert found.shape == wanted.shape
        assert relative(found, wanted) < allowed
    for name, found, wanted in zip(NAMES, gradients, expected, strict=True):
        assert found.shape == wanted.shape, name
        assert relative(found, wanted) < allowed, name


@pytest.mark.parametrize("gates", [3, 4])
def test_the_torch_kernel_is_exact_in_float64(gates: int) -> None:
    given = [tensor.double() for tensor in arguments(5, 60, 4, 9, gates)]
    (results, gradients), (exact, expected) = passes(given, "torch"), passes(given, "reference")
    for found, wanted in zip((*results, *gradients), (*exact, *expected), strict=True):
        assert relative(found, wanted) < 1e-13


@pytest.mark.parametrize("kernel", RUNNABLE)
@pytest.mark.parametrize("clock", [-0.999, 0.0, 1e-3, 3e4])
def test_any_clock_and_any_gate(kernel: str, clock: float) -> None:
    """A reset just now, long ago, and gates that are wide open or shut: finite, and the reference's."""
    given = arguments(4, 20, 3, 16, 3)
    given[3] = torch.full_like(given[3], clock)
    for bias in (-40.0, 40.0):
        given[6] = torch.full_like(given[6], bias)
        results, gradients = passes(given, kernel)
        exact, expected = passes([tensor.double() for tensor in given], "reference")
        for found, wanted in zip((*results, *gradients), (*exact, *expected), strict=True):
            assert found.isfinite().all()
            torch.testing.assert_close(found.double(), wanted, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kernel", RUNNABLE)
def test_inference_keeps_nothing_and_gives_the_same(kernel: str) -> None:
    given = arguments(11, 30, 4, 24, 3)
    kept, _ = passes(given, kernel)
    with torch.no_grad():
        for found, wanted in zip(plstm(*given, kernel=kernel), kept, strict=True):
            assert torch.equal(found, wanted)


@pytest.mark.parametrize("kernel", RUNNABLE)
def test_a_state_can_be_carried_on(kernel: str) -> None:
    """Two halves, the second from the state after the first, are the whole: there is no absolute time."""
    given = arguments(6, 40, 3, 20, 3)
    whole, cell, clock = plstm(*given, kernel=kernel)
    first = plstm(given[0][:, :17], *given[1:], kernel=kernel)
    second = plstm(given[0][:, 17:], first[0][:, -1], *first[1:], *given[4:], kernel=kernel)
    torch.testing.assert_close(torch.cat([first[0], second[0]], 1), whole)
    torch.testing.assert_close(second[1:], (cell, clock))


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("batch", [3, 16, 37])
def test_threads_change_nothing_but_the_order_of_sums(batch: int) -> None:
    """Only p's gradient is added up over threads; with the same number of them it is the same to the bit."""
    if "numba" not in RUNNABLE:
        pytest.skip("numba is not there")
    given = arguments(batch, 12, 3, 32, 3)
    found = {}
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        results, gradients = passes(given, "numba")
        again = passes(given, "numba")
        assert all(
            torch.equal(one, two) for one, two in zip((*results, *gradients), sum(again, ()), strict=True)
        )
        found[count] = (*results, *gradients[:-1])
        torch.testing.assert_close(gradients[-1], passes(given, "reference")[1][-1], rtol=1e-4, atol=1e-4)
    for count in (2, 3):
        assert all(torch.equal(one, two) for one, two in zip(found[1], found[count], strict=True))


@pytest.mark.parametrize("kernel", RUNNABLE)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_layers_with_padding_and_both_directions(kernel: str, bidirectional: bool) -> None:
    """A whole mixer: gradients of all its parameters, of the inputs and of the states."""
    length = torch.tensor([80, 33, 1, 64])
    settings = {"hidden": 16, "layers": 2, "bidirectional": bidirectional, "residual": True}
    used = torch.arange(80)[None, :, None] < length[:, None, None]

    def gradients(name: str, dtype: torch.dtype) -> list[Tensor]:
        torch.manual_seed(0)
        mixer = make_mixer({"name": "plstm", **settings, "kernel": name}, 6, "mixer").to(dtype)
        hidden = torch.randn(4, 80, 6).to(dtype).requires_grad_()
        state = [torch.randn(4, *shape).to(dtype).requires_grad_() for shape in mixer.state_shapes()]
        output = mixer(hidden, length, state)
        weight = torch.randn(output.shape, generator=torch.Generator().manual_seed(2)).to(dtype)
        return list(
            torch.autograd.grad((output * weight * used).sum(), [*mixer.parameters(), hidden, *state])
        )

    for found, wanted in zip(
        gradients(kernel, torch.float32), gradients("reference", torch.float64), strict=True
    ):
        assert relative(found, wanted) < 1e-5


@pytest.mark.parametrize("kernel", RUNNABLE)
def test_a_gradient_of_the_gradient_is_refused(kernel: str) -> None:
    """Of a penalty on the gradient, say: it must not come out as zero without a word."""
    given = [tensor.requires_grad_() for tensor in arguments(3, 5, 2, 4, 3)]
    loss = plstm(*given, kernel=kernel)[0].square().sum()
    with pytest.raises(RuntimeError, match="differentiable once; pLSTM with kernel=reference"):
        torch.autograd.grad(loss, given[0], create_graph=True)


@pytest.mark.parametrize("kernel", RUNNABLE)
def test_the_backward_pass_runs_once(kernel: str) -> None:
    given = [tensor.requires_grad_() for tensor in arguments(3, 5, 2, 4, 3)]
    loss = plstm(*given, kernel=kernel)[0].sum()
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="which runs once"):
        loss.backward()


@pytest.mark.parametrize("kernel", RUNNABLE)
def test_an_output_cannot_be_changed_in_place(kernel: str) -> None:
    """It is a view of what the backward pass reads."""
    given = [tensor.requires_grad_() for tensor in arguments(3, 5, 2, 4, 3)]
    with pytest.raises(RuntimeError, match="modified inplace"):
        plstm(*given, kernel=kernel)[0].mul_(2.0)


def test_the_kernel_is_chosen_and_said(caplog: pytest.LogCaptureFixture) -> None:
    chosen, _ = choose_kernel("auto", CPU, torch.float32)
    assert chosen == ("numba" if "numba" in RUNNABLE else "torch")
    assert choose_kernel("auto", CPU, torch.float64) == (
        "torch",
        "numba computes in float32, the tensors are float64",
    )
    with pytest.raises(InputError, match="kernel=triton: triton runs on cuda, the tensors are on cpu"):
        choose_kernel("triton", CPU, torch.float32)
    with pytest.raises(InputError, match="unknown kernel 'numbo'; did you mean 'numba'"):
        PLSTM(3, PLSTM.Config(kernel="numbo"))
    assert set(KERNELS) == {"auto", "reference", "torch", "numba", "triton"}
    chooser._say.cache_clear()
    with caplog.at_level("INFO"):
        plstm(*arguments(2, 2, 1, 2, 3))
    assert f"pLSTM runs by kernel {chosen}" in caplog.text


INTERPRETED = """
import torch
from models.kernels import gpu
from models.kernels.layer import Layer
from models.kernels.reference import plstm_reference
from tests.models.test_kernels import arguments, passes_of, relative
for gates in (3, 4):
    for shape in ((1, 7, 3, 5), (9, 30, 5, 32), (3, 100, 2, 16)):
        given = arguments(*shape, gates)
        found = passes_of(given, lambda *tensors: Layer.apply(gpu, 4, *tensors))
        wanted = passes_of([tensor.double() for tensor in given], plstm_reference)
        for one, two in zip(sum(found, ()), sum(wanted, ()), strict=True):
            assert relative(one, two) < 1e-5, (gates, shape)
"""


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed")
def test_the_gpu_s_kernels_in_triton_s_interpreter() -> None:
    """What a GPU would run, on the CPU; recording it as a graph is all that this leaves out."""
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    run = subprocess.run(
        [sys.executable, "-c", INTERPRETED], capture_output=True, text=True, timeout=300, env=environment
    )
    assert run.returncode == 0, run.stderr


KEPT_BUFFERS = """
import sys
from types import ModuleType
import torch
from models.kernels.layer import Layer  # torch looks at triton too, at its own
from tests.models.test_kernels import arguments, passes_of
class Launched:  # a kernel that does nothing: what is asked is whether the buffers can be written to
    def __init__(self, kernel):
        pass
    def __getitem__(self, grid):
        return lambda *arguments, **settings: None
triton, language = ModuleType("triton"), ModuleType("triton.language")
triton.jit, triton.cdiv, triton.language = Launched, lambda total, block: -(-total // block), language
language.constexpr = int
sys.modules.update({"triton": triton, "triton.language": language})
from models.kernels import gpu
given = arguments(3, 7, 2, 5, 3)
with torch.inference_mode():
    gpu.forward(*given, keep=False)
passes_of(given, lambda *tensors: Layer.apply(gpu, 4, *tensors))
with torch.no_grad():
    gpu.forward(*given, keep=False)
with torch.inference_mode():
    gpu.forward(*given, keep=False)
assert gpu._loops.cache_info().misses == 1
"""


def test_the_gpu_s_buffers_outlive_a_prediction() -> None:
    """What the first caller in inference mode makes, a fit of the same shape writes to."""
    run = subprocess.run([sys.executable, "-c", KEPT_BUFFERS], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr


WITHOUT_NUMBA = """
import sys
sys.modules["numba"] = None  # importing it fails
import torch
from models.kernels.plstm import choose_kernel, plstm
from models.mixers.base import make_mixer
name, reason = choose_kernel("auto", torch.device("cpu"), torch.float32)
assert name == "torch" and "numba cannot be imported" in reason, (name, reason)
mixer = make_mixer("plstm", 3, "mixer")
mixer(torch.randn(2, 5, 3), torch.tensor([5, 4])).sum().backward()
"""


def test_without_numba_plain_torch_runs() -> None:
    run = subprocess.run([sys.executable, "-c", WITHOUT_NUMBA], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr


def test_compiled_code_where_nothing_can_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from models.kernels import compiled

    (tmp_path / "file").write_text("")
    for place, kept in ((tmp_path / "file" / "below", False), (tmp_path / "free", True)):
        monkeypatch.setattr(compiled._config, "CACHE_DIR", str(place))
        compiled._folder.cache_clear()
        assert compiled.compiled(add_one)(1) == 2
        assert (compiled._folder() is not None) is kept
        assert bool(list(place.glob("numba-*/*/*.nbi"))) is kept
    compiled._folder.cache_clear()


def add_one(number: int) -> int:
    return number + 1


@pytest.mark.skipif("numba" not in RUNNABLE, reason="numba cannot run here")
def test_the_same_result_however_the_parts_are_shared_out(
    monkeypatch: pytest.MonkeyPatch, threads: None
) -> None:
    """One thread, torch's own, and threads of Python's where torch's runtime is not found."""
    from models.kernels import team

    given = arguments(40, 11, 5, 80, 3)
    torch.set_num_threads(1)
    alone = passes(given, "numba")
    torch.set_num_threads(3)
    together = passes(given, "numba")
    monkeypatch.setattr(team, "_openmp", lambda: None)
    pooled = passes(given, "numba")
    for found in (together, pooled):
        for name, one, two in zip(("h", "c", "D", *NAMES), sum(found, ()), sum(alone, ()), strict=True):
            if name == "power":  # its gradient is a sum over the parts
                assert relative(one, two) < 1e-5
            else:
                assert torch.equal(one, two), name
    assert torch.equal(together[1][-1], pooled[1][-1])


@pytest.mark.skipif("numba" not in RUNNABLE, reason="numba cannot run here")
@pytest.mark.skipif(sys.platform != "linux", reason="torch brings libgomp on Linux only")
def test_torch_s_own_threads_are_found() -> None:
    from models.kernels import team

    assert team._openmp() is not None


@pytest.mark.skipif("numba" not in RUNNABLE, reason="numba cannot run here")
def test_memory_is_taken_over_and_never_shared() -> None:
    """Two layers' activations live at once and are given back in either order; a third takes them over."""
    from models.kernels import buffers

    buffers._idle.clear()
    cases = [[one.requires_grad_() for one in arguments(4, 9, 3, 7, 3, seed)] for seed in range(3)]
    alone = [torch.autograd.grad(plstm(*case, kernel="numba")[0].sum(), case) for case in cases]
    held = {one.data_ptr() for one in buffers._idle}
    assert held
    for order in ((0, 1), (1, 0)):
        sums = [plstm(*case, kernel="numba")[0].sum() for case in cases[:2]]
        for number in order:
            found = torch.autograd.grad(sums[number], cases[number])
            plstm(*cases[2], kernel="numba")
            assert all(torch.equal(*pair) for pair in zip(found, alone[number], strict=True))
    assert held & {one.data_ptr() for one in buffers._idle}


def test_idle_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    from models.kernels import buffers

    buffers._idle.clear()
    monkeypatch.setattr(buffers, "LIMIT", 4 * 100)
    tensors = [buffers.take(3, 20) for _ in range(3)]
    buffers.give_back(*tensors)
    assert [one.data_ptr() for one in buffers._idle] == [tensors[2].data_ptr()]
    assert buffers.take(2, 10).data_ptr() != tensors[2].data_ptr(), "too large for so little"
    assert buffers.take(5, 10).data_ptr() == tensors[2].data_ptr()
    assert not buffers._idle


def test_importing_the_package_compiles_nothing() -> None:
    code = "import models.networks.power_law, sys; assert not {'numba', 'llvmlite'} & set(sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr


def test_settings_of_every_variant_are_stored() -> None:
    for config in PLSTM.variants():
        assert PLSTM.Config(**asdict(config)) == config
