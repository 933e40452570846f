"""Whether a fit's head, loss and options go together, before any data is read."""

from __future__ import annotations

from data.errors import InputError
from models.heads import HEADS, head_config, refuse_mixup, refuse_transform, resolved_head
from models.losses import check_loss
from models.network import Network
from models.settings import Fit


def check_fit(fit: Fit, network: type[Network], transform: str, quantiles: bool, prefix: str = "fit") -> None:
    """InputError for what does not fit the network, the target's transform, or one another.

    quantiles: whether some are asked for. prefix: the key of these settings, fit or member.<name>.fit.
    """
    name = resolved_head(fit.head, network.default_head, quantiles)
    head = HEADS.get(name, f"{prefix}.head")
    head_config(head, fit.head_settings, f"{prefix}.head_settings")
    refuse_transform(head, transform, prefix)
    refuse_mixup(head, fit.mixup, prefix)
    check_loss(fit.loss, head, name, f"{prefix}.loss")
    if name == "quantile" and not quantiles:
        raise InputError(f"{prefix}.head=quantile needs competition.quantiles, as [0.1, 0.5, 0.9]")
