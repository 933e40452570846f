"""A fitted network, measured and left as it was found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import nn

from models.forecaster import Forecaster
from models.network import Network


def network_of(model: Forecaster | Network) -> Network:
    """The network of a forecaster, or the network itself."""
    return model.network if isinstance(model, Forecaster) else model


@contextmanager
def at_rest(model: nn.Module, gradient: bool = False) -> Iterator[None]:
    """In evaluation mode (no dropout), its parameters constants; afterwards as before, module by module.

    gradient: derivatives with respect to inputs can be taken, even where the caller is in inference mode.
    """
    training = [(module, module.training) for module in model.modules()]
    learning = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.set_grad_enabled(gradient))
        if gradient and any(parameter.is_cuda for parameter, _ in learning):
            # cuDNN has no backward pass of recurrent layers in evaluation mode; PyTorch's own kernels have.
            stack.enter_context(torch.backends.cudnn.flags(enabled=False))
        try:
            model.eval()
            for parameter, _ in learning:
                parameter.requires_grad_(False)
            yield
        finally:
            for module, was in training:
                module.training = was
            for parameter, was in learning:
                parameter.requires_grad_(was)
