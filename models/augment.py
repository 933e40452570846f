"""Changes to training batches: mixup, and blanking of inputs. All randomness is torch's own generator.

That is seeded anew for each epoch from (seed, epoch), as for dropout, so that a resumed fit is the same fit.
"""

from __future__ import annotations

import torch
from torch import Tensor, distributions

from data.batch import SequenceBatch
from data.schema import InputSchema
from data.transfer import sent
from models.settings import Fit


def augmented(batch: SequenceBatch, schema: InputSchema, fit: Fit) -> SequenceBatch:
    """The batch with what `fit` asks for; the same object where that is nothing."""
    if fit.mixup > 0 and fit.mixup_share > 0:
        batch = mixed(batch, fit.mixup, fit.mixup_share)
    if fit.mask_covariates > 0:
        batch = masked(batch, schema, fit.mask_covariates)
    return batch


def mixed(batch: SequenceBatch, alpha: float, share: float = 1.0) -> SequenceBatch:
    """Mixup (Zhang et al. 2018, "mixup: Beyond Empirical Risk Minimization"): m a + (1 - m) b.

    Each window a meets another one b of the batch by a random order and is mixed with it if both have the
    same length and origin, with the chance `share`; m = max(u, 1 - u), u ~ Beta(alpha, alpha), so that a
    outweighs b and keeps what cannot be mixed: categories, series and time. Real inputs, static reals, scaled
    target, location and scale are mixed; a row has a weight, the mixed one, where it has one in both, and a
    row of the past counts where it does in both.
    """
    windows = len(batch.length)
    order = torch.randperm(windows)
    beta = distributions.Beta(alpha, alpha, validate_args=False)
    drawn = beta.sample((windows,))  # type: ignore[no-untyped-call]
    chosen = torch.rand(windows) < share
    order, drawn, chosen = (sent(part, batch.real.device) for part in (order, drawn, chosen))
    alike = (batch.length[order] == batch.length) & (batch.origin[order] == batch.origin)
    own = torch.where(chosen & alike, torch.maximum(drawn, 1.0 - drawn), 1.0)

    def blend(value: Tensor) -> Tensor:
        part = own.to(value.dtype).view(-1, *(1,) * (value.dim() - 1))
        # Not part * value + ...: a window that is not mixed stays as it was, bit for bit.
        return torch.where(part < 1.0, part * value + (1.0 - part) * value[order], value)

    both = (batch.weight > 0) & (batch.weight[order] > 0)
    weight = torch.where((own == 1.0)[:, None] | both, blend(batch.weight), 0.0)
    counted = batch.counted
    if counted is not None:
        counted = counted & ((own == 1.0)[:, None] | counted[order])
    return batch._replace(
        real=blend(batch.real),
        static_real=blend(batch.static_real),
        location=blend(batch.location),
        scale=blend(batch.scale),
        target=None if batch.target is None else blend(batch.target),
        weight=weight,
        counted=counted,
    )


def masked(batch: SequenceBatch, schema: InputSchema, chance: float) -> SequenceBatch:
    """Each known real column of each window is 0 in all rows with this chance; so is its static metadata.

    0 is the mean of a real input and the code of an unknown category. Past columns stay: they are blanked
    from the origin on anyway.
    """
    windows, columns = len(batch.length), schema.reals("known")
    kept_column = torch.rand(windows, len(columns)) >= chance
    kept_static = torch.rand(windows, 1) >= chance
    kept = torch.ones(windows, 1, batch.real.shape[2], dtype=torch.bool)
    kept[:, 0, columns] = kept_column
    kept, kept_static = sent(kept, batch.real.device), sent(kept_static, batch.real.device)
    return batch._replace(
        real=batch.real * kept,
        static_real=batch.static_real * kept_static,
        static_category=batch.static_category * kept_static,
    )
