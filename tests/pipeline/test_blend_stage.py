"""Stages blend and submit on artefacts of a small competition whose members are made by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from data.competition import Columns, Competition, Files, Folds, Local, Metric, Post, Submission
from data.errors import InputError
from data.predictions import IncompletePredictions, load_predictions, prediction_table, save_predictions
from data.scoring import Scorer, asked_of
from models.blenders.base import BLENDERS
from pipeline.config import Config
from pipeline.manifest import Costs
from pipeline.member_predictions import complete_fits
from pipeline.stage import STAGES, Job, JobContext, Stage
from pipeline.stages.baseline import Baseline
from pipeline.stages.blend import Blend
from pipeline.stages.prepare import Prepare, Prepared, read_truth
from pipeline.stages.submit import Submit, published, submission_name
from pipeline.stages.train import Train, chosen_parts
from pipeline.store import ArtifactStore, State
from pipeline.submitting.baseline import baseline_submission
from pipeline.submitting.folder import all_kept
from pipeline.submitting.log import events
from pipeline.submitting.record import keep_submission
from pipeline.write_submission import write_baseline_submission
from submissions.check import main as check

HORIZON, DAYS, STORES = 7, 90, 9
NOISE = {"good": 0.1, "fair": 0.2, "bad": 0.6}  # member: strength of its noise


def write_files(folder: Path, solution: bool = False) -> None:
    """train.csv, test.csv, sample.csv (in another order) and, if asked, the truth of the test rows."""
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    days = pd.date_range("2021-01-01", periods=DAYS).strftime("%Y-%m-%d")
    rows = pd.DataFrame({"Store": np.repeat(np.arange(1, STORES + 1), DAYS), "Date": np.tile(days, STORES)})
    rows["Open"] = (generator.random(len(rows)) > 0.1).astype(int)
    rows["Sales"] = (50 * rows["Store"] * generator.gamma(20, 0.05, len(rows))).round(2) * rows["Open"]
    asked = rows["Date"] >= days[-HORIZON]
    rows[~asked].to_csv(folder / "train.csv", index=False)
    test = rows[asked].assign(Id=np.arange(1, asked.sum() + 1))
    test.drop(columns="Sales").to_csv(folder / "test.csv", index=False)
    sample = test[["Id"]].assign(Sales=0).sample(frac=1, random_state=1)
    sample.to_csv(folder / "sample.csv", index=False)
    if solution:
        test[["Id", "Sales"]].to_csv(folder / "solution.csv", index=False)


def make_config(root: Path, solution: bool = False, **changes: Any) -> Config:
    """The configuration of one run; members are kinds of seasonal naive and LightGBM by other names."""
    competition = Competition(
        name="toy",
        task="horizon",
        root=str(root / "raw"),
        files=Files("train.csv", "test.csv", "sample.csv", "solution.csv" if solution else None),
        row_id=["Id"],
        series=["Store"],
        time="Date",
        frequency="D",
        target=["Sales"],
        columns=Columns(known_real=["Open"]),
        horizon=HORIZON,
        seasonality=[7],
        metric=[Metric("mae"), Metric("rmse")],
        judged="Open == 1",
        folds=Folds(kind="rolling", count=3),
        local=Local(kind="solution" if solution else "horizon"),
        submission=Submission(row_id="Id", target=["Sales"], decimals=3),
        post=[Post("clip", {"low": 0, "high": 350}), Post("zero_where", {"where": "Open == 0"})],
        baselines={"seasonal_naive": {}},
    )
    config = Config(
        competition=competition,
        size="demo",
        members=["good", "fair", "bad"],
        member={
            "good": {"kind": "lightgbm"},
            "fair": {"kind": "seasonal_naive"},
            "bad": {"kind": "seasonal_naive"},
            "seasonal_naive": {"kind": "seasonal_naive"},
        },
        root=str(root),
    )
    config.blend.names = ["mean", "median", "best", "convex"]
    return replace(config, **changes)


def keep(store: ArtifactStore, job: Job, make: Any) -> Path:
    """Do a job by `make(folder)` and put its artefact in its place."""
    key, inputs = store.key(job), store.input_keys(job)
    folder = store.working_folder(job.path, key)
    make(folder)
    now = datetime.now(UTC).isoformat()
    store.commit(job, key, inputs, Costs(now, now, 0.1, 1.0))
    return store.folder(job.path)


def do(store: ArtifactStore, job: Job) -> Path:
    """Do a job by its stage, from settings as JSON gives them."""
    job = replace(job, settings=json.loads(json.dumps(job.settings)))

    def make(folder: Path) -> None:
        inputs = {path: store.folder(path) for path in job.inputs}
        context = JobContext(folder, inputs, store.root, lambda share, text: None)
        STAGES.get(job.stage)().run(job, context)

    return keep(store, job, make)


def invent(store: ArtifactStore, job: Job, prepared: Prepared) -> Path:
    """A train artefact whose predictions are the truth times the noise of its member, by row and seed."""
    name = job.path.split("/")[2]
    seed = job.settings["seed"]
    fold = job.settings["fold"]

    def make(folder: Path) -> None:
        for part in job.settings["predict"]:
            origins = {
                "oof": next((f.asked for f in prepared.split.folds if f.name == fold), None),
                "local": prepared.split.local.asked if prepared.split.local else None,
                "test": prepared.split.test.asked,
            }[part]
            assert origins is not None
            asked = asked_of(prepared.panel, [(0, origins)], prepared.horizon)
            generator = np.random.default_rng([seed, *fold.encode(), *name.encode(), *part.encode()])
            level = np.where(np.isfinite(asked.truth), asked.truth, 100.0)
            value = level * np.exp(generator.normal(0, NOISE[name], level.shape)) - 0.5
            save_predictions(prediction_table(asked.row_id, asked.origin, value), folder / f"{part}.parquet")

    return keep(store, job, make)


def prepare(root: Path, config: Config, solution: bool = False) -> tuple[ArtifactStore, Prepared]:
    write_files(root / "raw", solution)
    store = ArtifactStore(root / "artifacts" / "toy")
    for job in Prepare().jobs(config, store):
        do(store, job)
    return store, Prepared(store.folder("prepare"))


def train(store: ArtifactStore, config: Config, prepared: Prepared, without: str = "nothing") -> None:
    for job in Train().jobs(config, store):
        if without not in job.path:
            invent(store, job, prepared)
    for job in Baseline().jobs(config, store):
        do(store, job)


def run_both(store: ArtifactStore, config: Config) -> tuple[Path, Path]:
    [job] = Blend().jobs(config, store)
    blend = do(store, job)
    [job] = Submit().jobs(config, store)
    return blend, do(store, job)


def read(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(file.read_text())
    return content


def test_scores_weights_and_submission(tmp_path: Path) -> None:
    config = make_config(tmp_path)
    store, prepared = prepare(tmp_path, config)
    train(store, config, prepared)
    blend, submit = run_both(store, config)
    scores = read(blend / "scores.json")
    assert scores["metric"] == "mae"
    assert set(scores["members"]) == {"good", "fair", "bad"}
    assert scores["members"]["good"]["seeds"] == [0]
    assert list(scores["members"]["good"]["folds"]) == ["fold0", "fold1", "fold2"]
    folds = list(scores["members"]["good"]["folds"].values())
    assert scores["members"]["good"]["cv"] == pytest.approx(np.mean(folds))
    assert scores["members"]["good"]["cv_std"] == pytest.approx(np.std(folds, ddof=1))
    assert set(scores["blenders"]) == {"mean", "median", "best", "convex"}
    assert scores["chosen"] == "convex"
    weights = scores["weights"]
    assert weights["good"] > weights["fair"] > weights["bad"]
    assert sum(weights.values()) == pytest.approx(1)
    assert read(blend / "weights.json")["weights"] == weights
    assert scores["blenders"]["convex"]["cv"] == min(one["cv"] for one in scores["blenders"].values())
    assert list(scores["local"]) == ["mae", "rmse"]
    assert scores["baselines"]["seasonal_naive"]["mae"] > scores["local"]["mae"]
    assert scores["post"]["steps"] == ["clip", "zero_where"]
    assert scores["left_out"] == {}

    # the stored out-of-fold blend scores what is reported, and the stored test blend is what is submitted
    asked = asked_of(prepared.panel, [(f.index, f.asked) for f in prepared.split.folds], HORIZON)
    oof = load_predictions(blend / "oof.parquet")["value"].to_numpy()[:, None]
    scorer = Scorer(config.competition, prepared.panel)
    for fold in prepared.split.folds:
        rows = asked.fold == fold.index
        expected = scores["blend"]["folds"][fold.name]
        assert scorer.score(asked.take(rows), oof[rows]) == pytest.approx(expected)
    assert [one["step"] for one in scores["post"]["after"]] == ["clip", "zero_where"]
    assert scores["post"]["after"][-1]["cv"] == scores["post"]["cv"]
    assert scores["post"]["after"][-1]["local"] == scores["post"]["local"]["mae"]
    assert scores["post"]["honest"]
    assert scores["quantiles"] is None
    assert [step["learnt"] for step in read(blend / "post.json")["steps"]] == [None, None]
    submission = read(submit / "submission.json")
    assert submission["rows"] == STORES * HORIZON
    assert submission["columns"] == ["Id", "Sales"]
    assert submission["local"] == scores["post"]["local"]
    assert submission["cv"] == scores["post"]["cv"]
    assert set(submission["inputs"]) == {"prepare", "blend/demo"}
    copy = tmp_path / submission["file"]
    assert copy == tmp_path / "submissions" / "files" / "toy-demo.csv"
    assert copy.read_bytes() == (submit / "submission.csv").read_bytes()
    assert check([str(copy), f"sample={tmp_path / 'raw' / 'sample.csv'}"]) == 0
    test = load_predictions(blend / "test.parquet").set_index("row_id")["value"]
    written = pd.read_csv(copy).set_index("Id")["Sales"]
    closed = pd.read_csv(tmp_path / "raw" / "test.csv").set_index("Id")["Open"] == 0
    ids = prepared.panel.official_id[test.index].astype(int)
    expected = np.where(closed.loc[ids], 0, np.round(test.clip(0, 350), 3))
    np.testing.assert_allclose(written.loc[ids], expected, atol=1e-9)
    assert closed.any()
    assert list(written.index) == list(pd.read_csv(tmp_path / "raw" / "sample.csv")["Id"])


def test_every_blender_is_scored_and_members_are_compared(tmp_path: Path) -> None:
    config = make_config(tmp_path)
    config.blend = Config().blend
    config.blend.recency = 1.0
    store, prepared = prepare(tmp_path, config)
    train(store, config, prepared)
    [job] = Blend().jobs(config, store)
    blend = do(store, job)
    scores = read(blend / "scores.json")
    assert set(scores["blenders"]) == set(BLENDERS.names())
    assert all(one["cv"] > 0 for one in scores["blenders"].values())
    compared = scores["compared"]
    assert compared["names"] == ["bad", "fair", "good"]
    correlation, overlap = np.array(compared["correlation"]), np.array(compared["overlap"])
    for matrix in (correlation, overlap):
        np.testing.assert_allclose(np.diag(matrix), 1.0)
        np.testing.assert_allclose(matrix, matrix.T)
    assert np.abs(correlation - np.eye(3)).max() < 0.5  # their noise is independent
    # nobody is missed less than the worst one, and nobody more than the best one
    without = compared["without"]["scores"]
    assert min(without, key=lambda name: without[name]) == "bad"
    assert max(without, key=lambda name: without[name]) == "good"
    assert compared["drop"] in (None, "bad")
    assert compared["more"] == {"seed": None, "fold": None}  # one seed, and refits
    config.blend.recency = None
    [job] = Blend().jobs(config, store)
    assert store.state(job) == "stale"


def test_what_one_more_seed_or_fold_would_bring(tmp_path: Path) -> None:
    config = make_config(tmp_path, members=["good", "fair"])
    config.fit.seeds = 3
    config.fit.refit = "none"
    config.blend.names = ["mean"]
    store, prepared = prepare(tmp_path, config)
    train(store, config, prepared)
    [job] = Blend().jobs(config, store)
    more = read(do(store, job) / "scores.json")["compared"]["more"]
    for kind, count in (("seed", 3), ("fold", 3)):
        found = more[kind]
        assert found["fits"] == count
        assert found["one"] > found["all"] > found["one_more"] > found["limit"]
        assert found["gain"] == pytest.approx(found["one_more"] - found["all"])


def make_quantiles(table: pd.DataFrame, levels: list[float]) -> pd.DataFrame:
    """The same points with quantiles that are far too narrow: 1 percent beside them."""
    share = np.array([1.0, *(1 + 0.02 * (level - 0.5) for level in levels)])
    value = table["value"].to_numpy()[:, None, None] * share
    return prediction_table(table["row_id"].to_numpy(), table["origin"].to_numpy(), value, levels)


def test_quantiles_are_blended_and_made_to_cover(tmp_path: Path) -> None:
    levels = [0.1, 0.5, 0.9]
    config = make_config(tmp_path)
    config.competition.quantiles = levels
    config.competition.metric.append(Metric("pinball"))
    config.competition.post = [Post("conformal", {"unit": "middle"}), Post("clip", {"low": 0})]
    store, prepared = prepare(tmp_path, config)
    train(store, config, prepared)
    for job in Train().jobs(config, store):
        if "bad" in job.path:
            continue  # predicts points alone

        points = {
            part: load_predictions(store.folder(job.path) / f"{part}.parquet")
            for part in job.settings["predict"]
        }

        def widen(folder: Path, points: dict[str, pd.DataFrame] = points) -> None:
            for part, table in points.items():
                save_predictions(make_quantiles(table, levels), folder / f"{part}.parquet")

        keep(store, job, widen)
    blend, _ = run_both(store, config)
    found = read(blend / "scores.json")["quantiles"]
    assert found["members"] == ["fair", "good"]
    assert found["metric"] == "pinball"
    assert set(found["blenders"]) == {"mean", "median", "best", "convex"}
    for level in levels:
        assert found["post"]["coverage"][f"{level:g}"] == pytest.approx(level, abs=0.08)
        assert found["post"]["local_coverage"][f"{level:g}"] == pytest.approx(level, abs=0.15)
    assert found["blend"]["coverage"]["0.9"] < 0.7
    assert found["post"]["metrics"]["pinball"]["local"] < found["blend"]["metrics"]["pinball"]["local"]
    before, after = (found[state]["metrics"]["pinball"]["cv"] for state in ("blend", "post"))
    assert after < before
    for part in ("oof", "local", "test"):
        table = load_predictions(blend / f"{part}.parquet")
        wide = table.pivot(index=["row_id", "origin"], columns="quantile", values="value")
        assert list(wide.columns) == [np.float32(level) for level in (0, *levels)]
        assert (np.diff(wide.to_numpy()[:, 1:], axis=1) >= 0).all()


def test_what_is_learnt_from_out_of_fold_rows_is_submitted_and_scored_honestly(tmp_path: Path) -> None:
    """All fits are 25 percent too high: a factor learnt on out-of-fold rows mends local and test rows."""
    config = make_config(tmp_path, members=["good"])
    config.competition.post = [Post("correction", {"by": ["series"], "prior": 20, "most": 0.5})]
    config.submit.name = "corrected"
    store, prepared = prepare(tmp_path, config)
    for job in Train().jobs(config, store):
        folder = invent(store, job, prepared)
        tables = {part: load_predictions(folder / f"{part}.parquet") for part in job.settings["predict"]}

        def raised(folder: Path, tables: dict[str, pd.DataFrame] = tables) -> None:
            for part, table in tables.items():
                save_predictions(table.assign(value=1.25 * table["value"]), folder / f"{part}.parquet")

        keep(store, job, raised)
    blend, submit = run_both(store, config)
    scores = read(blend / "scores.json")
    [step] = read(blend / "post.json")["steps"]
    assert np.exp(step["learnt"]["all"][0]) == pytest.approx(0.8, abs=0.05)
    assert len(step["learnt"]["groups"]) == STORES
    assert scores["post"]["honest"]
    assert scores["post"]["cv"] < 0.7 * scores["blend"]["cv"]
    assert scores["post"]["local"]["mae"] < 0.7 * scores["blend"]["local"]["mae"]
    test = load_predictions(blend / "test.parquet").set_index("row_id")["value"]
    written = pd.read_csv(submit / "submission.csv").set_index("Id")["Sales"]
    ids = prepared.panel.official_id[test.index].astype(int)
    ratio = written.loc[ids].to_numpy() / test.to_numpy()
    assert 0.7 < ratio.min() < ratio.max() < 0.9
    assert len(np.unique(ratio.round(4))) > 1


def test_post_processing_off_is_another_submission(tmp_path: Path) -> None:
    config = make_config(tmp_path)
    store, prepared = prepare(tmp_path, config)
    train(store, config, prepared)
    _, submit = run_both(store, config)
    done = read(submit / "submission.json")
    config.submit.post = False
    config.submit.name = "raw-blend.csv"
    [job] = Submit().jobs(config, store)
    assert store.state(job) == "stale"
    raw = read(do(store, job) / "submission.json")
    assert raw["file"] == "submissions/files/raw-blend.csv"
    assert raw["local"] != done["local"]
    scores = read(store.folder("blend/demo") / "scores.json")
    assert raw["local"] == scores["local"]
    for bad in ("../x", "a/b", ".hidden"):
        config.submit.name = bad
        with pytest.raises(InputError, match=r"submit\.name"):
            submission_name(config)


def test_the_copy_comes_back_when_it_was_removed(tmp_path: Path) -> None:
    config = make_config(tmp_path)
    store, prepared = prepare(tmp_path, config)
    train(store, config, prepared)
    run_both(store, config)
    copy = tmp_path / "submissions" / "files" / "toy-demo.csv"
    content = copy.read_bytes()
    copy.unlink()
    assert published(config, store) == copy
    assert copy.read_bytes() == content
    [again] = Submit().jobs(config, store)
    assert store.state(again) == "done"


def test_the_same_jobs_give_the_same_bytes_in_any_order_of_members(tmp_path: Path) -> None:
    results = []
    for number, members in enumerate((["good", "fair", "bad"], ["bad", "good", "fair"])):
        root = tmp_path / str(number)
        config = make_config(root, members=members)
        store, prepared = prepare(root, config)
        train(store, config, prepared)
        blend, submit = run_both(store, config)
        results.append((submit / "submission.csv").read_bytes() + (blend / "scores.json").read_bytes())
    assert results[0] == results[1]


def test_unfinished_members_and_seeds_are_left_out_and_said(tmp_path: Path) -> None:
    config = make_config(tmp_path)
    config.fit.seeds = 2
    store, prepared = prepare(tmp_path, config)
    train(store, config, prepared, without="good/seed1/fold2")
    blend, _ = run_both(store, config)
    scores = read(blend / "scores.json")
    assert scores["members"]["good"]["seeds"] == [0]
    assert scores["left_out"] == {"good seed 1": "fold2 did not finish"}

    other = make_config(tmp_path / "b")
    store, prepared = prepare(tmp_path / "b", other)
    train(store, other, prepared, without="bad/seed0/all")
    blend, _ = run_both(store, other)
    scores = read(blend / "scores.json")
    assert set(scores["members"]) == {"good", "fair"}
    assert scores["left_out"] == {"bad seed 0": "all did not finish"}


def test_seeds_are_averaged(tmp_path: Path) -> None:
    config = make_config(tmp_path, members=["good"])
    config.fit.seeds = 2
    store, prepared = prepare(tmp_path, config)
    train(store, config, prepared)
    blend, _ = run_both(store, config)
    for part, folder in (("oof", "fold1"), ("test", "all"), ("local", "local")):
        tables = [
            load_predictions(store.folder(f"train/demo/good/seed{seed}/{folder}") / f"{part}.parquet")
            for seed in (0, 1)
        ]
        expected = (tables[0]["value"] + tables[1]["value"]) / 2
        found = load_predictions(blend / f"{part}.parquet").set_index("row_id")["value"]
        np.testing.assert_allclose(found.loc[tables[0]["row_id"]], expected, rtol=1e-12)


def test_without_refits_the_folds_are_averaged(tmp_path: Path) -> None:
    config = make_config(tmp_path, members=["fair"])
    config.fit.refit = "none"
    store, prepared = prepare(tmp_path, config)
    train(store, config, prepared)
    blend, _ = run_both(store, config)
    for part in ("test", "local"):
        folders = [store.folder(f"train/demo/fair/seed0/fold{index}") for index in range(3)]
        values = [load_predictions(folder / f"{part}.parquet")["value"] for folder in folders]
        found = load_predictions(blend / f"{part}.parquet")["value"]
        np.testing.assert_allclose(found, np.mean(values, axis=0), rtol=1e-12)


def test_one_fold_is_judged_by_groups_of_series(tmp_path: Path) -> None:
    config = make_config(tmp_path)
    config.fit.folds = [1]
    store, prepared = prepare(tmp_path, config)
    train(store, config, prepared)
    blend, _ = run_both(store, config)
    scores = read(blend / "scores.json")
    assert list(scores["blenders"]["convex"]["folds"]) == ["fold1"]
    assert scores["blenders"]["convex"]["cv"] > scores["blenders"]["convex"]["in_sample"]
    assert scores["members"]["good"]["cv_std"] == 0


def test_a_fold_that_the_split_does_not_have_is_refused(tmp_path: Path) -> None:
    """It would be left out without a word, and what is blended would not be what was asked for."""
    config = make_config(tmp_path)
    _, prepared = prepare(tmp_path, config)
    config.fit.folds = [0, 7]
    with pytest.raises(InputError, match=r"fit\.folds: found \[0, 7\], expected fold numbers from 0 to 2"):
        chosen_parts(prepared, config.fit)


def test_known_truth_of_the_test_rows_gives_the_local_score(tmp_path: Path) -> None:
    config = make_config(tmp_path, solution=True)
    store, prepared = prepare(tmp_path, config, solution=True)
    train(store, config, prepared)
    blend, _ = run_both(store, config)
    scores = read(blend / "scores.json")
    assert scores["local_part"] == "test"
    test = load_predictions(blend / "test.parquet")
    truth = read_truth(store.folder("solution"))
    assert truth is not None
    judged = truth["weight"].to_numpy() > 0
    error = np.abs(truth["Sales"] - test["value"])[judged]
    assert scores["local"]["mae"] == pytest.approx(error.mean())
    assert 0 < judged.sum() < len(judged)
    assert scores["baselines"]["seasonal_naive"]["mae"] > 0


def test_local_scores_come_from_fits_that_never_saw_local_rows(tmp_path: Path) -> None:
    """The refit on everything predicts test rows only, and nothing of it reaches the local score."""
    config = make_config(tmp_path)
    store, prepared = prepare(tmp_path, config)
    train(store, config, prepared)
    [job] = Blend().jobs(config, store)
    assert prepared.split.local is not None
    for seeds in job.settings["members"].values():
        for entry in seeds:
            for path in entry["local"]:
                fit = next(one for one in Train().jobs(config, store) if one.path == path)
                assert fit.settings["fold"] == "local"
                manifest = store.manifest(path)
                assert manifest is not None
                assert "test.parquet" not in manifest.files
    cheat = [  # the fit on everything claims to predict local rows too
        replace(fit, settings={**fit.settings, "predict": ["test", "local"]})
        if fit.settings["fold"] == "test"
        else fit
        for fit in Train().jobs(config, store)
    ]
    with pytest.raises(AssertionError):
        complete_fits(cheat, EverythingDone(store.root), ["fold0", "fold1", "fold2"])


class EverythingDone(ArtifactStore):
    """A store that has whatever it is asked for."""

    def state(self, job: Job) -> State:
        return "done"


def test_a_budget_that_left_no_member_submits_the_baseline(tmp_path: Path) -> None:
    config = make_config(tmp_path)
    store, prepared = prepare(tmp_path, config)
    train(store, config, prepared, without="fold0")
    assert Blend().jobs(config, store) == []
    [job] = Submit().jobs(config, store)
    submission = read(do(store, job) / "submission.json")
    assert submission["baseline"] == "seasonal_naive"
    assert submission["members"] == []
    copy = str(tmp_path / submission["file"])
    assert check([copy, f"sample={tmp_path / 'raw' / 'sample.csv'}"]) == 0
    config.competition.baselines = {}
    with pytest.raises(InputError, match="nothing to submit"):
        Submit().jobs(config, store)


def test_a_baseline_submission_early(tmp_path: Path) -> None:
    config = make_config(tmp_path)
    store, prepared = prepare(tmp_path, config)
    [job] = [job for job in Baseline().jobs(config, store) if job.settings["fold"] == "test"]
    folder = do(store, job)
    prepared = Prepared(store.folder("prepare"), {"submission": {"row_id": "Id", "target": ["Sales"]}})
    file, _ = write_baseline_submission(
        prepared, load_predictions(folder / "test.parquet"), store.root, "seasonal_naive"
    )
    assert file == tmp_path / "submissions" / "files" / "toy-baseline-seasonal_naive.csv"
    assert check([str(file), f"sample={tmp_path / 'raw' / 'sample.csv'}"]) == 0
    assert [path.name for path in file.parent.iterdir()] == [file.name]


@pytest.mark.parametrize("solution", [False, True], ids=["held out", "solution"])
def test_the_first_submission_comes_with_its_local_score(solution: bool, tmp_path: Path) -> None:
    """As submitted: prices are cut at 350 and closed days are 0."""
    config = make_config(tmp_path, solution)
    store, _ = prepare(tmp_path, config, solution)
    for job in Baseline().jobs(config, store):
        do(store, job)
    first = baseline_submission(config, store, ["python", "-m", "pipeline.run"])
    assert first is not None
    assert check([str(first.file), f"sample={tmp_path / 'raw' / 'sample.csv'}"]) == 0
    if solution:
        truth = pd.read_csv(tmp_path / "raw" / "solution.csv").set_index("Id")["Sales"]
        asked = pd.read_csv(tmp_path / "raw" / "test.csv").set_index("Id")["Open"] == 1
        submitted = pd.read_csv(first.file).set_index("Id")["Sales"]
        error = (submitted - truth).loc[asked].abs().mean()
        assert first.local["mae"] == pytest.approx(error, abs=1e-3)
    assert list(first.local) == ["mae", "rmse"]
    [line] = events(first.file.parent)
    assert line["local"] == first.local["mae"]


def test_truncated_predictions_of_a_member_stop_the_blend(tmp_path: Path) -> None:
    config = make_config(tmp_path, members=["good"])
    store, prepared = prepare(tmp_path, config)
    for job in Train().jobs(config, store):
        folder = invent(store, job, prepared)
        if job.settings["fold"] == "fold1":
            table = load_predictions(folder / "oof.parquet").iloc[1:]
            again = replace(job, settings={**job.settings, "seed": 0})
            keep(store, again, lambda folder, table=table: save_predictions(table, folder / "oof.parquet"))
    [job] = Blend().jobs(config, store)
    with pytest.raises(IncompletePredictions, match=r"good: .*fold1.*is missing"):
        do(store, job)


def test_decimals_are_those_of_the_run_and_nothing_is_prepared_or_fitted_again(tmp_path: Path) -> None:
    config = make_config(tmp_path)
    store, prepared = prepare(tmp_path, config)
    train(store, config, prepared)
    run_both(store, config)
    for decimals in (1, 4):
        config.competition.submission.decimals = decimals
        for stage in (Prepare(), Baseline(), Train(), Blend()):
            assert {store.state(job) for job in stage.jobs(config, store)} == {"done"}
        [job] = Submit().jobs(config, store)
        first = baseline_submission(config, store, ["python", "-m", "pipeline.run"])
        assert first is not None
        for file in (do(store, job) / "submission.csv", first.file):
            written = pd.read_csv(file, dtype=str)["Sales"]
            assert written.str.fullmatch(rf"\d+\.\d{{{decimals}}}").all(), file


@pytest.mark.parametrize("stages", [[Blend()], [Blend(), Submit()]], ids=["blend", "submission too"])
def test_a_submission_is_not_kept_with_what_another_run_put_in_its_place(
    stages: list[Stage], tmp_path: Path
) -> None:
    """That of the same size with other members, which has come to its blend, or to its submission."""
    config = make_config(tmp_path)
    config.competition.post = []  # nothing of the blend is read for it but manifests
    store, prepared = prepare(tmp_path, config)
    train(store, config, prepared)
    run_both(store, config)
    for stage in (Blend(), Submit()):
        [job] = stage.jobs(config, store)
        store.settle(job.path, store.key(job))
    kept = keep_submission(config, store, "submit/demo", "toy-demo", ["python"])
    assert set(kept.manifest["members"]) == {"good", "fair", "bad"}
    other = ArtifactStore(store.root)
    for stage in stages:
        [job] = stage.jobs(replace(config, members=["good", "fair"]), other)
        do(other, job)
    with pytest.raises(InputError, match="another run with other settings has replaced"):
        keep_submission(config, store, "submit/demo", "toy-demo", ["python"])
    assert [one.identity for one in all_kept(tmp_path / "submissions" / "files")] == [kept.identity]


def test_only_the_metric_changes_the_blend_and_not_the_layout(tmp_path: Path) -> None:
    config = make_config(tmp_path)
    store, prepared = prepare(tmp_path, config)
    train(store, config, prepared)
    run_both(store, config)
    config.competition.submission.decimals = 1
    [job] = Blend().jobs(config, store)
    assert store.state(job) == "done"
    [job] = Submit().jobs(config, store)
    assert store.state(job) == "stale"
    config.competition.metric = [Metric("rmse"), Metric("mae")]
    jobs = Train().jobs(config, store)
    assert {store.state(one) for one in jobs if "good" in one.path} == {"stale"}  # another training loss
