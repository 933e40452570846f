"""Layers, the user's own YAML files, sweeps, and what a composed configuration is made of."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from data.check_competition import LOCAL_KINDS
from data.competition import Competition
from data.errors import InputError
from data.splitters.base import SPLITTERS
from pipeline import overrides
from pipeline.compose import compose, to_yaml
from pipeline.config import Config
from pipeline.conform import leaf_keys
from pipeline.ranges import CHOICES, FORMATS, RANGES, budget_seconds
from pipeline.run import main
from pipeline.stages.train import member_settings

TOY = """\
title: A toy
row_id: [store, date]
series: [store]
time: date
frequency: D
target: [sales]
metric: [{name: rmse}]
sizes:
  quick:
    fit: {max_epochs: 7, batch_size: 33}
    member: {lstm: {hidden: 24}}
"""
GLOBAL = "# @package _global_\n"


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    write(tmp_path / "conf" / "competition" / "toy.yaml", TOY)
    return tmp_path / "conf"


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def composed(conf: Path, *words: str) -> Config:
    return compose(["competition=toy", *words], [str(conf)])


def refusal(conf: Path, *words: str) -> str:
    with pytest.raises(InputError) as caught:
        composed(conf, *words)
    return str(caught.value)


def test_default_is_the_ventilator_demo() -> None:
    config = compose([])
    assert (config.stage, config.competition.name, config.size) == ("all", "ventilator", "demo")
    assert isinstance(config, Config)
    assert isinstance(config.competition, Competition)
    assert config.members


@pytest.mark.parametrize("competition", ["ventilator", "rossmann", "m4_hourly", "etth1"])
@pytest.mark.parametrize("size", ["demo", "quick", "full"])
def test_everything_that_is_built_in_composes(competition: str, size: str) -> None:
    config = compose([f"competition={competition}", f"size={size}"])
    assert config.competition.name == competition
    assert set(config.members) <= set(config.member)


def test_layers(conf: Path) -> None:
    assert Config().fit.max_epochs != 7
    assert composed(conf, "size=quick").fit.max_epochs == 7  # the competition's own size over the size
    assert composed(conf, "size=quick", "fit.max_epochs=9").fit.max_epochs == 9  # the command line over all
    assert composed(conf, "size=quick", "fit.max_epochs=9").fit.batch_size == 33
    assert composed(conf, "size=demo").fit.max_epochs != 7
    write(conf / "size" / "tiny.yaml", GLOBAL + "members: [seasonal_naive]\nfit: {max_epochs: 2}")
    config = composed(conf, "size=tiny")
    assert (config.size, config.fit.max_epochs, config.members) == ("tiny", 2, ["seasonal_naive"])


def test_member_settings(conf: Path) -> None:
    config = composed(conf, "size=quick", "member.lstm.layers=3")
    assert config.member["lstm"]["kind"] == "lstm"
    assert (config.member["lstm"]["hidden"], config.member["lstm"]["layers"]) == (24, 3)
    write(conf / "member" / "wide.yaml", "kind: lstm\nhidden: 512\n")
    config = composed(conf, "members=[wide,lstm]", "member.wide.dropout=0.1")
    assert config.member["wide"]["kind"] == "lstm"
    assert (config.member["wide"]["hidden"], config.member["wide"]["dropout"]) == (512, 0.1)
    assert config.member["wide"]["layers"] == config.member["lstm"]["layers"]


def test_switching_features_and_baselines(conf: Path) -> None:
    words = [
        "competition.features={calendar: true, lags: {}}",
        "competition.baselines={seasonal_naive: true}",
    ]
    assert composed(conf, *words).competition.features == {"calendar": {}, "lags": {}}
    off = composed(
        conf, *words, "competition.features.lags=null", "competition.baselines.seasonal_naive=false"
    )
    assert off.competition.features == {"calendar": {}}
    assert off.competition.baselines == {}
    assert composed(conf, *words, "~competition.features.calendar").competition.features == {"lags": {}}
    assert composed(conf, "~fit.max_epochs").fit.max_epochs == Config().fit.max_epochs


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("~member.lstm.layers", "there is no 'member.lstm.layers' to take away"),
        ("~fit.max_epochs=8", "found 7, expected 8 to take away"),
        ("members={lstm:1}", "Cannot merge"),
    ],
)
def test_a_value_that_does_not_fit_what_is_there(conf: Path, word: str, found: str) -> None:
    assert refusal(conf, "size=quick", word).startswith(f"{word!r}: {found}")


def test_what_one_command_changes_the_next_does_not_see(conf: Path) -> None:
    before = to_yaml(composed(conf))
    changed = composed(conf, "member.lstm.layers=3", "competition.features={lags:{}}", "fit.max_epochs=3")
    changed.member["gru"]["hidden"] = 1
    assert to_yaml(composed(conf)) == before


BROKEN = [
    ("competition/toy", TOY + "colums: {}", "competition/toy.yaml:12: unknown key 'competition.colums'"),
    ("competition/toy", TOY + "horizon: soon", "toy.yaml:12: competition.horizon: found 'soon'"),
    ("competition/toy", TOY + "horizon: 0", "toy.yaml:12: competition.horizon: found 0"),
    (
        "competition/toy",
        TOY + "features: {lagz: {}}",
        "toy.yaml:12: competition.features.lagz: unknown",
    ),
    ("competition/toy", TOY + "joins:\n- file: a.csv\n  kez: [a]", "toy.yaml:14: unknown key"),
    ("competition/toy", TOY + "joins: [{key: [a]}]", "toy.yaml:12: competition.joins.0.file must be given"),
    ("competition/toy", TOY + "reader_settings: {_target_: os.system}", "_target_ is refused"),
    ("competition/toy", TOY.replace("max_epochs", "max_epoch"), "toy.yaml:10: unknown key 'fit.max_epoch'"),
    ("competition/toy", TOY.replace("quick:", "quikc:"), "unknown size 'quikc'; did you mean 'quick'"),
    ("competition/toy", "title: [", "competition/toy.yaml:1: not valid YAML"),
    ("competition/toy", "title: a\ntitle: b", "toy.yaml:2: not valid YAML: found duplicate key title"),
    ("competition/toy", "", "toy.yaml: competition toy: target names no column"),
    ("competition/toy", "- a", "toy.yaml: expected a mapping"),
    ("size/tiny", "fit: {max_epochs: 2}", "size/tiny.yaml:1: a size must begin with the line '# @package"),
    ("size/tiny", GLOBAL + "fti: {max_epochs: 2}", "size/tiny.yaml:2: unknown key 'fti'; did you mean 'fit'"),
    ("member/wide", "kind: lsmt", "member.wide.kind: unknown member 'lsmt'; did you mean 'lstm'"),
    ("member/wide", "kind: lstm\nhiden: 3", "member/wide.yaml:2: unknown key 'member.wide.hiden'"),
    ("member/wide", "kind: lstm\nhidden: 0", "member/wide.yaml:2: member.wide.hidden: found 0, expected"),
    ("member/wide", "kind: lstm\nfit: 3", "member/wide.yaml:2: member.wide.fit: found 3, expected a mapping"),
    ("member/wide", "kind: stack\nmixers: {name: lstm}", "wide.yaml:2: member.wide.mixers: found {'name'"),
    ("member/wide", "kind: es_rnn\ndilations: [5]", "member.wide.dilations: found [5], expected a list, as"),
    ("member/wide", "hidden: 3", "unknown member 'wide'"),
    ("competition/ventilator", TOY, "competition 'ventilator' is defined twice"),
]


@pytest.mark.parametrize(("file", "text", "expected"), BROKEN)
def test_broken_yaml(conf: Path, file: str, text: str, expected: str) -> None:
    write(conf / f"{file}.yaml", text)
    message = refusal(conf, *(["size=tiny"] if file.startswith("size") else ["size=quick"]))
    assert expected in message
    assert "\n" not in message


def test_config_dir_without_groups(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found none of the subfolders competition, size, member"):
        compose([], [str(tmp_path)])


def test_a_folder_with_spaces_and_quoted_values(tmp_path: Path) -> None:
    folder = tmp_path / "my conf, new"
    write(folder / "competition" / "toy.yaml", TOY)
    config = composed(folder, "root='a b'", "competition.date_format=%d/%m/%Y", "competition.name=other")
    assert (config.root, config.competition.date_format) == ("a b", "%d/%m/%Y")
    assert config.competition.name == "other"


def test_sweeps() -> None:
    runs = overrides.expand(["seed=0,1", "stage=train", "fit.max_epochs=range(2,4)", "fit.folds=[0,1]"], {})
    assert runs == [
        [f"seed={seed}", "stage=train", f"fit.max_epochs={epochs}", "fit.folds=[0,1]"]
        for seed in (0, 1)
        for epochs in (2, 3)
    ]
    with pytest.raises(InputError, match="not intervals"):
        overrides.expand(["fit.learning_rate=interval(0,1)"], {})


def test_multirun_composes_each(conf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--config-dir", str(conf), "-m", "competition=toy", "seed=3,4", "--cfg"]
    assert main(words) == 0
    documents = list(yaml.safe_load_all(capsys.readouterr().out))
    assert [document["seed"] for document in documents] == [3, 4]


def test_multirun_refuses_before_the_first_run(conf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config-dir", str(conf), "-m", "competition=toy", "fit.max_epochs=3,0"]) == 2
    assert "fit.max_epochs: found 0" in capsys.readouterr().err


def test_printed_configuration_gives_the_same_one(conf: Path) -> None:
    """--cfg is whole: composed again from its own YAML, nothing changes."""
    config = composed(conf, "size=quick", "members=[lstm]")
    content = yaml.safe_load(to_yaml(config))
    assert list(content) == list(Config.__dataclass_fields__)
    assert content["member"]["lstm"]["hidden"] == 24
    competition = content.pop("competition")
    write(conf / "competition" / "again.yaml", yaml.safe_dump(competition))
    content.pop("size")
    write(conf / "size" / "again.yaml", GLOBAL + yaml.safe_dump(content))
    again = compose(["competition=again", "size=again"], [str(conf)])
    assert yaml.safe_load(to_yaml(again)) == yaml.safe_load(to_yaml(config)) | {"size": "again"}


def test_hydra_writes_nothing(conf: Path, tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    words = ["--config-dir", str(conf), "competition=toy", "--cfg"]
    empty = tmp_path / "empty"
    empty.mkdir()
    program = f"import sys; sys.path.insert(0, {str(root)!r}); from pipeline.run import main; main({words!r})"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=empty, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert list(empty.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("30m", 1800), ("2h", 7200), ("1h30m", 5400), ("0.5h", 1800), ("5min", 300)],
)
def test_budget(text: str, seconds: float) -> None:
    assert budget_seconds(text) == seconds


def test_checked_keys_exist() -> None:
    known = {key for key, _ in leaf_keys(Config)}
    assert {*RANGES, *CHOICES, *FORMATS} <= known
    assert "solution" in LOCAL_KINDS


#: Words, and what is said: heads, losses and quantiles are refused before any data is read.
REFUSED_FITS = [
    (["fit.head=gausian"], "fit.head: unknown head 'gausian'; did you mean 'gaussian'"),
    (["fit.head=bins", "fit.head_settings.cuont=9"], "fit.head_settings: unknown setting 'cuont'"),
    (["fit.head=bins", "fit.head_settings.count=1"], "fit.head_settings.count: found 1, expected a whole"),
    (["member.lstm.fit.head=poison"], "member.lstm.fit.head: unknown head 'poison'; did you mean 'poisson'"),
    (
        ["member.lstm.fit.head=poisson", "competition.target_transform=log1p"],
        "member.lstm.fit.head=poisson is of the target in its own units: found competition.target_transform"
        " 'log1p', expected none (member lstm)",
    ),
    (["member.lstm.layers=0"], "member.lstm.layers: found 0, expected a whole number from 1 on"),
    (["member.lstm.static_state=sate"], "member.lstm.static_state: unknown static_state 'sate'"),
    (["fit.loss=nll"], "fit.loss=nll fits the heads gaussian, "),
    (["fit.head=laplace", "fit.loss=l1"], "fit.loss=l1 does not fit the head 'laplace', whose loss is 'nll'"),
    (["fit.head=quantile"], "fit.head=quantile needs competition.quantiles, as [0.1, 0.5, 0.9]"),
    (["fit.head=classes", "fit.mixup=0.4"], "fit.mixup: found 0.4, expected 0: fit.head=classes needs"),
    (
        ["fit.auxiliary_differences=5"],
        "fit.auxiliary_differences: found 5, expected a whole number from 0 to",
    ),
    (["member.lstm.fit.mask_covariates=2.0"], "member.lstm.fit.mask_covariates: found 2.0, expected"),
    (["member.lstm.fit.optimizer=adan"], "member.lstm.fit.optimizer: unknown value 'adan'; did you mean"),
    (["competition.quantiles=[0.5,0.1]"], "quantiles is [0.5, 0.1]; expected numbers between 0 and 1"),
    (["competition.quantiles=[0.0,0.5]"], "quantiles is [0.0, 0.5]; expected numbers between 0 and 1"),
    (
        ["competition.metric=[{name: pinball}]", "competition.quantiles=[0.5]"],
        "'pinball' scores quantiles; the first metric decides, and blends and submissions are of points",
    ),
    (
        ["competition.metric=[{name: mae},{name: wql}]"],
        "competition.metric.1: 'wql' scores quantiles, and competition.quantiles names none",
    ),
    (
        [
            "competition.metric=[{name: mae},{name: wql,settings: {quantiles: [0.5,0.8]}}]",
            "competition.quantiles=[0.1,0.5]",
        ],
        "'wql' scores quantiles, and 0.8 is not one of competition.quantiles [0.1, 0.5]",
    ),
]


@pytest.mark.parametrize(("words", "expected"), REFUSED_FITS)
def test_settings_heads_losses_and_quantiles_that_do_not_fit(
    conf: Path, words: list[str], expected: str
) -> None:
    message = refusal(conf, "members=[lstm]", *words)
    assert expected in message
    assert "\n" not in message


def test_heads_of_members(conf: Path) -> None:
    """A member's own head stands above the run's, and does not take over the settings of that one."""
    words = [
        "members=[lstm,tcn]",
        "fit.head=bins",
        "fit.head_settings.count=50",
        "member.tcn.fit.head=laplace",
    ]
    config = composed(conf, *words)
    _, _, bins, _ = member_settings(config, config.member["lstm"])
    _, _, laplace, _ = member_settings(config, config.member["tcn"])
    assert (bins.head, bins.head_settings) == ("bins", {"count": 50})
    assert (laplace.head, laplace.head_settings) == ("laplace", {})
    # Those that do not run are not looked at.
    composed(conf, "members=[lightgbm]", "member.lstm.fit.head=poisson", "competition.target_transform=log1p")


def test_bins_lie_on_the_grid_that_predictions_are_rounded_to(conf: Path) -> None:
    grid = "competition.post=[{kind: grid, settings: {start: -1.0, step: 0.5, count: 95}}]"
    config = composed(conf, "members=[lstm]", "fit.head=bins", "fit.head_settings.smoothing=2.0", grid)
    _, _, fit, _ = member_settings(config, config.member["lstm"])
    assert fit.head_settings == {"start": -1.0, "step": 0.5, "count": 95, "smoothing": 2.0}
    config = composed(conf, "members=[lstm]", "fit.head=bins", "fit.head_settings.count=40", grid)
    assert member_settings(config, config.member["lstm"])[2].head_settings == {"count": 40}


def test_a_splitter_of_a_plugin(conf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any number of folds may come of it, so that fit.folds is looked at when they are made."""
    SPLITTERS.discover()
    monkeypatch.setattr(SPLITTERS, "_entries", dict(SPLITTERS._entries))
    file = tmp_path / "odd_days.py"
    write(
        file,
        "from data.splitters.base import SPLITTERS\n"
        "@SPLITTERS.register('odd_days')\n"
        "def odd_days(competition, panel, end, horizon):\n"
        "    return []\n",
    )
    words = [f"plugins=[{file}]", "competition.folds.kind=odd_days", "fit.folds=[9]"]
    assert composed(conf, *words).competition.folds.kind == "odd_days"
    words[1] = "competition.folds.kind=odd_dais"
    assert "unknown splitter 'odd_dais'; did you mean 'odd_days'" in refusal(conf, *words)


def test_folds_at_dates_are_counted_by_the_dates(conf: Path) -> None:
    dates = [f"2015-0{month}-01" for month in range(1, 6)]
    assert composed(conf, f"competition.folds.dates={dates}", "fit.folds=[4]").fit.folds == [4]
    said = refusal(conf, f"competition.folds.dates={dates[:1]}", "fit.folds=[0,2]")
    assert "fit.folds: found [0, 2], expected fold numbers from 0 to 0" in said
