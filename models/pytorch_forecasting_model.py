"""Any network of ours as a pytorch-forecasting model, made by `from_dataset` like theirs.

    training = TimeSeriesDataSet(...)
    model = NetworkModel.from_dataset(training, network="plstm", settings={"hidden": 64}, learning_rate=3e-3)
    lightning.Trainer(max_epochs=10).fit(model, training.to_dataloader(train=True))
    model.predict(validation.to_dataloader(train=False))

The rest of pytorch-forecasting (its losses, learning-rate finder, prediction and plots) goes on working.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from pytorch_forecasting import TimeSeriesDataSet
from pytorch_forecasting.metrics import MAE, MultiHorizonMetric
from pytorch_forecasting.models.base_model import BaseModel
from torch import Tensor, nn

from data.batch import SequenceBatch
from data.configure import make_settings
from data.errors import InputError
from data.schema import InputSchema, Role
from models.network import NETWORKS


class NetworkModel(BaseModel):
    """A registered network behind pytorch-forecasting's batches.

    Hyperparameters are plain values (the schema as JSON), so a checkpoint loads without the data set.
    """

    def __init__(
        self,
        network: str,
        schema: dict[str, Any],
        settings: dict[str, Any] | None = None,
        columns: dict[str, list[int]] | None = None,
        output_size: int | list[int] = 1,
        loss: MultiHorizonMetric | None = None,
        logging_metrics: nn.ModuleList | None = None,
        **kwargs: Any,
    ) -> None:
        loss = MAE() if loss is None else loss
        logging_metrics = nn.ModuleList() if logging_metrics is None else logging_metrics
        self.save_hyperparameters(ignore=["loss", "logging_metrics"])
        super().__init__(loss=loss, logging_metrics=logging_metrics, **kwargs)
        kind = NETWORKS.get(network, "network")
        self.schema = InputSchema.from_json(schema)
        self.columns = columns or {}
        sizes = output_size if isinstance(output_size, list) else [output_size]
        if len(set(sizes)) > 1:
            raise InputError(f"network {network}: targets want {sizes} outputs each; all must want as many")
        self.network = kind(self.schema, make_settings(kind.Config, settings, f"network.{network}"), sizes[0])

    @classmethod
    def from_dataset(
        cls,
        dataset: TimeSeriesDataSet,
        network: str = "lstm",
        settings: Mapping[str, Any] | None = None,
        seasonality: tuple[int, ...] = (),
        **kwargs: Any,
    ) -> NetworkModel:
        """A model for the windows of `dataset`.

        network, settings: a name in NETWORKS and what its Config has; seasonality: rows of a season, for
        networks that read them. Other arguments (loss, learning_rate, optimizer, ...) are those of
        pytorch-forecasting's models. Raises InputError for an unknown network or setting, one that is not
        made for histories, and a data set with groups of categoricals under one name.
        """
        if "horizon" not in NETWORKS.get(network, "network").tasks:
            raise InputError(f"network {network}: made for sequence tasks, a TimeSeriesDataSet has a history")
        if dataset.variable_groups:
            raise InputError(f"variable_groups {sorted(dataset.variable_groups)} are not supported")
        schema, columns = schema_of(dataset, seasonality)
        arguments = {
            "network": network,
            "schema": schema.to_json(),
            "settings": dict(settings or {}),
            "columns": columns,
            **cls.deduce_default_output_parameters(dataset, kwargs, MAE()),
            **kwargs,
        }
        return super().from_dataset(dataset, **arguments)  # type: ignore[return-value]

    def forward(self, x: dict[str, Tensor]) -> Any:
        """x: a batch of a TimeSeriesDataSet; `prediction` is (B, horizon, P), a list of them if K > 1."""
        batch = self.sequence_batch(x)
        output = self.network(batch)  # (B, L, K * P)
        rows = int(x["decoder_lengths"].max())
        index = (batch.origin[:, None] + torch.arange(rows, device=output.device)).clamp(max=batch.rows - 1)
        output = output.gather(1, index[:, :, None].expand(-1, -1, output.shape[2]))
        parts: Any = list(output.split(self.network.outputs, dim=2))
        prediction = parts[0] if len(parts) == 1 else parts
        return self.to_network_output(
            prediction=self.transform_output(prediction, target_scale=x["target_scale"])
        )

    def sequence_batch(self, x: dict[str, Tensor]) -> SequenceBatch:
        """Their batch as ours: history and horizon in one, what is not known ahead blanked."""
        columns = self.columns
        origin, ahead = x["encoder_lengths"], x["decoder_lengths"]
        history, rows = x["encoder_cont"].shape[1], x["encoder_cont"].shape[1] + x["decoder_cont"].shape[1]
        step = torch.arange(rows, device=origin.device)[None, :].expand(len(origin), -1)
        # Their histories are padded at the end; ours run on into the horizon without a gap.
        place = torch.where(step < origin[:, None], step, step - origin[:, None] + history).clamp(
            max=rows - 1
        )
        length = origin + ahead
        used, past = step < length[:, None], step < origin[:, None]

        def joined(name: str) -> Tensor:
            both = torch.cat([x[f"encoder_{name}"], x[f"decoder_{name}"]], dim=1)
            taken = both.gather(1, place[:, :, None].expand(-1, -1, both.shape[2]))
            return taken.masked_fill(~used[:, :, None], 0)

        real, code = joined("cont"), joined("cat") + used[:, :, None]  # code 0 means unknown here
        shown = real[:, :, columns["past"]] * past[:, :, None]
        scales = x["target_scale"] if isinstance(x["target_scale"], list) else [x["target_scale"]]
        asked = used & ~past
        # A group that training has not seen is numbered behind those that it has.
        group = x["groups"][:, 0]
        seen = (group < self.schema.series) & (x["groups"].shape[1] == 1)
        return SequenceBatch(
            real=torch.cat([real[:, :, columns["known"]], shown, past[:, :, None].to(real.dtype)], dim=2),
            category=torch.cat(
                [code[:, :, columns["category"]], code[:, :, columns["past_category"]] * past[:, :, None]],
                dim=2,
            ),
            static_real=real[:, 0, columns["static_real"]],
            static_category=code[:, 0, columns["static_category"]],
            series=torch.where(seen, group, -1),
            time=(x["decoder_time_idx"][:, :1] - origin[:, None] + step) * used,
            length=length,
            origin=origin,
            asked=asked,
            weight=asked.to(real.dtype),
            row_id=torch.where(asked, step, -1),
            location=torch.stack([scale[:, 0] for scale in scales], dim=1).to(real.dtype),
            scale=torch.stack([scale[:, 1] for scale in scales], dim=1).to(real.dtype),
            target=None,
        )


def schema_of(
    dataset: TimeSeriesDataSet, seasonality: tuple[int, ...]
) -> tuple[InputSchema, dict[str, list[int]]]:
    """The schema of the batches of a data set, and where their columns stand in `..._cont` and `..._cat`."""
    reals, categories = list(dataset.reals), list(dataset.flat_categoricals)
    # The lists with an underscore hold what the data set added itself (relative time, scales) too; its own
    # models are made from them as well.
    targets = list(dataset.target_names)
    static_real = [name for name in reals if name in dataset._static_reals]
    unknown = [name for name in reals if name in dataset._time_varying_unknown_reals and name not in targets]
    known = [name for name in reals if name not in {*static_real, *unknown, *targets}]
    static_category = [name for name in categories if name in dataset._static_categoricals]
    past_category = [name for name in categories if name in dataset._time_varying_unknown_categoricals]
    category = [name for name in categories if name not in {*static_category, *past_category}]
    missing = [name for name in targets if name not in reals]
    if missing:
        raise InputError(f"target {missing[0]!r} must be real and one of time_varying_unknown_reals")

    def size(name: str) -> int:
        return len(dataset.get_transformer(name).classes_) + 1

    counts: dict[Role, int] = {"known": len(known), "past": len(unknown), "past_target": len(targets)}
    roles = [role for role, count in counts.items() for _ in range(count)]
    schema = InputSchema(
        real=(*known, *unknown, *(f"past.{name}" for name in targets), "available.0"),
        real_role=(*roles, "indicator"),
        category=(*category, *past_category),
        category_size=tuple(size(name) for name in (*category, *past_category)),
        static_real=tuple(static_real),
        static_category=tuple(static_category),
        static_category_size=tuple(size(name) for name in static_category),
        target=tuple(targets),
        context=dataset.max_encoder_length,
        horizon=dataset.max_prediction_length,
        series=int(max(dataset.data["groups"].max() + 1, 1)),
        seasonality=seasonality,
    )
    columns = {
        "known": [reals.index(name) for name in known],
        "past": [reals.index(name) for name in (*unknown, *targets)],
        "static_real": [reals.index(name) for name in static_real],
        "category": [categories.index(name) for name in category],
        "past_category": [categories.index(name) for name in past_category],
        "static_category": [categories.index(name) for name in static_category],
    }
    return schema, columns
