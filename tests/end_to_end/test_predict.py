"""stage=predict: other test rows by the models of a finished run, without fitting anything."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.target_encoding import TargetEncoding
from pipeline.compose import compose
from pipeline.schedule import run_jobs
from pipeline.stages.predict import Predict, PredictFits
from pipeline.store import ArtifactStore
from pipeline.submitting.packed import main
from tests.end_to_end.command import Finished, Root, here
from tests.end_to_end.conftest import Done


def predict(done: Done, root: Root, test: Path, name: str, *words: str) -> Finished:
    return here(
        *done.words,
        "executor=inline",
        f"root={root.folder}",
        "stage=predict",
        f"competition.files.test={test}",
        f"submit.name={name}",
        *words,
    )


def raw(words: list[str]) -> Path:
    """The shops' files."""
    return Path(words[1]).parent / "raw"


@pytest.fixture(scope="module")
def root(shops: Done, tmp_path_factory: pytest.TempPathFactory) -> Root:
    """The shops' run, to which forecasts are added."""
    return shops.root.copy(tmp_path_factory.mktemp("predict") / "root")


def test_the_old_test_file_gives_the_submission_bit_for_bit(shops: Done, root: Root, tmp_path: Path) -> None:
    """Under another name, in another order: nothing knows that it is the old one."""
    test = tmp_path / "same.csv"
    rows = pd.read_csv(raw(shops.words) / "test.csv", dtype=str)
    rows.iloc[::-1].to_csv(test, index=False)
    before = root.times()
    finished = predict(shops, root, test, "same")
    assert finished.code == 0, finished.err
    assert root.submission("same").read_bytes() == root.submission().read_bytes()
    # Nothing was fitted: all artefacts are as they were.
    after = root.times()
    assert {name: after[name] for name in before} == before
    assert {name.split("/")[0] for name in set(after) - set(before)} == {"predict"}
    assert "40 rows of 4 series by shops-demo/" in finished.out
    assert predict(shops, root, test, "same").stage("predict_fits").endswith("already done, 0.0 s")


def test_fewer_rows_in_their_own_order_and_new_categories(shops: Done, root: Root, tmp_path: Path) -> None:
    """Without a sample for them the CSV has the test file's order, and the submission's columns."""
    rows = pd.read_csv(raw(shops.words) / "test.csv", dtype=str)
    some = rows[rows["shop"].isin(["shop1", "shop3"])].copy()
    some = some.sort_values(["date", "shop"])
    test = tmp_path / "some.csv"
    some.to_csv(test, index=False)
    finished = predict(shops, root, test, "some")
    assert finished.code == 0, finished.err
    made = pd.read_csv(root.submission("some"), dtype={"id": str})
    assert list(made.columns) == ["id", "sales"]
    assert list(made["id"]) == list(some["id"])
    whole = pd.read_csv(root.submission(), dtype={"id": str}).set_index("id")["sales"]
    np.testing.assert_allclose(made["sales"], whole.loc[made["id"]], rtol=1e-5)


@pytest.mark.slow
def test_a_longer_history_moves_the_forecast_and_no_scale(shops: Done, root: Root, tmp_path: Path) -> None:
    """Ten days later: the training file has grown by the days that were asked; weights stay as they are."""
    folder = tmp_path / "later"
    shutil.copytree(raw(shops.words), folder)
    train = pd.read_csv(folder / "train.csv", parse_dates=["date"])
    test = pd.read_csv(folder / "test.csv", parse_dates=["date"])
    # Every shop goes on, ten times as large.
    days = pd.date_range(train["date"].max() + pd.Timedelta(days=1), periods=10)
    grown = []
    for shop, own in train.groupby("shop"):
        more = own.tail(14).head(10).assign(date=days, shop=shop)
        grown.append(more.assign(sales=10 * more["sales"]))
    pd.concat([train, *grown]).to_csv(folder / "train.csv", index=False)
    later = test.assign(date=test["date"] + pd.Timedelta(days=14))
    later = later[later["date"] <= days[-1] + pd.Timedelta(days=10)]
    later = later.assign(id="later" + later["id"].astype(str), region="north")
    later.to_csv(folder / "new.csv", index=False)
    finished = predict(shops, root, Path("new.csv"), "later", f"competition.root={folder}")
    assert finished.code == 2  # shop3 is in the south
    assert "static column 'region' is not constant in series shop3" in finished.err
    later["region"] = later["shop"].map(dict(zip(train["shop"], train["region"], strict=True)))
    later.to_csv(folder / "new.csv", index=False)
    before = root.contents(".safetensors", ".npz", ".txt")
    finished = predict(shops, root, Path("new.csv"), "later", f"competition.root={folder}")
    assert finished.code == 0, finished.err
    made = pd.read_csv(root.submission("later"))
    assert list(made["id"]) == list(later["id"])
    opened = made["sales"][(later["open"] == 1).to_numpy()]
    assert opened.mean() > 2 * pd.read_csv(root.submission())["sales"].mean()
    after = root.contents(".safetensors", ".npz", ".txt")
    assert {name: content for name, content in after.items() if not name.startswith("predict/")} == {
        name: content for name, content in before.items() if not name.startswith("predict/")
    }


def test_what_cannot_be_forecast_is_one_line(shops: Done, root: Root, tmp_path: Path) -> None:
    def refused(*words: str, test: str = "test.csv") -> str:
        finished = predict(shops, root, Path(test), "refused", *words)
        assert finished.code == 2
        *_, line = finished.err.splitlines()  # below what the progress display says
        assert line.startswith("error: ")
        return line

    assert "no file nwe.csv" in refused(test="nwe.csv")
    assert "submit.of: unknown submission 'shops-dmeo'; did you mean 'shops-demo'" in refused(
        "submit.of=shops-dmeo"
    )
    new = tmp_path / "new.csv"
    rows = pd.read_csv(raw(shops.words) / "test.csv").assign(shop="shop9")
    rows.drop_duplicates("date").to_csv(new, index=False)
    assert "series shop9 has no row in train.csv" in refused(test=str(new))
    other = here("competition=ventilator", "stage=predict", "submit.of=shops-demo", f"root={root.folder}")
    assert other.code == 2
    assert "there is no submission" in other.err or "is of competition=shops" in other.err


@pytest.mark.slow
def test_artefacts_must_be_those_of_the_submission(shops: Done, tmp_path: Path) -> None:
    root = shops.root.copy(tmp_path / "root")
    shutil.rmtree(root.artifacts / "train" / "demo" / "lightgbm" / "seed0" / "all")
    words = ["blend.names=[mean]", "stage=blend", "executor=inline", f"root={root.folder}"]
    finished = predict(shops, root, Path("test.csv"), "gone")
    assert finished.code == 2
    assert "seed0/all is not there; shops-demo/" in finished.err
    assert here(*shops.words, *words).code == 0
    finished = predict(shops, root, Path("test.csv"), "gone")
    assert finished.code == 2
    assert "blend/demo was made anew with other settings" in finished.err


@pytest.mark.slow
def test_a_teammate_s_rows_go_with_the_fit_and_others_are_left_out(
    shops: Done, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a pack too, where the teammate's files are not."""
    monkeypatch.chdir(tmp_path)
    root = shops.root.copy(tmp_path / "root")
    words = [*shops.words, *teammate(root, tmp_path / "team"), f"root={root.folder}"]
    assert here(*words, "stage=submit").code == 0
    assert here(*words, "stage=pack", "submit.name=packed").code == 0
    shutil.rmtree(tmp_path / "team")
    test = tmp_path / "same.csv"
    shutil.copy(raw(shops.words) / "test.csv", test)
    packed = root.folder / "submissions" / "packs" / "packed"
    assert main(packed, [f"test={test}", "out=packed.csv", f"work={tmp_path / 'work'}"]) == 0
    assert (tmp_path / "packed.csv").read_bytes() == root.submission().read_bytes()
    finished = here(*words, "stage=predict", f"competition.files.test={test}", "submit.name=same")
    assert finished.code == 0, finished.err
    assert "left out" not in finished.out
    assert root.submission("same").read_bytes() == root.submission().read_bytes()
    # The same rows by other ids: nobody can say which of the teammate's they are.
    rows = pd.read_csv(test, dtype=str)
    rows.assign(id="new" + rows["id"]).to_csv(test, index=False)
    finished = here(*words, "stage=predict", f"competition.files.test={test}", "submit.name=other")
    assert finished.code == 0, finished.err
    [line] = [line for line in finished.out.splitlines() if "left out: external: " in line]
    assert "test.csv: 40 of 40 asked rows have no finite prediction" in line
    made = pd.read_csv(root.submission("other"))["sales"]
    alone = pd.read_parquet(
        root.artifacts / "train" / "demo" / "seasonal_naive" / "seed0" / "all" / "test.parquet"
    )
    opened = (rows["open"] == "1").to_numpy()
    np.testing.assert_allclose(made[opened], np.maximum(alone["value"], 0)[opened], rtol=1e-5)


def teammate(root: Root, folder: Path) -> list[str]:
    """Words for a blend with a teammate, whose predictions are lightgbm's by another name."""
    folder.mkdir()
    fits = root.artifacts / "train" / "demo" / "lightgbm" / "seed0"
    given = {
        "oof": pd.read_parquet(fits / "fold0" / "oof.parquet"),  # the demo's only fold
        "local": pd.read_parquet(fits / "local" / "local.parquet"),
        "test": pd.read_csv(root.submission()),
    }
    for name, table in given.items():
        table.to_csv(folder / f"{name}.csv", index=False)
    named = [f"member.external.{name}=team/{name}.csv" for name in given]
    return ["members=[seasonal_naive,external]", "blend.names=[mean]", *named]


@pytest.mark.slow
def test_a_budget_leaves_fits_out_and_says_so(shops: Done, tmp_path: Path) -> None:
    root = shops.root.copy(tmp_path / "root")
    words = [
        *shops.words[2:],
        f"root={root.folder}",
        "stage=predict",
        "blend.names=[mean]",
        "executor=inline",
    ]
    assert here(*shops.words, f"root={root.folder}", "stage=submit", "blend.names=[mean]").code == 0
    finished = predict(shops, root, Path("test.csv"), "late", "budget=1s", "blend.names=[mean]")
    assert finished.code == 2
    assert "no fit of bilstm, lightgbm, seasonal_naive has predicted in time" in finished.err
    assert not root.submission("late").exists()
    # All but one member: the others' weights count.
    config = compose([*words, "submit.name=late"], [shops.words[1]])
    store = ArtifactStore(root.artifacts)
    jobs = [job for job in PredictFits().jobs(config, store) if "bilstm" not in job.path]
    from pipeline.executor import make_executor
    from pipeline.progress import Progress

    with make_executor(config) as executor:
        run_jobs(jobs, store, executor, None, Progress())
        run_jobs(Predict().jobs(config, store), store, executor, None, Progress())
    [job] = Predict().jobs(config, store)
    assert job.settings["left_out"] == {"bilstm": "1 of 1 fits did not predict in time"}
    made = pd.read_csv(store.folder(job.path) / "submission.csv")["sales"]
    tables = {
        name: pd.read_parquet(root.artifacts / "train" / "demo" / name / "seed0" / "all" / "test.parquet")
        for name in ("lightgbm", "seasonal_naive")
    }
    mean = sum(table["value"].to_numpy(np.float64) for table in tables.values()) / 2
    opened = made.to_numpy() > 0
    assert opened.any()
    np.testing.assert_allclose(np.sort(made[opened]), np.sort(np.maximum(mean, 0))[-opened.sum() :], rtol=0.5)


@pytest.mark.slow
def test_new_breaths_and_those_of_the_test_file(breaths: Done, tmp_path: Path) -> None:
    """A sequence task: groups that nobody has seen, beside the old ones, which are forecast as before."""
    root = breaths.root.copy(tmp_path / "root")
    [old] = root.folder.rglob("interim/ventilator-*/test.csv")
    rows = pd.read_csv(old)
    test = tmp_path / "new.csv"
    rows.to_csv(test, index=False)
    finished = predict(breaths, root, test, "same")
    assert finished.code == 0, finished.err
    assert root.submission("same").read_bytes() == root.submission().read_bytes()
    new = rows[rows["breath_id"] == rows["breath_id"].iloc[0]].copy()
    new["breath_id"] += 1_000_000
    new["id"] += 10_000_000
    new["u_in"] = new["u_in"] * 0.5
    pd.concat([new, rows]).to_csv(test, index=False)
    finished = predict(breaths, root, test, "more")
    assert finished.code == 0, finished.err
    made = pd.read_csv(root.submission("more")).set_index("id")
    whole = pd.read_csv(root.submission()).set_index("id")
    assert list(made.index) == [*new["id"], *rows["id"]]
    np.testing.assert_allclose(made.loc[whole.index, "pressure"], whole["pressure"], atol=1e-3)
    assert not np.allclose(made.loc[new["id"], "pressure"], whole["pressure"].iloc[: len(new)], atol=1e-2)
    long = pd.concat([new, new.assign(id=new["id"] + 100, time_step=new["time_step"] + 3.0)])
    long.to_csv(test, index=False)
    finished = predict(breaths, root, test, "long")
    assert finished.code == 2
    assert "has 160 rows; the models were fitted on groups of 80 rows at most" in finished.err


@pytest.mark.slow
def test_a_shop_that_has_gone_and_one_that_has_come_move_no_other(
    shop_words: list[str], tmp_path: Path
) -> None:
    """What was learnt of a shop stays with it where those before it are others than at training.

    The history is shorter too, in front: its first month is no part of what windows of the asked rows show.
    """
    words = [
        *shop_words,
        "executor.name=inline",
        f"root={tmp_path / 'root'}",
        "members=[usual,nlinear,bilstm]",
        "member.usual.kind=group_median",
        "member.usual.by=[series,promotion]",
        "member.nlinear.individual=series",
        "+competition.features.age={outputs: [series, logarithm, calendar]}",
        "fit.learning_rate=0.05",
        "blend.names=[mean]",
        "competition.post=[{kind: correction, settings: {by: [series], prior: 0}}]",
    ]
    assert here(*words).code == 0
    folder = tmp_path / "other"
    folder.mkdir()
    for name in ("train", "test"):
        rows = pd.read_csv(raw(shop_words) / f"{name}.csv", dtype=str)
        rows = rows[(rows["shop"] != "shop0") & (rows["date"] >= "2022-02-01")]
        come = rows[rows["shop"] == "shop2"].assign(shop="shop1b")
        if "id" in come:
            come["id"] = "1" + come["id"].str.zfill(3)
        pd.concat([rows, come]).to_csv(folder / f"{name}.csv", index=False)
    finished = here(
        *words,
        "stage=predict",
        f"competition.files.train={folder / 'train.csv'}",
        f"competition.files.test={folder / 'test.csv'}",
        "submit.name=other",
    )
    assert finished.code == 0, finished.err
    root = Root(tmp_path / "root", "shops")
    made = pd.read_csv(root.submission("other"), dtype={"id": str}).set_index("id")["sales"]
    whole = pd.read_csv(root.submission(), dtype={"id": str}).set_index("id")["sales"]
    test = pd.read_csv(folder / "test.csv", dtype=str)
    assert list(made.index) == list(test["id"])
    old = test["id"][test["shop"] != "shop1b"]
    np.testing.assert_allclose(made[old], whole[old], rtol=1e-5)
    come = made[test["id"][test["shop"] == "shop1b"]].to_numpy()
    assert np.isfinite(come).all()
    # The newcomer has the history of shop2, and nothing of what was learnt of it.
    assert not np.allclose(come, made[test["id"][test["shop"] == "shop2"]], rtol=1e-5)


@pytest.mark.slow
def test_groups_are_encoded_by_the_values_that_were_fitted_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sequence task whose key is real: stage=predict sees few of the training groups, and so few values."""
    folder = tmp_path / "conf" / "competition"
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    rows = pd.DataFrame(
        [(group, place) for group in range(60) for place in range(8)], columns=["group", "place"]
    ).assign(id=np.arange(480))
    rows["valve"] = generator.integers(0, 40, 480) / 4
    rows["y"] = 10 * np.sin(rows["valve"]) + generator.normal(0, 0.1, 480)
    rows[rows["group"] < 40].to_csv(tmp_path / "train.csv", index=False)
    test = rows[rows["group"] >= 40].drop(columns="y")
    test.to_csv(tmp_path / "test.csv", index=False)
    (folder / "groups.yaml").write_text(
        f"""\
name: groups
task: sequence
root: {tmp_path}
files: {{train: train.csv, test: test.csv, sample: null}}
row_id: [id]
series: [group]
time: place
target: [y]
columns: {{known_real: [valve]}}
metric: [{{name: mae}}]
folds: {{kind: grouped, count: 2}}
features: {{target_encoding: {{keys: [valve], folds: 2}}}}
submission: {{row_id: id, target: [y]}}
sizes: {{demo: {{members: [lightgbm], member: {{lightgbm: {{rounds: 20, rows: 2000}}}}}}}}
"""
    )
    words = [
        *["--config-dir", str(folder.parent), "competition=groups", "executor.name=inline"],
        f"root={tmp_path / 'root'}",
    ]
    finished = here(*words)
    assert finished.code == 0, finished.err
    some = tmp_path / "some.csv"
    test[test["group"].isin([43, 57])].to_csv(some, index=False)
    finished = here(*words, "stage=predict", f"competition.files.test={some}", "submit.name=some")
    assert finished.code == 0, finished.err
    root = Root(tmp_path / "root", "groups")
    made = pd.read_csv(root.submission("some")).set_index("id")["y"]
    whole = pd.read_csv(root.submission()).set_index("id")["y"]
    assert len(made) == 16
    np.testing.assert_allclose(made, whole[made.index], rtol=1e-5)
    # What was fitted by other code is not read.
    monkeypatch.setattr(TargetEncoding, "version", 99)
    some.write_text(some.read_text() + "\n")
    finished = here(*words, "stage=predict", f"competition.files.test={some}", "submit.name=some")
    assert finished.code == 2
    assert "fitted by other code (version 2 of the family, now 99); remove the folder" in finished.err
