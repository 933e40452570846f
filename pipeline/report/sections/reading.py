"""How to read the page, in plain words."""

from __future__ import annotations

from pipeline.report.markup import Section
from pipeline.report.material import Material
from pipeline.report.text import escape, metric_name


def section(material: Material) -> Section | None:
    """Terms in the order in which the page uses them."""
    horizon = material.prepared.competition.task == "horizon"
    metric = escape(metric_name(material.metric))
    direction = "higher" if material.scorer.metric.greater_is_better else "lower"
    fold = (
        "the models learn from everything before a cut-off and forecast the rows after it"
        if horizon
        else "the models learn from most groups and predict the groups that were left out"
    )
    terms = [
        (metric, f"the competition's metric; {direction} is better. All scores are in its units."),
        ("Fold", f"one rehearsal of the competition: {fold}."),
        (
            "Cross-validated score",
            "the mean over folds, and ± the standard deviation between them. A difference between two members"
            " that is much smaller than ± may still be real if it shows in every fold: see the paired"
            " comparison.",
        ),
        (
            "Local score",
            "on rows that were put aside before anything was fitted, cut like the test set, and that entered"
            " no fit and no blend weight. It is the best guess of the score that the competition will give.",
        ),
        (
            "Standard error",
            "how far a mean is likely to be off by chance: the deviation between folds over the square root"
            " of their number. Two of them are what chance rarely exceeds.",
        ),
        ("Baseline", "a forecast without a model: what any model has to beat to be worth its time."),
        (
            "Honest",
            "a blend's weights are fitted on some folds and scored on another one. The in-sample score, on"
            " the rows that the weights were fitted on, is always too good.",
        ),
        (
            "95 % interval",
            "of a mean of paired differences, taking folds (or series) as independent. Folds share training"
            " rows, so the true interval is somewhat wider; if it includes 0, do not bet on the difference.",
        ),
    ]
    if (material.prepared.panel.weight[~material.prepared.panel.test] <= 0).any():
        terms.append(
            (
                "Not judged",
                "rows that must be predicted but do not count in the score; shaded in the figures.",
            )
        )
    body = "<dl>" + "".join(f"<dt>{name}</dt><dd>{words}</dd>" for name, words in terms) + "</dl>"
    return Section("reading", "How to read this page", "", body)
