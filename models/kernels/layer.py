"""A kernel's two passes as one differentiable step."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd import Function


class Passes(Protocol):
    """What a kernel has: a module, or an object of one."""

    @property
    def forward(self) -> Callable[..., tuple[Any, ...]]:
        """(*arguments, keep) -> (*results, kept): with `keep` what the backward pass reads, else None."""

    @property
    def backward(self) -> Callable[..., Iterable[Tensor | None]]:
        """(kept, *gradients of the results, *weights) -> gradients of the arguments, in their order."""


def run_passes(passes: Passes, weights_from: int, *arguments: Tensor) -> tuple[Tensor, ...]:
    """The results of `arguments`, of which those from place `weights_from` on go to the backward pass."""
    if not torch.is_grad_enabled():
        return tuple(passes.forward(*arguments, keep=False)[:-1])
    results: tuple[Tensor, ...] = Layer.apply(passes, weights_from, *arguments)  # type: ignore[no-untyped-call]
    return results


class Layer(Function):
    """Differentiable once.

    The output is a view of what the backward pass reads; autograd refuses to change such a view in place.
    """

    @staticmethod
    def forward(ctx: Any, passes: Passes, weights_from: int, *arguments: Tensor) -> tuple[Tensor, ...]:
        *results, kept = passes.forward(*arguments, keep=any(ctx.needs_input_grad))
        ctx.passes, ctx.kept = passes, kept
        ctx.save_for_backward(*arguments[weights_from:])
        return tuple(results)

    @staticmethod
    def backward(ctx: Any, *d_results: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():  # create_graph: what is done here leaves no trace that could be followed
            raise RuntimeError(
                "a fast layer is differentiable once; pLSTM with kernel=reference any number of times"
            )
        if ctx.kept is None:
            raise RuntimeError(
                "the layer's activations are overwritten by its backward pass, which runs once"
            )
        kept, ctx.kept = ctx.kept, None
        gradients = ctx.passes.backward(kept, *d_results, *ctx.saved_tensors)
        needed = ctx.needs_input_grad[2:]
        return (
            None,
            None,
            *(gradient if wanted else None for gradient, wanted in zip(gradients, needed, strict=True)),
        )
