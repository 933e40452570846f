"""Probes one by one: layouts, chance lines by other means, and what must give no answer away."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np
import pytest
import torch
from torch import Tensor

from data.batch import SequenceBatch
from data.errors import InputError
from data.probes.adding import Adding
from data.probes.agreement import Agreement
from data.probes.base import Probe, make_probe
from data.probes.characters import Characters, alphabet, coded, ngram, texts
from data.probes.copy import Copy
from data.probes.drawing import drawn, number
from data.probes.ends import FIRST, LAST, blinding, change, ends_used
from data.probes.first_plus_last import FUNCTIONS, FirstPlusLast
from data.probes.first_token import FirstToken
from data.probes.grammar import CLOSE, GRAMMAR, OPEN, SHORTEST, STATES, WORDS, draw_clauses
from data.probes.judged import Measured, Scores, summarise
from data.probes.ngram import NGram
from data.probes.parts import PARTS, generator, generator_seed
from data.probes.permuted_pixels import PermutedPixels
from data.probes.seasonal_lag import SeasonalLag
from data.probes.selective_copy import SelectiveCopy
from data.probes.sequential_pixels import SequentialPixels, images
from data.probes.temporal_order import TemporalOrder

MANY = 20_000


def answers(batch: SequenceBatch) -> Tensor:
    assert batch.target is not None
    return batch.target[..., 0][batch.asked]


def constant(batch: SequenceBatch, value: float) -> Tensor:
    return torch.full((*batch.weight.shape, 1), value)


class TestParts:
    def test_no_seed_of_one_part_is_one_of_another(self) -> None:
        seeds = {part: {generator_seed(part, "x", 5, step) for step in range(2000)} for part in PARTS}
        for one, other in itertools.combinations(PARTS, 2):
            assert not seeds[one] & seeds[other]
        ranges = sorted((min(found), max(found)) for found in seeds.values())
        assert all(high < low for (_, high), (low, _) in itertools.pairwise(ranges))

    def test_they_differ_in_the_bits_that_torch_looks_at(self) -> None:
        """A CPU generator takes the low 32 bits: parts told apart by higher ones would be the same."""
        low = torch.Generator().manual_seed(5)
        high = torch.Generator().manual_seed(5 + 2**32)
        assert torch.equal(torch.rand(4, generator=low), torch.rand(4, generator=high))
        assert all(generator_seed(part, "adding", 1, 2) < 2**32 for part in PARTS)

    def test_same_tags_same_numbers(self) -> None:
        one, same, other = (torch.rand(4, generator=generator("test", "x", tag)) for tag in (1, 1, 2))
        assert torch.equal(one, same)
        assert not torch.equal(one, other)
        assert generator_seed("test", "a", 12) != generator_seed("test", "a1", 2)

    def test_training_and_test_windows_share_nothing(self) -> None:
        probe = Adding()
        train = torch.cat([probe.training_batch(30, 64, 0, step).real[:, 0, 0] for step in range(20)])
        test = torch.cat(
            [probe.test_batch(30, 64, 0).real[:, 0, 0], probe.validation_batch(30, 64, 0).real[:, 0, 0]]
        )
        assert not set(train.tolist()) & set(test.tolist())


class TestFirstPlusLast:
    def test_target(self) -> None:
        for name, function in {"identity": lambda x: x, "square": np.square, "sine": np.sin}.items():
            batch = make_probe({"name": "first_plus_last", "function": name}).test_batch(9, 50, 0)
            x = batch.real[..., 0].numpy()
            np.testing.assert_allclose(answers(batch), function(x[:, 0]) + function(x[:, -1]), rtol=1e-5)

    @pytest.mark.parametrize("name", FUNCTIONS)
    def test_chance_is_the_variance(self, name: str) -> None:
        """By Gauss-Hermite quadrature; and half of it for who sees the last row only."""
        nodes, weights = np.polynomial.hermite_e.hermegauss(60)
        value = FUNCTIONS[name].of(torch.from_numpy(nodes)).numpy()
        mean = (weights * value).sum() / weights.sum()
        variance = (weights * (value - mean) ** 2).sum() / weights.sum()
        assert FUNCTIONS[name].mean == pytest.approx(mean, abs=1e-12)
        probe = make_probe({"name": "first_plus_last", "function": name})
        chance = probe.chance(50)
        assert chance.error == pytest.approx(2 * variance)
        assert chance.present == pytest.approx(variance)
        batch = probe.test_batch(50, MANY, 0)
        last = FUNCTIONS[name].of(batch.real[:, -1, 0])
        present = (last + FUNCTIONS[name].mean)[:, None, None].expand(-1, 50, 1)
        low, high = probe.measure(present, batch).error_interval(0.999)
        assert low < chance.present < high

    def test_goal(self) -> None:
        assert FirstPlusLast().goal(10).error == 1e-3

    def test_unknown_function(self) -> None:
        with pytest.raises(
            InputError, match=r"first_plus_last\.function: unknown function 'sinus'; did you mean"
        ):
            make_probe({"name": "first_plus_last", "function": "sinus"})


class TestEnds:
    probe = FirstPlusLast()
    batch = probe.test_batch(20, MANY, 0)

    @staticmethod
    def at_last(value: Tensor, batch: SequenceBatch) -> Tensor:
        return value[:, None, None].expand(-1, batch.rows, 1)

    def both(self, batch: SequenceBatch) -> Tensor:
        return self.at_last(batch.real[:, 0, 0] + batch.real[:, -1, 0], batch)

    def only_last(self, batch: SequenceBatch) -> Tensor:
        return self.at_last(batch.real[:, -1, 0], batch)

    def test_both_ends_used(self) -> None:
        found = ends_used(self.probe, self.both, self.batch)
        tolerance = 4 * 0.393 / math.sqrt(MANY)
        assert found["change_first"] == pytest.approx(0.25, abs=tolerance)
        assert found["change_last"] == pytest.approx(0.25, abs=tolerance)
        assert found["blinding_first"] == pytest.approx(0.0, abs=1e-12)
        assert found["blinding_last"] == pytest.approx(0.0, abs=1e-12)

    def test_first_forgotten(self) -> None:
        found = ends_used(self.probe, self.only_last, self.batch)
        assert found["change_first"] == 0.0
        assert found["change_last"] == pytest.approx(0.5)
        assert found["blinding_first"] == pytest.approx(0.285)
        assert found["blinding_last"] == pytest.approx(0.0, abs=1e-12)

    def test_predictions_that_overflow_are_no_figure(self) -> None:
        """Finite on the windows as they are, beyond every number with the first row half as much again."""
        large = self.batch.real[:, 0].abs().max() * 1.2

        def predict(batch: SequenceBatch) -> Tensor:
            beyond = batch.real[:, 0, 0].abs() > large
            return self.at_last(torch.where(beyond, math.nan, batch.real[:, -1, 0]), batch)

        assert predict(self.batch).isfinite().all()
        found = ends_used(self.probe, predict, self.batch)
        assert found["change_first"] is None
        assert found["change_last"] == pytest.approx(0.5)
        assert found["blinding_first"] == pytest.approx(0.285)

    def test_constants(self) -> None:
        """Predicting 0 is 0.285, the best constant 0.0825; a constant does not change, 0 / 0 included."""
        for value, expected in ((0.0, 0.285), (0.45, 0.0825)):
            for end in (FIRST, LAST):
                assert blinding(
                    self.probe, lambda b, v=value: constant(b, v), self.batch, end
                ) == pytest.approx(expected, rel=1e-5)
                assert change(lambda b, v=value: constant(b, v), self.batch, end) == 0.0

    def test_against_a_loop_over_windows(self) -> None:
        batch = self.batch.select(torch.arange(30))
        weights = torch.linspace(-1, 2, 20)

        def predict(given: SequenceBatch) -> Tensor:
            return self.at_last(given.real[..., 0] @ weights, given)

        ratios, errors = [], []
        for window in range(30):
            x = batch.real[window, :, 0].double().numpy()
            moved = x.copy()
            moved[0] *= 1.5
            w = weights.double().numpy()
            ratios.append((moved @ w - x @ w) / (x @ w))
            blinded, value = x.copy(), window % 10 / 10
            blinded[-1], blinded[0] = 0.0, value
            errors.append((blinded @ w - value) ** 2)
        lower_median = float(np.sort(ratios)[(30 - 1) // 2])  # torch's of an even number
        assert change(predict, batch, FIRST) == pytest.approx(lower_median, rel=1e-4)
        assert blinding(self.probe, predict, batch, FIRST) == pytest.approx(np.mean(errors), rel=1e-4)

    def test_blinding_of_another_function(self) -> None:
        probe = make_probe({"name": "first_plus_last", "function": "square"})
        assert isinstance(probe, FirstPlusLast)
        squares = lambda batch: self.at_last(batch.real[:, [0, -1], 0].square().sum(1), batch)  # noqa: E731
        assert blinding(probe, squares, self.batch, FIRST) == pytest.approx(0.0, abs=1e-12)

    def test_predictions_of_another_shape_are_refused(self) -> None:
        with pytest.raises(AssertionError, match="prediction"):
            change(lambda batch: batch.real[:, -1], self.batch, FIRST)


class TestSeasonalLag:
    def test_last_year_s_value_and_no_other_tells(self) -> None:
        probe = SeasonalLag()
        batch = probe.test_batch(30, MANY, 0)
        assert batch.target is not None
        target, z = batch.target[:, 30:, 0], batch.real[:, :30, 0]
        assert not batch.real[:, 30:].any(), "what is asked is blank"
        correlation = np.corrcoef(z.numpy().T, target[:, 4].numpy())[-1, :-1]
        assert correlation[4] == pytest.approx(0.9, abs=0.01)
        assert np.abs(np.delete(correlation, 4)).max() < 5 / math.sqrt(MANY)

    def test_floor(self) -> None:
        probe = SeasonalLag()
        batch = probe.test_batch(30, MANY, 0)
        low, high = probe.measure(probe.oracle(batch), batch).error_interval(0.999)
        assert low < probe.floor < high
        assert probe.floor == pytest.approx(0.19)
        assert probe.goal(30).error == pytest.approx(0.271)

    def test_a_year_of_days(self) -> None:
        assert SeasonalLag().rows(365) == 393
        assert SeasonalLag().rows(7) == 14  # no more rows than the lag, whose answers are all in the window

    def test_bad_settings(self) -> None:
        with pytest.raises(InputError, match=r"correlation: found 0.0, expected above 0"):
            make_probe({"name": "seasonal_lag", "correlation": 0.0})
        with pytest.raises(InputError, match=r"horizon: found 0, expected 1 or more"):
            make_probe({"name": "seasonal_lag", "horizon": 0})


class TestAdding:
    def test_layout(self) -> None:
        batch = Adding().test_batch(40, MANY, 0)
        value, mask = batch.real.unbind(-1)
        assert torch.equal(mask.sum(1), torch.full((MANY,), 2.0))
        assert set(mask.unique().tolist()) == {0.0, 1.0}
        torch.testing.assert_close(answers(batch), (value * mask).sum(1))
        # All pairs of rows alike: each row is marked in 2 / T of the windows.
        share = mask.mean(0)
        assert (share - 2 / 40).abs().max() < 5 * math.sqrt(0.05 * 0.95 / MANY)
        low, high = value.min(), value.max()
        assert low >= 0
        assert high < 1

    def test_chance(self) -> None:
        probe = Adding()
        assert probe.chance(600).error == 1 / 6
        batch = probe.test_batch(4, MANY, 0)
        value, mask = batch.real[:, -1].unbind(-1)
        best = torch.where(mask > 0, value + 0.5, 1.0)
        low, high = probe.measure(best[:, None, None].expand(-1, 4, 1), batch).error_interval(0.999)
        present = probe.chance(4).present
        assert present is not None
        assert low < present < high


class TestCopy:
    def test_layout(self) -> None:
        batch = Copy().test_batch(25, 50, 0)
        given = batch.category[..., 0] - 1
        assert given.shape == (50, 45)
        assert ((given[:, :10] >= 1) & (given[:, :10] <= 8)).all()
        assert (given[:, 10:34] == 0).all()  # T - 1 blanks
        assert (given[:, 34:] == 9).all()  # eleven marks
        assert batch.target is not None
        assert not batch.target[:, :35].any()
        assert torch.equal(batch.target[:, 35:, 0], given[:, :10].float())
        assert batch.asked.all()

    @pytest.mark.parametrize("length", [1, 50, 1000])
    def test_chance_and_goal(self, length: int) -> None:
        probe = Copy()
        assert probe.chance(length).error == 10 * math.log(8) / (length + 20)
        assert probe.goal(length).error == probe.chance(length).error / 10

    def test_accuracy_is_of_the_last_ten(self) -> None:
        probe = Copy()
        batch = probe.test_batch(100, 40, 0)
        blanks = probe.certain(torch.zeros(40, 120, dtype=torch.int64))
        assert probe.measure(blanks, batch).accuracy == 0.0
        half = probe.oracle(batch)
        half[:, -5:] = blanks[:, -5:]
        measured = probe.measure(half, batch)
        assert measured.accuracy == 0.5
        assert measured.exact == 0.0
        assert not probe.solved(measured, 100)

    def test_either_goal_is_enough(self) -> None:
        probe = Copy()
        chance = probe.chance(100).error
        assert probe.solved(Measured(9, 0.09 * chance, 0.0, 0.9, 0.0), 100)
        assert probe.solved(Measured(9, 0.2 * chance, 0.0, 0.999, 0.0), 100)
        assert not probe.solved(Measured(9, 0.2 * chance, 0.0, 0.99, 0.0), 100)


class TestTemporalOrder:
    def test_layout(self) -> None:
        batch = TemporalOrder().test_batch(100, MANY, 0)
        symbol = batch.category[..., 0] - 1
        names = np.array(TemporalOrder.symbols)
        assert set(batch.length.tolist()) == set(range(100, 111))
        assert (symbol[:, 0] == 6).all()
        assert (symbol.gather(1, batch.length[:, None] - 1) == 7).all()
        found = [set(), set()]
        for window in range(300):
            text = names[symbol[window, : batch.length[window]]]
            places = [place for place, name in enumerate(text) if name in "XY"]
            assert len(places) == 2
            for one, place in zip(found, places, strict=True):
                one.add(place)
            assert batch.target is not None
            answer = TemporalOrder.class_names[int(batch.target[window, batch.length[window] - 1, 0])]
            assert answer == "".join(text[places])
        assert found[0] == set(range(10, 21))
        assert found[1] == set(range(50, 61))
        assert (answers(batch).long().bincount() / MANY - 0.25).abs().max() < 5 * math.sqrt(3 / 16 / MANY)


class TestRecall:
    def test_selective_copy(self) -> None:
        probe = SelectiveCopy(SelectiveCopy.Config(tokens=5))
        batch = probe.test_batch(30, 2000, 0)
        symbol = batch.category[..., 0] - 1
        for window in range(200):
            tokens = [code for code in symbol[window, :30].tolist() if code < 16]
            assert tokens == answers(batch.select(torch.tensor([window]))).tolist()
            assert len(tokens) == 5
        assert (symbol[:, 30:] == probe.query).all()
        share = (symbol[:, :30] < 16).double().mean(0)  # places are random
        assert (share - 5 / 30).abs().max() < 5 * math.sqrt(5 / 30 * 25 / 30 / 2000)

    def test_too_short_for_its_tokens(self) -> None:
        with pytest.raises(
            InputError, match="found 10, expected 16 or more for: Selective copy of 16 tokens"
        ):
            SelectiveCopy().test_batch(10, 2, 0)
        with pytest.raises(InputError, match="tokens: found 0"):
            make_probe({"name": "selective_copy", "tokens": 0})
        with pytest.raises(InputError, match="alphabet: found 27, expected 2 to 26"):
            make_probe({"name": "selective_copy", "alphabet": 27})

    def test_first_token(self) -> None:
        batch = FirstToken().test_batch(12, 500, 0)
        symbol = batch.category[..., 0] - 1
        assert torch.equal(answers(batch), symbol[:, 0].float())
        assert (symbol[:, 1:12] < 16).all()
        assert (symbol[:, 12] == 17).all()
        blank = FirstToken(FirstToken.Config(between="blanks")).test_batch(12, 500, 0)
        assert (blank.category[:, 1:12, 0] - 1 == 16).all()
        with pytest.raises(InputError, match="between: unknown filling 'blank'; did you mean 'blanks'"):
            make_probe({"name": "first_token", "between": "blank"})


class TestAgreement:
    probe = Agreement()

    def test_length_is_the_distance_from_subject_to_verb(self) -> None:
        for length in (5, 6, 25):
            batch = self.probe.test_batch(length, 100, 0)
            words = np.array(WORDS)[batch.category[..., 0].numpy() - 1]
            assert (words[:, 0] == "The").all()
            assert (words[:, [2, -1]] == ",").all()
            plural = np.isin(words[:, 1], [many for _, many in self.nouns()])
            assert torch.equal(answers(batch), torch.from_numpy(plural).float())
            verb = words.shape[1]  # the verb would be the next word
            assert verb - 1 == length

    @staticmethod
    def nouns() -> tuple[tuple[str, str], ...]:
        from data.probes.grammar import NOUNS

        return NOUNS

    @pytest.mark.parametrize("length", [10, 25, 50])
    def test_no_heuristic_on_distractors_beats_chance(self, length: int) -> None:
        """Majority and last noun, and the opposite of either, where there is one: all at a half."""
        batch = self.probe.test_batch(length, MANY, 0)
        signs = self.probe.distractors(batch)
        place = torch.arange(batch.rows)
        last = signs.gather(1, torch.where(signs != 0, place, 0).amax(1, keepdim=True))[:, 0]
        for guess in (signs.sum(1), last, signs.amax(1), signs.amin(1)):
            decided = guess != 0
            right = ((guess > 0) == (answers(batch) > 0))[decided].double()
            assert decided.double().mean() > 0.3
            assert abs(float(right.mean()) - 0.5) < 3.3 * 0.5 / math.sqrt(len(right))

    def test_no_single_word_of_the_clause_tells(self) -> None:
        batch = self.probe.test_batch(15, MANY, 0)
        plural = answers(batch) > 0
        for word in range(1, len(WORDS) + 1):
            has = (batch.category[:, 2:, 0] == word).any(1)
            if 100 < int(has.sum()) < MANY:
                share = float(plural[has].double().mean())
                assert abs(share - 0.5) < 4 * 0.5 / math.sqrt(int(has.sum())), WORDS[word - 1]

    def test_nouns_of_the_other_number_stand_between(self) -> None:
        batch = self.probe.test_batch(25, 2000, 0)
        subject = 2 * answers(batch) - 1
        other = (self.probe.distractors(batch) == -subject[:, None]).any(1)
        assert other.double().mean() > 0.8

    def test_clauses_are_grammatical(self) -> None:
        may_follow: dict[str, set[str]] = {}
        for words, following in GRAMMAR.values():
            for word in words:
                may_follow.setdefault(word, set()).update(w for state in following for w in GRAMMAR[state][0])
        clauses = np.array(WORDS)[draw_clauses(40, 500, torch.Generator().manual_seed(0)).numpy()]
        for clause in clauses:
            assert all(after in may_follow[word] for word, after in itertools.pairwise(clause))
            for determiner, nouns in (("two", 1), ("some", 1), ("a", 0), ("that", 0)):
                allowed = {pair[nouns] for pair in self.nouns()}
                for place in np.flatnonzero(clause == determiner):
                    noun = next(
                        word for word in clause[place:] if word in {w for p in self.nouns() for w in p}
                    )
                    assert noun in allowed

    def test_the_grammar_s_own_distribution_given_the_length(self) -> None:
        """Against all paths of that length, each weighed by the product of its edges."""
        words = 7
        weight: dict[tuple[int, ...], float] = {}
        paths = [((OPEN,), 1.0)]
        for _ in range(words - 1):
            paths = [
                ((*path, STATES.index(after)), chance / len(GRAMMAR[STATES[path[-1]]][1]))
                for path, chance in paths
                for after in GRAMMAR[STATES[path[-1]]][1]
            ]
        for path, chance in paths:
            if path[-1] == CLOSE:
                key = tuple(WORDS.index(GRAMMAR[STATES[state]][0][0]) for state in path)
                weight[key] = weight.get(key, 0.0) + chance
        total = sum(weight.values())
        first_word = {
            WORDS.index(word): WORDS.index(words_of[0])
            for words_of, _ in GRAMMAR.values()
            for word in words_of
        }
        drawn_clauses = draw_clauses(words, MANY, torch.Generator().manual_seed(0)).tolist()
        count = Counter(tuple(first_word[word] for word in clause) for clause in drawn_clauses)
        # Words that two states share ("the") fall together on both sides.
        expected: Counter[tuple[int, ...]] = Counter()
        for key, chance in weight.items():
            expected[tuple(first_word[word] for word in key)] += chance / total  # type: ignore[assignment]
        assert set(count) <= set(expected)
        for key, share in expected.items():
            assert abs(count[key] / MANY - share) < 4.5 * math.sqrt(share * (1 - share) / MANY)

    def test_every_length_has_clauses(self) -> None:
        for length in range(SHORTEST, 40):
            assert draw_clauses(length, 2, torch.Generator()).shape == (2, length)
        assert draw_clauses(1000, 2, torch.Generator()).shape == (2, 1000)  # chances do not underflow


class TestPixels:
    def test_no_image_in_two_parts(self) -> None:
        parts = {name: {tuple(row) for row in part.pixel.tolist()} for name, part in images().items()}
        for one, other in itertools.combinations(parts, 2):
            assert not parts[one] & parts[other]
        assert sum(map(len, parts.values())) == 1797

    def test_a_window_is_the_image_and_its_digit(self) -> None:
        from sklearn.datasets import load_digits

        values, digits = load_digits(return_X_y=True)
        known = {
            tuple(np.float32(row / 16).tolist()): digit for row, digit in zip(values, digits, strict=True)
        }
        batch = SequentialPixels().test_batch(64, 50, 0)
        found = [known[tuple(row)] for row in batch.real[..., 0].tolist()]
        assert found == answers(batch).tolist()

    def test_test_images_stand_once(self) -> None:
        probe = SequentialPixels()
        batch = probe.test_batch(64, 10_000, 0)
        assert len(batch.length) == 300
        assert len(batch.real.flatten(1).unique(dim=0)) == 300
        measured = probe.measure(probe.blind(batch), batch)
        assert measured.error == pytest.approx(probe.chance(64).error)
        assert measured.accuracy == pytest.approx(probe.chance(64).accuracy)
        assert probe.chance(64).accuracy == pytest.approx(0.1, abs=0.01)

    def test_longer_windows_hold_each_pixel(self) -> None:
        short, long = (SequentialPixels().test_batch(length, 5, 0) for length in (64, 192))
        chosen = {tuple(row[::3]) for row in long.real[..., 0].tolist()}
        assert chosen <= {tuple(row) for row in images()["test"].pixel.tolist()}
        assert torch.equal(long.real[:, ::3], long.real[:, 2::3])
        assert short.real.shape == (5, 64, 1)
        with pytest.raises(InputError, match="found 100, expected a multiple of 64"):
            SequentialPixels().test_batch(100, 5, 0)

    def test_permuted(self) -> None:
        plain, permuted = SequentialPixels(), PermutedPixels()
        order = permuted.order()
        assert sorted(order.tolist()) == list(range(64))
        assert torch.equal(order, PermutedPixels().order())
        other = PermutedPixels(PermutedPixels.Config(permutation=1))
        assert not torch.equal(order, other.order())
        draw = {one: one.draw(64, 5, torch.Generator().manual_seed(0), "test") for one in (plain, permuted)}
        assert torch.equal(draw[plain].real[:, order], draw[permuted].real)


class TestCharacters:
    def test_parts_share_no_text(self) -> None:
        """Every piece of 100 characters is of one part, rules of tables aside."""
        pieces = {
            part: {text[i : i + 100] for i in range(len(text) - 99) if len(set(text[i : i + 100])) > 8}
            for part, text in texts().items()
        }
        for one, other in itertools.combinations(pieces, 2):
            assert not pieces[one] & pieces[other]
        assert min(map(len, texts().values())) > 5000

    def test_next_character(self) -> None:
        probe = Characters()
        batch = probe.test_batch(40, 10, 0)
        assert batch.target is not None
        code = batch.category[..., 0] - 1
        assert torch.equal(code[:, 1:].float(), batch.target[:, :-1, 0])
        window = "".join(alphabet()[index] for index in code[0].tolist())
        assert len(set(window) & set("etaoin")) > 3
        assert probe.causal_only

    def test_windows_of_the_test_do_not_overlap(self) -> None:
        batch = Characters().test_batch(100, 10_000, 0)
        assert len(batch.length) == math.ceil((len(coded("test")) - 100) / 100)
        assert len(batch.category.flatten(1).unique(dim=0)) == len(batch.length)

    def test_longer_than_the_text(self) -> None:
        longest = min(len(coded("validation")), len(coded("test"))) - 1
        assert Characters().test_batch(longest, 5, 0).rows == longest
        with pytest.raises(InputError, match=f"found {longest + 1}, expected {longest} or less"):
            Characters().test_batch(longest + 1, 5, 0)

    def test_characters_never_seen_in_training(self) -> None:
        assert alphabet()[-1] == "other"
        text = texts()["test"]
        unseen = [place for place, character in enumerate(text) if character not in texts()["training"]]
        assert (coded("test")[unseen] == len(alphabet()) - 1).all()
        assert (np.delete(coded("test"), unseen) < len(alphabet()) - 1).all()

    def test_lines(self) -> None:
        """Blind, one character, two: each knows more than the one before."""
        probe = Characters()
        chance, goal = probe.chance(50), probe.goal(50)
        assert chance.present is not None
        assert goal.error is not None
        assert math.log(len(alphabet())) > chance.error > chance.present > goal.error
        measured = probe.measure(probe.oracle(probe.test_batch(50, 1000, 0)), probe.test_batch(50, 1000, 0))
        assert measured.error < goal.error
        assert measured.perplexity == pytest.approx(math.exp(measured.error))

    def test_the_goal_of_a_part_is_that_of_its_own_text(self) -> None:
        """The validation text is easier: what is good enough there is not good enough on the test text."""
        probe = Characters()
        errors = {}
        for part in ("validation", "test"):
            batch = probe.draw(50, 10_000, torch.Generator().manual_seed(0), part)
            two = torch.from_numpy(np.log(ngram(2).probabilities(batch.category[..., 0].numpy() - 1)))
            measured = probe.measure(two, batch)
            # Windows begin without what stood before them, and leave out the end: near the whole text's.
            assert measured.error == pytest.approx(probe.ngram_error(2, part), rel=0.02)
            errors[part] = probe.goal_on(50, part).error
        assert errors["validation"] < 0.95 * errors["test"]
        between = Measured(100, sum(errors.values()) / 2, 0.0, 0.3, 0.0)
        assert probe.solved(between, 50)
        assert not probe.solved(between, 50, "validation")


class TestNGram:
    def test_against_counting(self) -> None:
        generator = np.random.default_rng(0)
        text = generator.integers(0, 3, 60)
        model = NGram(text, 4, 2)
        rows = generator.integers(0, 4, (3, 7))
        found = model.probabilities(rows)
        for row, following in zip(rows, found, strict=True):
            for place in range(7):
                expected = self.slow(text, 4, row[: place + 1][-2:])
                np.testing.assert_allclose(following[place], expected, rtol=1e-6)
        np.testing.assert_allclose(found.sum(-1), 1.0)

    @staticmethod
    def slow(text: np.ndarray, characters: int, context: np.ndarray) -> np.ndarray:
        chance = np.full(characters, 1 / characters)
        for length in range(len(context) + 1):
            tail = context[len(context) - length :].tolist()
            count = np.zeros(characters)
            for place in range(length, len(text)):
                if text[place - length : place].tolist() == tail:
                    count[text[place]] += 1
            different = (count > 0).sum()
            if count.sum():
                chance = (count + different * chance) / (count.sum() + different)
        return chance


class TestMeasured:
    def test_standard_errors_are_over_windows(self) -> None:
        scores = Scores(
            torch.tensor([1.0, 2.0, 3.0, 6.0]).double(), torch.tensor([1.0, 0.5, 1.0, 0.0]).double()
        )
        measured = summarise(scores)
        assert measured.error == 3.0
        assert measured.error_deviation == pytest.approx(np.std([1, 2, 3, 6], ddof=1) / 2)
        assert measured.accuracy == 0.625
        assert measured.exact == 0.5
        low, high = measured.error_interval(0.95)
        assert high - 3.0 == pytest.approx(1.959964 * measured.error_deviation, rel=1e-5)
        assert 3.0 - low == pytest.approx(high - 3.0)

    def test_chunks_join(self) -> None:
        probe = Copy()
        batch = probe.test_batch(5, 20, 0)
        prediction = torch.randn(20, 25, 10)
        chunks = [torch.arange(7), torch.arange(7, 20)]
        parts = [probe.score(prediction[chunk], batch.select(chunk)) for chunk in chunks]
        joined, whole = summarise(Scores.joined(parts)), probe.measure(prediction, batch)
        assert joined == pytest.approx(whole)

    def test_intervals_hold_what_they_promise(self) -> None:
        """Of 400 measurements of chance, about 95 % have it in their interval."""
        probe, hits = Adding(), 0
        for seed in range(400):
            batch = probe.test_batch(5, 100, seed)
            low, high = probe.measure(probe.blind(batch), batch).error_interval(0.95)
            hits += low < 1 / 6 < high
        assert 0.90 < hits / 400 < 0.98


class TestMaking:
    def test_unknown_names(self) -> None:
        with pytest.raises(InputError, match=r"probe\.names: unknown probe 'ading'; did you mean 'adding'"):
            make_probe("ading")
        with pytest.raises(InputError, match="is not the name of a probe"):
            make_probe({"function": "sine"})

    def test_settings_reach_it(self) -> None:
        probe = make_probe({"name": "first_plus_last", "function": "sine", "training_size": 1000})
        assert probe.config == FirstPlusLast.Config(training_size=1000, function="sine")
        assert isinstance(probe, Probe)


def test_drawing() -> None:
    assert drawn([("a", ["1", ".25"]), ("name", ["x", "."])]) == "a    1 .25\nname x   ."
    long = drawn([("a", [str(row) for row in range(100)])], widest=2)
    assert long == "a 0 1 .. 98 99"
    assert [number(value) for value in (0.0, 1.0, 0.5, -0.25, 1.5, -2.0)] == [
        "0",
        "1",
        ".50",
        "-.25",
        "1.50",
        "-2.00",
    ]
