"""Scores of finished fits: each fold's as the blend scores members, the local hold-out's for the report."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from data.folds import Fold
from data.predictions import IncompletePredictions
from data.scoring import Asked, Scorer, asked_of
from pipeline.member_predictions import averaged
from pipeline.stages.prepare import SOLUTION, Prepared, read_truth
from pipeline.store import ArtifactStore


class Scores:
    """The competition's deciding metric over artefacts of train."""

    def __init__(self, prepared: Prepared, store: ArtifactStore) -> None:
        self._prepared, self._store = prepared, store
        self._scorer = Scorer(prepared.competition, prepared.panel)
        self._asked: dict[int, Asked] = {}

    @property
    def metric(self) -> str:
        """Name of the metric."""
        return self._scorer.name

    @property
    def greater_is_better(self) -> bool:
        return bool(self._scorer.metric.greater_is_better)

    def fold(self, path: str, fold: Fold) -> float:
        """Of one fit's out-of-fold rows; NaN where it is not defined or a prediction is none."""
        if fold.index not in self._asked:
            self._asked[fold.index] = asked_of(
                self._prepared.panel, [(fold.index, fold.asked)], self._prepared.horizon
            )
        return self._score([path], "oof", self._asked[fold.index])

    @property
    def local_part(self) -> str | None:
        """What the local score is of: the part `local`, `test` where its truth is known, None."""
        if self._prepared.split.local is not None:
            return "local"
        return "test" if self._truth() is not None else None

    def local(self, paths: list[str]) -> float | None:
        """Of the mean of these fits' predictions; reported, and no choice is made by it."""
        part, split = self.local_part, self._prepared.split
        if part is None or not paths:
            return None
        fold = split.local if part == "local" else split.test
        assert fold is not None
        truth = None if part == "local" else read_truth(self._truth())
        asked = asked_of(self._prepared.panel, [(fold.index, fold.asked)], self._prepared.horizon, truth)
        score = self._score(paths, part, asked)
        return score if np.isfinite(score) else None

    def cost(self, paths: list[str], name: str) -> float:
        """Mean of `parameters` or `predict_seconds` over fits."""
        costs = [json.loads((self._store.folder(path) / "fit.json").read_text())[name] for path in paths]
        return float(np.mean([float(cost or 0) for cost in costs]))

    def _score(self, paths: list[str], part: str, asked: Asked) -> float:
        folders = {path: self._store.folder(path) for path in paths}
        try:
            value = averaged(paths, part, asked, folders, paths[0])
        except IncompletePredictions:
            return float("nan")
        return self._scorer.score(asked, value)

    def _truth(self) -> Path | None:
        if self._prepared.competition.local.kind != "solution" or self._store.manifest(SOLUTION) is None:
            return None
        return self._store.folder(SOLUTION)
