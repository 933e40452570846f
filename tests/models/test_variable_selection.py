"""Variable selection: the batched form against one network after another, and where weights may go."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from benchmarks.variable_selection import PlainSelection
from models.layers.variable_selection import VariableEmbedding, VariableSelection, by_blocks
from models.static_state import GatedResidual
from tests.batches import perturb

VARIABLES, CONTEXT = 5, 3


def parts(embedded: int, width: int) -> tuple[VariableEmbedding, VariableSelection]:
    torch.manual_seed(0)
    embedding = VariableEmbedding(VARIABLES, (), embedded).double()
    selection = VariableSelection(VARIABLES, embedded, width, CONTEXT).double()
    perturb(embedding)
    perturb(selection)
    return embedding, selection


def rows(windows: int = 4, length: int = 6) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    real = torch.randn(windows, length, VARIABLES, generator=generator, dtype=torch.float64)
    context = torch.randn(windows, 1, CONTEXT, generator=generator, dtype=torch.float64)
    return real, torch.zeros(windows, length, 0, dtype=torch.int64), context


def test_gated_residual_with_context_is_the_paper_s() -> None:
    """Equations 2 to 5 of Lim et al. 2021 written out, for inputs of another width than the output."""
    torch.manual_seed(0)
    part = perturb(GatedResidual(4, inputs=6, hidden=5, context=3).double())
    assert isinstance(part, GatedResidual)
    assert part.context is not None
    assert part.skip is not None
    a, c = torch.randn(7, 6, dtype=torch.float64), torch.randn(7, 3, dtype=torch.float64)
    first = a @ part.first.weight.T + part.first.bias + c @ part.context.weight.T
    eta_2 = torch.where(first > 0, first, first.exp() - 1)
    eta_1 = eta_2 @ part.second.weight.T + part.second.bias
    gate = eta_1 @ part.gate.weight.T + part.gate.bias
    added = a @ part.skip.weight.T + part.skip.bias + gate[:, :4] / (1 + (-gate[:, 4:]).exp())
    centred = added - added.mean(1, keepdim=True)
    normed = centred / (centred.pow(2).mean(1, keepdim=True) + part.norm.eps).sqrt()
    torch.testing.assert_close(part(a, c), normed * part.norm.weight + part.norm.bias)


@pytest.mark.parametrize(("embedded", "width"), [(4, 7), (6, 6)])
def test_all_variables_at_once_equal_one_after_another(embedded: int, width: int) -> None:
    """Values, weights, gradients; narrow embeddings with a projection, and the paper's wide ones."""
    embedding, selection = parts(embedded, width)
    plain = PlainSelection(embedding, selection).double()
    real, code, context = rows()
    expected, expected_weight = plain(real, context)
    output, weight = selection(embedding(real, code), context)
    assert (selection.project is None) == (embedded == width)
    torch.testing.assert_close(output, expected)
    torch.testing.assert_close(weight, expected_weight)
    assert selection.choose is not None
    of_choice = list(selection.choose.parameters())
    found = torch.autograd.grad(output.square().sum(), [embedding.weight, *of_choice])
    slow = torch.autograd.grad(
        expected.square().sum(), [*(linear.weight for linear in plain.embed), *of_choice]
    )
    torch.testing.assert_close(found[0], torch.cat(slow[:VARIABLES], dim=1).T)
    torch.testing.assert_close(found[1:], slow[VARIABLES:])


def test_weights_sum_to_one_and_leave_out_what_is_blanked() -> None:
    embedding, selection = parts(4, 7)
    real, code, context = rows()
    shown = torch.rand(4, 6, VARIABLES, generator=torch.Generator().manual_seed(0)) < 0.6
    shown[..., 2] = True
    output, weight = selection(embedding(real, code), context, shown)
    torch.testing.assert_close(weight.sum(-1), torch.ones(4, 6, dtype=torch.float64))
    assert (weight[~shown] == 0).all()
    assert (weight[shown] > 0).all()
    only = torch.zeros(VARIABLES, dtype=torch.bool)
    only[2] = True
    alone, weight = selection(embedding(real, code), context, only)
    assert (weight[..., 2] == 1).all()
    other = real.clone()
    other[..., 3] += 1.0  # changes the scores, but not what has no weight
    torch.testing.assert_close(selection(embedding(other, code), context, only)[0], alone)
    assert not torch.allclose(alone, output)


def test_the_only_variable_has_all_the_weight() -> None:
    selection = VariableSelection(1, 4, 6)
    output, weight = selection(torch.randn(1, 4, 2, 3))
    assert selection.choose is None
    assert output.shape == (2, 3, 6)
    assert (weight == 1).all()


def test_blocks_of_windows_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    embedding, selection = parts(4, 7)
    real, code, context = rows(windows=7)
    sizes = []

    def select(
        real: Tensor, code: Tensor, context: Tensor | None, shown: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        sizes.append(len(real))
        output, weight = selection(embedding(real, code), context, shown)
        return output, weight

    whole = by_blocks(select, 4 * VARIABLES, real, code, context, None)
    monkeypatch.setattr("models.layers.variable_selection.VALUES_AT_ONCE", 2 * real.shape[1] * 4 * VARIABLES)
    blocks = by_blocks(select, 4 * VARIABLES, real, code, context, None)
    assert sizes == [7, 2, 2, 2, 1]
    torch.testing.assert_close(blocks, whole)


def test_embedding_of_reals_and_categories() -> None:
    """A category's code looks up its own column's table; code 0 starts at zero; columns may be chosen."""
    embedding = VariableEmbedding(2, (3, 4), 5)
    real = torch.randn(2, 6, 2)
    code = torch.stack([torch.randint(0, 3, (2, 6)), torch.randint(0, 4, (2, 6))], dim=-1)
    embedded = embedding(real, code)
    assert embedded.shape == (4, 5, 2, 6)
    assert embedding.table is not None
    for window in range(2):
        for row in range(6):
            for column in range(2):
                expected = real[window, row, column] * embedding.weight[column] + embedding.bias[column]
                torch.testing.assert_close(embedded[column, :, window, row], expected)
                looked_up = embedding.table.weight[3 * column + code[window, row, column]]
                torch.testing.assert_close(embedded[2 + column, :, window, row], looked_up)
    assert (embedding(real, torch.zeros_like(code))[2:] == 0).all()
    chosen = embedding(real, code, reals=[1], codes=[1])
    torch.testing.assert_close(chosen, embedded[[1, 3]])
    torch.testing.assert_close(embedding(real, code, reals=[], codes=[0]), embedded[2:3])
