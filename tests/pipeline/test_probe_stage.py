"""stage=probe: suites, cells, what is resumed, the summary, and one line for everything that is wrong."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from data.errors import InputError
from data.probes.base import make_probe
from data.probes.judged import Measured
from models.forecaster import Forecaster
from models.network import NETWORKS
from pipeline.compose import compose
from pipeline.config_folders import CONF
from pipeline.probing.cell import Cell, Limits, _Looks, fit_cell, forecaster_for
from pipeline.probing.rows import fit_of, label_of, limits_of, obstacles, row_of, suite_of
from pipeline.probing.sizing import parameters_of, sized
from pipeline.probing.summaries import suite_of_members
from pipeline.probing.table import summed_up, t50, table_lines
from tests.end_to_end.command import here

TINY = [
    "stage=probe",
    "probe.names=[first_plus_last,characters]",
    "probe.lengths=[4]",
    "probe.seeds=2",
    "probe.steps=20",
    "probe.look_every=10",
    "probe.validation=20",
    "probe.test=50",
    "members=[lstm,transformer,lightgbm]",
    "member.lstm.hidden=4",
    "member.transformer.hidden=8",
    "executor.name=inline",
]


@pytest.mark.slow
def test_a_suite_from_the_command_line_and_again(tmp_path: Path) -> None:
    words = [*TINY, f"root={tmp_path}"]
    first = here(*words)
    assert first.code == 0, first.err
    summary = json.loads((tmp_path / "artifacts/probe/default/summary.json").read_text())
    cells = {(cell["member"], cell["probe"]): cell for cell in summary["cells"]}
    # The transformer sees the rows after, so next-token prediction is not asked of it.
    assert set(cells) == {
        ("lstm", "first_plus_last"),
        ("lstm", "characters"),
        ("transformer", "first_plus_last"),
    }
    assert set(summary["not_applicable"]) == {"transformer", "lightgbm"}
    assert summary["not_applicable"]["lightgbm"]["characters"] == "it is no network"
    for cell in cells.values():
        assert cell["seeds"] == 2
        assert cell["length"] == 4
        assert cell["success_rate"] == 0
        assert cell["seconds"] > 0
        assert cell["ended"] == ["steps", "steps"]
    ends = cells["lstm", "first_plus_last"]
    assert {"change_first", "change_last", "blinding_first", "blinding_last"} <= set(ends)
    assert "change_first" not in cells["lstm", "characters"]
    assert summary["t50"]["lstm"] == {"first_plus_last": 0, "characters": 0}
    assert "not applicable: it is no network" in first.out
    again = here(*words)
    assert "6 already done" in again.stage("probe_cells")
    more = here(*words, "probe.seeds=3")
    assert "3 of 9 ran, 6 already done" in more.stage("probe_cells")
    assert (
        json.loads((tmp_path / "artifacts/probe/default/summary.json").read_text())["cells"][0]["seeds"] == 3
    )


def test_the_same_seed_gives_the_same_cell(tmp_path: Path) -> None:
    found = []
    for name in ("one", "two"):
        root = tmp_path / name
        assert here(*TINY, "probe.seeds=1", "members=[lstm]", f"root={root}").code == 0
        [file] = root.glob("artifacts/probe/cells/default/first_plus_last/4/lstm/seed0/cell.json")
        cell = json.loads(file.read_text())
        found.append({name: value for name, value in cell.items() if name != "seconds"})
    assert found[0] == found[1]


def limits(**changes: Any) -> Limits:
    return Limits(
        **{"steps": 400, "look_every": 50, "patience": 400, "validation": 200, "test": 500, **changes}
    )


def fitted(probe: str, settings: dict[str, Any], limits: Limits, **fit: Any) -> Any:
    config = compose(
        ["stage=probe", f"probe.names=[{probe}]", *(f"probe.fit.{k}={v}" for k, v in fit.items())]
    )
    row = row_of(config, "lstm")
    from models.settings import Fit

    made, own = make_probe(probe), Fit(**fit_of(config, row))
    return fit_cell(made, 2, forecaster_for(made, 2, "lstm", settings, own, 0), limits, 0)


def test_a_cell_ends_when_it_is_solved() -> None:
    cell = fitted("first_plus_last", {"hidden": 16, "layers": 1}, limits(steps=1500), learning_rate=0.01)
    assert cell.ended == "solved"
    assert cell.solved
    assert cell.steps < 1500
    assert cell.error < 1e-3
    assert cell.looks[-1].step == cell.steps == cell.kept


def test_a_lucky_look_does_not_end_a_cell() -> None:
    """495 of 500 right is what a model that has 0.985 shows now and then."""
    probe = make_probe("agreement")
    goal = probe.goal(20).accuracy
    assert goal is not None
    looks = _Looks(probe, 20, limits(), 0, Cell(), lambda share, text: None, None)
    at_goal = Measured(500, 0.05, 0.01, goal, (goal * (1 - goal) / 500) ** 0.5)
    assert probe.solved(at_goal, 20)
    assert not looks._beyond_doubt(at_goal)
    assert looks._beyond_doubt(at_goal._replace(accuracy=1.0, accuracy_deviation=0.0))


def test_a_cell_is_measured_where_it_did_best() -> None:
    """A learning rate that is far too high: the error comes down and goes up again."""
    cell = fitted("first_plus_last", {"hidden": 8, "layers": 1}, limits(look_every=10), learning_rate=0.3)
    errors = [look.error for look in cell.looks]
    assert errors[-1] > 1.5 * min(errors)
    assert cell.error == pytest.approx(min(errors), rel=0.3)
    [best] = [look for look in cell.looks if look.error == min(errors)]
    assert cell.kept == best.step < cell.steps


def test_averaged_weights_are_those_that_are_looked_at() -> None:
    """An average that hardly moves: the training goes on below it, and nothing of that is to be seen."""
    moving = fitted("first_plus_last", {"hidden": 8, "layers": 1}, limits(), learning_rate=0.01)
    average = {"averaging": "ema", "averaging_decay": 0.99999}
    still = fitted("first_plus_last", {"hidden": 8, "layers": 1}, limits(), learning_rate=0.01, **average)
    errors = [look.error for look in still.looks]
    assert max(errors) < 1.05 * min(errors)
    assert min(errors) > 1.5 * min(look.error for look in moving.looks)
    assert still.error == pytest.approx(min(errors), rel=0.3)


def test_no_time_is_lost_over_denormals(monkeypatch: pytest.MonkeyPatch) -> None:
    if not torch.set_flush_denormal(False):
        pytest.skip("this CPU cannot flush them")
    tiny, seen = torch.full((4,), 1e-30), []
    real_step = Forecaster.training_step

    def step(self: Forecaster, *given: Any) -> Any:
        seen.append(float((tiny * 1e-10).max()))
        return real_step(self, *given)

    monkeypatch.setattr(Forecaster, "training_step", step)
    fitted("first_plus_last", {"hidden": 2}, limits(steps=2, look_every=1))
    assert seen == [0.0, 0.0]
    assert float((tiny * 1e-10).max()) > 0, "what follows counts as ever"


def test_a_cell_ends_when_it_is_stuck_and_when_it_diverges() -> None:
    still = fitted("first_plus_last", {"hidden": 2}, limits(patience=100), learning_rate=1e-12)
    assert (still.ended, still.solved, still.steps) == ("stuck", False, 150)
    gone = fitted("first_plus_last", {"hidden": 2}, limits(), learning_rate=1e30, clip=0.0)
    assert gone.ended == "diverged"
    assert gone.error is None or gone.error > 1


@pytest.mark.parametrize("network", ["lstm", "plstm", "tcn", "transformer", "tcnn", "wavenet"])
def test_equal_parameters(network: str) -> None:
    probe = make_probe("adding")
    settings = sized(probe, 30, network, {}, 20_000)
    assert parameters_of(probe, 30, network, settings) == pytest.approx(20_000, rel=0.1)


@pytest.mark.parametrize("network", NETWORKS.names())
def test_parameters_are_counted_as_they_would_be_made(network: str) -> None:
    """Counting builds nothing; what is built has as many."""
    if "sequence" not in NETWORKS.get(network).tasks:
        pytest.skip("made for a history and a horizon")
    probe, settings = make_probe("copy"), dataclasses.asdict(NETWORKS.get(network).small())
    made = forecaster_for(probe, 10, network, settings, None, 0)
    assert parameters_of(probe, 10, network, settings) == sum(one.numel() for one in made.parameters())


def test_a_network_that_reads_values_while_it_is_made_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = NETWORKS.get("lstm")
    usual = kind.__init__

    def reading(self: Any, *arguments: Any, **more: Any) -> None:
        usual(self, *arguments, **more)
        float(next(self.parameters()).detach().sum())

    expected = parameters_of(make_probe("adding"), 10, "lstm", {"hidden": 4})
    monkeypatch.setattr(kind, "__init__", reading)
    assert parameters_of(make_probe("adding"), 10, "lstm", {"hidden": 4}) == expected


def test_a_stack_grows_in_its_mixers() -> None:
    probe = make_probe("adding")
    own = {"mixers": [{"name": "lstm", "hidden": 8}, "plstm"], "width": 1}
    settings = sized(probe, 30, "stack", own, 20_000)
    assert parameters_of(probe, 30, "stack", settings) == pytest.approx(20_000, rel=0.1)
    assert settings["width"] == 1, "an embedding is no memory"
    assert len({mixer["hidden"] for mixer in settings["mixers"]}) == 1
    assert [mixer["name"] for mixer in settings["mixers"]] == ["lstm", "plstm"]


def test_a_size_that_cannot_be_had_is_refused() -> None:
    with pytest.raises(InputError, match=r"probe\.parameters=3: lstm on Adding, length 30: the nearest"):
        sized(make_probe("adding"), 30, "lstm", {}, 3)


def test_a_network_without_a_width_is_refused() -> None:
    with pytest.raises(
        InputError, match=r"probe\.parameters=20000: nlinear has no setting that makes it wider"
    ):
        sized(make_probe("adding"), 30, "nlinear", {}, 20_000)


@pytest.mark.parametrize("suite", sorted(file.stem for file in (CONF / "probe").glob("*.yaml")))
def test_suites_that_come_with_it_hold(suite: str) -> None:
    config = compose(["stage=probe", f"probe={suite}"])
    assert config.probe.suite == (suite_of_members("ventilator") if suite == "members" else suite)
    assert all(tried.rows for tried in suite_of(config).values())


def test_rows_stand_on_the_settings_of_their_kind() -> None:
    words = ["stage=probe", "probe=default", "member.lstm.hidden=7", "member.lstm.dropout=0.3"]
    config = compose([*words, "probe.member.chrono_lstm.hidden=9", "member.lstm.fit.learning_rate=0.5"])
    plain, chrono = row_of(config, "lstm"), row_of(config, "chrono_lstm")
    assert (plain.settings["hidden"], plain.settings["layers"], plain.settings["dropout"]) == (7, 1, 0.3)
    assert (chrono.kind, chrono.settings["hidden"], chrono.settings["dropout"]) == ("lstm", 9, 0.3)
    assert chrono.at(make_probe("copy"), 30)["chrono"] == make_probe("copy").rows(30)
    assert fit_of(config, plain)["learning_rate"] == 0.5
    assert fit_of(config, row_of(config, "tcn"))["learning_rate"] == config.probe.fit["learning_rate"]


def test_what_a_fit_has_of_its_own_reaches_the_cells_or_is_refused() -> None:
    """A member's own says how it competes: what only epochs can do is left out. A suite's own is all read."""
    own = "member.lstm.fit={batch_size: auto, averaging: swa, schedule: cosine, clip: 0.25, max_epochs: 3}"
    config = compose(["stage=probe", own, "probe.member.chrono_lstm.fit={schedule: cosine, warmup: 0.3}"])
    plain, chrono = (fit_of(config, row_of(config, name)) for name in ("lstm", "chrono_lstm"))
    assert (plain["clip"], plain["averaging"], plain["schedule"]) == (0.25, "none", "constant")
    assert plain["batch_size"] == config.probe.fit["batch_size"]
    assert (chrono["schedule"], chrono["warmup"], chrono["clip"]) == ("cosine", 0.3, 0.25)


def test_members_of_the_command_line_stand_above_the_suite_s() -> None:
    assert compose(["stage=probe"]).probe.members == ["lstm", "chrono_lstm", "plstm", "tcn", "transformer"]
    assert compose(["stage=probe", "members=[gru]"]).probe.members == ["gru"]
    config = compose(["stage=probe", "probe.members=null"])
    assert config.probe.members == config.members


def test_the_members_of_a_competition_have_a_suite_for_it() -> None:
    config = compose(["stage=probe", "probe=members", "competition=rossmann", "size=quick", "fit.threads=2"])
    assert config.probe.suite == suite_of_members("rossmann")
    assert config.probe.members == config.members != []
    rows = {row.name: row for one in suite_of(config).values() for row in one.rows}
    assert rows["tcn"].settings["hidden"] == config.member["tcn"]["hidden"], "as it competes"
    assert compose(["stage=probe", "probe=members", "probe.suite=mine"]).probe.suite == "mine"


@pytest.mark.parametrize("size", ["demo", "quick", "full"])
@pytest.mark.parametrize("competition", sorted(file.stem for file in (CONF / "competition").glob("*.yaml")))
def test_members_of_every_competition_can_be_asked(competition: str, size: str) -> None:
    """Its networks of rows are trained on the default suite, whatever they do with a history there."""
    config = compose(["stage=probe", f"competition={competition}", f"size={size}"])
    config.probe.members = [
        name
        for name in {*config.members, *config.probe.members}
        if (kind := config.member.get(name, {"kind": name})["kind"]) in NETWORKS.names()
        and "sequence" in NETWORKS.get(kind).tasks
    ]
    suite = suite_of(config)
    assert obstacles(suite) == {}
    assert {"lstm", "tcn"} <= {row.name for row in suite["adding"].rows}
    for row in suite["adding"].rows:
        assert row.settings.get("add_last", "none") == "none"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["probe.names=[addin]"], "probe.names.0: unknown probe 'addin'; did you mean 'adding'"),
        (["probe.names=[adding,adding]"], "probe.names: 'adding' stands twice"),
        (["probe.names=[{name: copy, digit: 3}]"], "probe.names.0.copy: unknown setting 'digit'"),
        (["probe.lengths=[1]"], "probe.lengths: found 1, expected 2 or more"),
        (["probe.lengths=[]"], "probe.lengths: found [], expected lengths"),
        (["probe=defualt"], "unknown probe 'defualt'; did you mean 'default'"),
        (["probe.stepz=3"], "did you mean 'probe.steps'"),
        (["probe.steps=0"], "probe.steps: found 0, expected a whole number from 1 on"),
        (["probe.fit.learning_rat=1"], "did you mean 'probe.fit.learning_rate'"),
        (["fit.learning_rate=1"], "fit.learning_rate: no probe reads it; expected probe.fit.learning_rate"),
        (["fit.seeds=9"], "fit.seeds: no probe reads it"),
        (["members=[lstmm]"], "members: unknown member 'lstmm'; did you mean 'lstm'"),
        (["members=[lightgbm]"], "none can be trained on these probes (lightgbm: it is no network)"),
        (["probe.member.lstm.hiden=3"], "did you mean 'probe.member.lstm.hidden'"),
        (["probe.member.lstm.kind=lstmm"], "probe.member.lstm.kind: unknown member 'lstmm'"),
        (["probe.member.lstm=3"], "probe.member.lstm: found 3, expected a mapping of settings"),
        (["probe.member.lstm.fit=3"], "probe.member.lstm.fit: found 3, expected a mapping of settings"),
        (["probe.member.tcn.hidden=0"], "probe.member.tcn.hidden: found 0, expected a whole number from 1"),
        (["probe.member.tcn.kernel=1"], "tcn on first_plus_last: kernel=1; expected at least 2 rows"),
        (["probe.fit.optimizer=adm"], "probe.fit.optimizer: unknown value 'adm'; did you mean 'adam'"),
        (["probe.fit.learning_rate=-1"], "probe.fit.learning_rate: found -1, expected"),
        (["probe.member.lstm.fit.averaging=em"], "probe.member.lstm.fit.averaging: unknown value 'em'"),
        (
            ["probe.fit.precision=bf16"],
            "probe.fit.precision: no probe reads it; expected one of batch_size, ",
        ),
        (["probe.member.lstm.fit.mixup=0.2"], "probe.member.lstm.fit.mixup: no probe reads it"),
        (["probe.fit.schedule=plateau"], "probe.fit.schedule: found plateau, which needs epochs"),
        (["probe.fit.batch_size=auto"], "probe.fit.batch_size: found auto, which needs epochs"),
        (["probe.members=[lstm,tcn,lstm]"], "members: 'lstm' stands twice"),
        (["probe.own={copy: {members: [tcn, tcn]}}"], "probe.own.copy.members: 'tcn' stands twice"),
        (["probe.own={copy: {fit: {clip: -3}}}"], "probe.own.copy.fit.clip: found -3, expected"),
        (
            ["probe.own={copy: {member: {tcn: {hidden: 0}}}}"],
            "probe.own.copy.member.tcn.hidden: found 0, expected",
        ),
        (["probe.suite=cells"], "probe.suite: found 'cells'"),
        (
            ["probe.parameters=300", "members=[lstm,tcn]"],
            "probe.parameters=300: tcn on First plus last, length 25: the nearest",
        ),
        (
            ["probe.own={copy: {parameters: 3, members: [lstm]}}"],
            "probe.parameters=3: lstm on Copy memory, length 25: the nearest",
        ),
        (["probe.member.lstm.add_last=last"], "lstm on first_plus_last: add_last=last needs past targets"),
        (
            ["probe.own={copi: {steps: 3}}"],
            "probe.own.copi: unknown probe of this suite 'copi'; did you mean 'copy'",
        ),
        (["probe.own={copy: 3}"], "probe.own.copy: found 3, expected a mapping of settings"),
        (["probe.own={copy: {stepz: 3}}"], "did you mean 'probe.own.copy.steps'"),
        (
            ["probe.own={copy: {steps: 0}}"],
            "probe.own.copy.steps: found 0, expected a whole number from 1 on",
        ),
        (["probe.own={copy: {steps: many}}"], "probe.own.copy.steps"),
        (["probe.own={copy: {fit: {clap: 3}}}"], "did you mean 'probe.own.copy.fit.clip'"),
        (["probe.own={copy: {lengths: [1]}}"], "probe.own.copy.lengths: found 1, expected 2 or more"),
        (["probe.own={copy: {members: [lstmm]}}"], "probe.own.copy.members: unknown member 'lstmm'"),
        (
            ["probe.own={copy: {member: {lstm: {hiden: 3}}}}"],
            "did you mean 'probe.own.copy.member.lstm.hidden'",
        ),
        (["competition.name=probe"], "competition.name: found 'probe'"),
    ],
)
def test_what_is_wrong_is_one_line(words: list[str], said: str) -> None:
    finished = here("stage=probe", *words)
    assert finished.code == 2
    [line] = finished.err.splitlines()
    assert said in line


def test_labels() -> None:
    assert label_of({"name": "adding"}) == "adding"
    label = label_of({"name": "first_plus_last", "function": "square", "training_size": 1000})
    assert label == "first_plus_last-function=square-training_size=1000"


def cell(member: str, length: int, solved: bool, seed: int, **changes: Any) -> dict[str, Any]:
    return {
        "member": member,
        "probe": "adding",
        "length": length,
        "seed": seed,
        "solved": solved,
        "steps": 200,
        "kept": 100 + seed,
        "seconds": 2.0,
        "error": 0.1,
        "accuracy": None,
        "parameters": 9,
        "ended": "steps",
        "chance": {"error": 1 / 6, "accuracy": None, "present": None},
        **changes,
    }


def test_the_summary_counts_seeds_and_finds_t50() -> None:
    cells = [
        *(cell("lstm", 10, True, seed) for seed in range(3)),
        *(cell("lstm", 20, seed != 1, seed) for seed in range(3)),
        *(cell("lstm", 40, seed == 1, seed) for seed in range(3)),
        *(cell("rnn", 10, False, seed, error=None if seed else 0.2) for seed in range(2)),
    ]
    summary = summed_up(cells)
    by = {(row["member"], row["length"]): row for row in summary["cells"]}
    assert [by["lstm", length]["success_rate"] for length in (10, 20, 40)] == [1, 2 / 3, 1 / 3]
    assert by["lstm", 20]["steps_to_solve"] == 101, "to the weights that were kept, of the seeds 0 and 2"
    assert by["lstm", 20]["seconds_to_solve"] == pytest.approx(1.01)
    assert by["lstm", 20]["steps"] == 200
    assert by["rnn", 10]["error"] is None, "a mean over the seeds that did not diverge would flatter"
    assert by["rnn", 10]["steps_to_solve"] is None
    assert summary["t50"] == {"lstm": {"adding": 20}, "rnn": {"adding": 0}}
    assert summary["missing"] == 0
    assert t50([]) == {}
    assert "at most" not in "".join(table_lines({**summary, "not_applicable": {}}))
    limited = {**summary, "limits": {"adding": {"steps": 2000, "patience": 500}}, "not_applicable": {}}
    assert "at most 2,000 steps, given up after 500 without one per cent of progress" in list(
        table_lines(limited)
    )
    limited["limits"]["adding"]["patience"] = 2000
    assert "at most 2,000 steps" in list(table_lines(limited))
    lines = list(table_lines({**summary, "not_applicable": {"lightgbm": {"adding": "it is no network"}}}))
    assert any("diverged" in line for line in lines)
    assert any("lightgbm" in line and "it is no network" in line for line in lines)


def test_seeds_that_are_not_there_yet_count_as_unsolved() -> None:
    """Those that solve it end first: a budget that ends in between would leave these alone."""
    cells = [cell("lstm", 10, True, 0), cell("lstm", 20, True, 0), cell("lstm", 20, True, 1)]
    planned = {("lstm", "adding", length): 3 for length in (10, 20, 40)}
    summary = summed_up(cells, planned)
    by = {row["length"]: row for row in summary["cells"]}
    assert [by[length]["success_rate"] for length in (10, 20)] == [1 / 3, 2 / 3]
    assert [(by[length]["seeds"], by[length]["missing"]) for length in (10, 20)] == [(1, 2), (2, 1)]
    assert summary["t50"] == {"lstm": {"adding": 20}}
    assert summary["missing"] == 6
    assert any("6 cells not there yet" in line for line in table_lines(summary))


def test_a_seed_that_diverged_takes_nothing_from_the_others() -> None:
    ends = {"change_first": 0.2, "change_last": 0.3, "blinding_first": 0.1, "blinding_last": 0.0}
    cells = [cell("lstm", 10, False, 0, **ends), cell("lstm", 10, False, 1, error=None)]
    [row] = summed_up(cells)["cells"]
    assert {name: row[name] for name in ends} == ends


def test_perplexity_stands_beside_the_unigram_s() -> None:
    cells = [cell("lstm", 10, False, seed, error=2.0 + seed, perplexity=0.0) for seed in (0, 1)]
    [row] = summed_up(cells)["cells"]
    assert row["perplexity"] == pytest.approx(math.exp(2.5))
    assert row["chance_perplexity"] == pytest.approx(math.exp(1 / 6))
    assert "perplexity" not in summed_up([cell("lstm", 10, True, 0)])["cells"][0]


OWN = [
    "stage=probe",
    "probe.names=[adding,copy]",
    "probe.lengths=[5]",
    "probe.fit={learning_rate: 0.1, batch_size: 8}",
    "probe.member={lstm: {hidden: 3, fit: {clip: 0.5}}}",
    "probe.own={copy: {lengths: [7, 6], steps: 9, fit: {batch_size: 2}, members: [lstm],"
    " member: {lstm: {layers: 4, fit: {optimizer: sgd}}}}}",
    "probe.members=[lstm,gru]",
]


def test_a_probe_has_settings_of_its_own_above_the_suite_s() -> None:
    suite = suite_of(compose(OWN))
    adding, copy = suite["adding"], suite["copy"]
    assert (adding.lengths, copy.lengths) == ([5], [6, 7])
    assert [[row.name for row in tried.rows] for tried in (adding, copy)] == [["lstm", "gru"], ["lstm"]]
    assert limits_of(adding.config.probe).steps == compose(["stage=probe"]).probe.steps
    assert limits_of(copy.config.probe) == Limits(9, 50, 1250, 500, 2000)
    assert (adding.rows[0].settings["hidden"], adding.rows[0].settings["layers"]) == (3, 1)
    assert (copy.rows[0].settings["hidden"], copy.rows[0].settings["layers"]) == (3, 4)
    plain, own = fit_of(adding.config, adding.rows[0]), fit_of(copy.config, copy.rows[0])
    keys = ("learning_rate", "batch_size", "clip", "optimizer")
    assert [plain[key] for key in keys] == [0.1, 8, 0.5, "adam"]
    assert [own[key] for key in keys] == [0.1, 2, 0.5, "sgd"]


def test_members_names_rows_of_the_suite_too() -> None:
    config = compose(["stage=probe", "probe=long", "members=[chrono_plstm,gru]"])
    for tried in suite_of(config).values():
        assert [(row.name, row.kind) for row in tried.rows] == [("chrono_plstm", "plstm"), ("gru", "gru")]
    with pytest.raises(InputError, match=r"unknown member 'chrono_plstn'; did you mean 'chrono_plstm'"):
        compose(["stage=probe", "probe=long", "members=[chrono_plstn]"])
    with pytest.raises(InputError, match="unknown member 'chrono_plstm'"):
        compose(["stage=train", "members=[chrono_plstm]"])  # no competition has the suite's rows


def test_the_command_line_picks_among_a_suite_s_probes() -> None:
    config = compose(["stage=probe", "probe=long", "probe.names=[copy]"])
    assert list(suite_of(config)) == ["copy"]  # what adding has of its own in the file does not matter here
    with pytest.raises(InputError, match="probe of this suite 'copy'"):
        compose(["stage=probe", "probe.names=[adding]", "probe.own={copy: {steps: 3}}"])


def test_the_command_line_speaks_of_every_probe() -> None:
    words = [
        "stage=probe",
        "probe=long",
        "probe.lengths=[30]",
        "probe.fit.learning_rate=0.5",
        "members=[gru]",
    ]
    for tried in suite_of(compose(words)).values():
        assert tried.lengths == [30]
        assert [row.name for row in tried.rows] == ["gru"]
        assert tried.config.probe.fit["learning_rate"] == 0.5
