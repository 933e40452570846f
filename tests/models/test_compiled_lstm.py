"""The LSTM by compiled loops: against torch's in float64, and where it stands in for nn.LSTM."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from models.kernels.lstm import compiled_loops_run, compiled_lstm
from models.mixers.fused_layer import run_recurrent
from models.mixers.softplus_lstm import softplus_recurrence

if not compiled_loops_run(torch.zeros(1)):
    pytest.skip("no loops can be compiled here", allow_module_level=True)

SHAPES = [(16, 80, 5, 32), (1, 7, 3, 5), (3, 1, 1, 1), (9, 13, 2, 17), (20, 30, 40, 48), (256, 20, 1, 6)]


def arguments(batch: int, rows: int, inputs: int, hidden: int) -> list[Tensor]:
    """Of one layer, float64, with a state that is not zero."""
    torch.manual_seed(0)
    shapes = (
        *((batch, rows, inputs), (batch, hidden), (batch, hidden)),
        *((4 * hidden, inputs), (4 * hidden, hidden), (4 * hidden,)),
    )
    scales = (1.0, 0.5, 1.0, hidden**-0.5, hidden**-0.5, 0.5)
    return [
        scale * torch.randn(shape, dtype=torch.float64) for scale, shape in zip(scales, shapes, strict=True)
    ]


def torch_lstm(
    inputs: Tensor, hidden: Tensor, cell: Tensor, weight: Tensor, recurrent: Tensor, bias: Tensor
) -> tuple[Tensor, ...]:
    weights = [weight, recurrent, bias, torch.zeros_like(bias)]
    output, _, last = torch.lstm(inputs, (hidden[None], cell[None]), weights, True, 1, 0.0, True, False, True)
    return output, last[0]


def torch_softplus(
    inputs: Tensor, hidden: Tensor, cell: Tensor, weight: Tensor, recurrent: Tensor, bias: Tensor
) -> tuple[Tensor, ...]:
    mapped = (inputs @ weight.T + bias).permute(1, 2, 0)
    return (softplus_recurrence(mapped, recurrent, hidden.T, cell.T).permute(2, 0, 1),)


def passes(run: object, given: list[Tensor], results: int, **more: str) -> list[Tensor]:
    """The results, and the gradients of a random sum of them."""
    leaves = [tensor.clone().requires_grad_() for tensor in given]
    found = run(*leaves, **more)[:results]  # type: ignore[operator]
    generator = torch.Generator().manual_seed(1)
    total = sum((one * torch.randn(one.shape, generator=generator).to(one.dtype)).sum() for one in found)
    return [*(one.detach() for one in found), *torch.autograd.grad(total, leaves)]  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("squash", ["tanh", "softplus"])
def test_results_and_gradients_are_torch_s(squash: str, shape: tuple[int, int, int, int]) -> None:
    given = arguments(*shape)
    exact, results = (torch_lstm, 2) if squash == "tanh" else (torch_softplus, 1)
    wanted = passes(exact, given, results)
    found = passes(compiled_lstm, [one.float() for one in given], results, squash=squash)
    for ours, theirs in zip(found, wanted, strict=True):
        assert ours.shape == theirs.shape
        assert float((ours - theirs).norm() / theirs.norm()) < 1e-5


@pytest.mark.parametrize("squash", ["tanh", "softplus"])
@pytest.mark.parametrize("bias", [-60.0, 60.0])
def test_gates_that_are_wide_open_or_shut(squash: str, bias: float) -> None:
    given = arguments(5, 20, 3, 16)
    given[5] = torch.full_like(given[5], bias)
    # No recurrence, or what is written into open softplus cells comes back and blows rounding errors up.
    given[4] = torch.zeros_like(given[4])
    exact, results = (torch_lstm, 2) if squash == "tanh" else (torch_softplus, 1)
    wanted = passes(exact, given, results)
    for ours, theirs in zip(
        passes(compiled_lstm, [one.float() for one in given], results, squash=squash), wanted, strict=True
    ):
        assert ours.isfinite().all()
        # Shut gates leave gradients of 1e-27.
        assert float((ours - theirs).norm()) < 1e-5 * float(theirs.norm()) + 1e-6


@pytest.mark.parametrize("squash", ["tanh", "softplus"])
def test_nan_is_seen(squash: str) -> None:
    given = [one.float() for one in arguments(5, 6, 3, 8)]
    given[0][2, 3, 1] = torch.nan
    output, last = compiled_lstm(*given, squash=squash)
    assert output[2, 3:].isnan().all()
    assert last[2].isnan().all()
    assert output[:, :3].isfinite().all()
    assert output[[0, 1, 3, 4]].isfinite().all()


def test_inference_gives_the_same() -> None:
    given = [one.float() for one in arguments(11, 30, 4, 24)]
    with torch.no_grad():
        alone = compiled_lstm(*given)
    for found, wanted in zip(alone, passes(compiled_lstm, given, 2), strict=False):
        assert torch.equal(found, wanted)


@pytest.mark.usefixtures("threads")
def test_the_same_with_any_number_of_threads() -> None:
    found = []
    for count in (1, 3):
        torch.set_num_threads(count)
        found.append(passes(compiled_lstm, [one.float() for one in arguments(40, 12, 6, 20)], 2))
    assert all(torch.equal(*pair) for pair in zip(*found, strict=True))


def test_a_gradient_of_the_gradient_is_refused() -> None:
    given = [one.float().requires_grad_() for one in arguments(3, 5, 2, 4)]
    loss = compiled_lstm(*given)[0].square().sum()
    with pytest.raises(RuntimeError, match="differentiable once"):
        torch.autograd.grad(loss, given[0], create_graph=True)


def test_where_it_runs() -> None:
    assert compiled_loops_run(torch.zeros(1), torch.zeros(1))
    assert not compiled_loops_run(torch.zeros(1), torch.zeros(1).double())
    assert not compiled_loops_run(torch.zeros(1, device="meta"))
    with torch.autocast("cpu", torch.bfloat16):
        assert not compiled_loops_run(torch.zeros(1))


@pytest.mark.parametrize("even", [True, False])
@pytest.mark.parametrize("bidirectional", [True, False])
def test_a_fused_module_of_several_layers(bidirectional: bool, even: bool) -> None:
    """With all of the dropout between layers, so that leaving it out would show."""
    torch.manual_seed(0)
    for dropout in (0.0, 1.0):
        block = nn.LSTM(4, 5, 3, batch_first=True, bidirectional=bidirectional, dropout=dropout)
        length = torch.full((3,), 9) if even else torch.tensor([9, 2, 6])
        hidden = torch.randn(3, 9, 4)
        state = [torch.randn(6 if bidirectional else 3, 3, 5) for _ in range(2)]
        ours = run_recurrent(block, hidden, length, state, even or not bidirectional)
        theirs = run_recurrent(block, hidden, length, state, even=False, packed=True)
        used = torch.arange(9)[None, :, None] < length[:, None, None]
        torch.testing.assert_close(ours * used, theirs * used)
        gradients = [
            torch.autograd.grad((one * used).square().sum(), list(block.parameters()), allow_unused=True)
            for one in (ours, theirs)
        ]
        for found, wanted in zip(*gradients, strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
