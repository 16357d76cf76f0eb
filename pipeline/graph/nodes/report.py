"""The node of the report: it collects the results on every forget set and draws the page."""

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from typing_extensions import override

from pipeline.attribution.estimator import Estimator
from pipeline.core.arrays import Indices, PerPoint
from pipeline.core.registry import Plugin, describe, plugin_name
from pipeline.core.settings import yaml_text
from pipeline.data.dataset import Dataset
from pipeline.data.forget_sets.base import ForgetSet
from pipeline.evaluation.judges.base import Judge
from pipeline.evaluation.judges.klom_judge import KlomJudge
from pipeline.graph.logits_layout import Layout, read_point_margins
from pipeline.graph.node import Node, Parent, Work
from pipeline.graph.nodes.evaluate import points_column, read_judged
from pipeline.graph.nodes.study import CHAPTER
from pipeline.graph.reading.attribution_shown import (
    curve_content,
    example_contents,
    forecast_content,
    forget_curve_contents,
)
from pipeline.graph.reading.forecast import forecast
from pipeline.graph.reading.measured_time import core_seconds
from pipeline.graph.reading.points_shown import Pictures, dataset_content
from pipeline.graph.result_rows import Spending, cost_of, snapshot_rows
from pipeline.graph.shard_task import versions
from pipeline.results.attribution_content import ForecastContent
from pipeline.results.formatting import in_use, sentence
from pipeline.results.payback import break_even, focused_pays, proxies_counted
from pipeline.results.report_content import (
    AttributionContent,
    MethodRow,
    PopulationContent,
    Report,
    ReportRenderer,
    Role,
    SetContent,
    StudyChapter,
)
from pipeline.store.store import Shard
from pipeline.unlearning.unlearner import Unlearner

PAGE = "html"


# The prefix of the names of populations of which the page reads only the computing time.
POPULATION = "population/"
# Settings of a recipe that every page shows. It shows others only if they differ from their defaults.
RECIPE_SHOWN = (
    "epochs",
    "batch_size",
    "learning_rate",
    "optimizer",
    "momentum",
    "weight_decay",
    "schedule",
    "ensemble",
)


@dataclass(frozen=True, kw_only=True)
class ReportPage(Node):
    """The page about an experiment; its blobs are the HTML and the figures.

    tables holds the parents that the page reads, by name. Tables that the experiment lacks are left out. The
    names are `full`, `score`, `curve`, `forget_curve` and `influences`, and the label of each study.
    `forget`, `effect` and `oracle` are followed by a slash and the label of a forget set. `floor` is followed
    by the labels of judge and forget set, `unlearned` by those of unlearner and forget set, and `verdict` by
    those of judge, unlearner and forget set. `population` is followed by a role, see POPULATION.

    draw is the function that draws the page. It is not part of the identity.
    """

    stage: ClassVar[str] = "report"
    title: ClassVar[str] = "write report"
    entry: ClassVar[str] = "report"
    unit: ClassVar[str] = "pages"
    revision: ClassVar[int] = 7

    experiment_name: str
    experiment: Mapping[str, Any]
    identity: Mapping[str, Any]
    dataset: Dataset
    forget_sets: Mapping[str, ForgetSet]
    unlearners: Mapping[str, Unlearner]
    judges: Mapping[str, Judge]
    estimator: Estimator
    populations: tuple[PopulationContent, ...]
    n_learnt_from: int
    spending: Spending
    layout: Layout
    tables: Mapping[str, Parent]
    draw: ReportRenderer
    # The heading of each study by its label.
    studies: Mapping[str, str] = field(default_factory=dict)

    @override
    def settings(self) -> dict[str, Any]:
        sets, unlearners = sorted(self.forget_sets), sorted(self.unlearners)
        return {
            "title": self.experiment_name,
            "forget_sets": sets,
            "unlearners": unlearners,
            "judges": list(self.judges),
        }

    @override
    def circumstances(self) -> dict[str, Any]:
        """Return the identity of the experiment, because the page shows the whole config."""
        return {"experiment": dict(self.identity)}

    @override
    def plugins(self) -> tuple[Plugin, ...]:
        return ()

    @override
    def parents(self) -> dict[str, Parent]:
        return dict(self.tables)

    @property
    def _has_effects(self) -> bool:
        return "influences" in self.tables

    def compute(self, work: Work) -> Shard:
        """Draw the page and its figures."""
        pictures = Pictures.of(self.dataset, work.examples)
        sets = tuple(
            self._set(work, label, number, pictures) for number, label in enumerate(self.forget_sets)
        )
        populations = tuple(self._with_time(work, one) for one in self.populations)
        report = Report(
            title=self.experiment_name,
            dataset=dataset_content(self.dataset, work.examples),
            model=self._words("model"),
            recipe=self._words("recipe", always=RECIPE_SHOWN),
            populations=populations,
            attribution=self._attribution(work, sets),
            sets=sets,
            studies=tuple(
                StudyChapter(label, heading, _chapter(work, label))
                for label, heading in self.studies.items()
                if label in self.tables
            ),
            break_even=self._break_even(sets, populations),
            config_yaml=yaml_text.dump(dict(self.experiment)),
            provenance=(
                ("Data", work.examples.digest),
                *((name, value) for name, value in versions().items()),
            ),
        )
        drawn = self.draw(report)
        figures = {f"{name}.png": figure for name, figure in drawn.figures.items()}
        return Shard(
            columns={"page": np.arange(1)},
            summary={"summary": drawn.summary, "headlines": dict(drawn.headlines)},
            blobs={PAGE: drawn.html.encode(), **figures},
        )

    def _words(self, key: str, *, always: Collection[str] | None = None) -> str:
        return sentence(in_use(self.experiment[key], self.identity.get(key, {}), always=always))

    def _with_time(self, work: Work, population: PopulationContent) -> PopulationContent:
        """Return a population with the measured core seconds of all its tables, if some models are proxies.

        A proxy takes another time to train than the models that unlearn, so a count of retrainings says
        little about its cost. Without proxies the page shows no times, so that it has the same bytes if it is
        computed again.
        """
        if not any(name.startswith(POPULATION) for name in self.tables):
            return population
        begins = (f"{population.role}/", f"{POPULATION}{population.role}/")
        tables = [table for name, table in work.inputs.items() if f"{name}/".startswith(begins)]
        measured = [core_seconds(work.store, table) for table in tables]
        known = [seconds for seconds in measured if seconds is not None]
        return dataclasses.replace(population, seconds=sum(known) if known else None)

    def _set(self, work: Work, label: str, number: int, pictures: Pictures) -> SetContent:
        ids, labels = work.read(f"forget/{label}")["index"], work.examples.labels
        floors = {
            name: read_judged(work.store, work.inputs[f"floor/{name}/{label}"]).scores for name in self.judges
        }
        return SetContent(
            label=label,
            plugin=plugin_name(self.forget_sets[label]),
            forgotten=pictures.points(ids),
            judges=self.judges,
            floor=floors,
            before=read_point_margins(work.store, work.inputs["full"], self.layout, labels, ids),
            oracle=read_point_margins(work.store, work.inputs[f"oracle/{label}"], self.layout, labels, ids),
            rows=tuple(self._row(work, name, label, ids) for name in self.unlearners),
            points_title=self._points_title(work, label),
            forecast=self._forecast(work, label, ids, pictures) if self._has_effects else None,
            influences=example_contents(work, pictures, number) if self._has_effects else (),
        )

    def _forecast(self, work: Work, label: str, ids: Indices, pictures: Pictures) -> ForecastContent:
        """Return the predicted margins of the points of a set, beside the margins of oracles."""
        names = {"full": "full", "effect": f"effect/{label}", "oracle": f"oracle/{label}"}
        tables = {name: work.inputs[place] for name, place in names.items()}
        found = forecast(work.store, **tables, layout=self.layout, labels=work.examples.labels)
        return forecast_content(found, label, ids, pictures)

    def _row(self, work: Work, name: str, label: str, ids: Indices) -> MethodRow:
        unlearner, tables = (
            self.unlearners[name],
            {judge: work.inputs.get(f"verdict/{judge}/{name}/{label}") for judge in self.judges},
        )
        judged = {
            judge: read_judged(work.store, table) for judge, table in tables.items() if table is not None
        }
        unlearned = work.inputs[f"unlearned/{name}/{label}"]
        # A verdict holds this number too, in one file. The table of unlearned models may have many files.
        samples = next((one.samples for one in judged.values()), None)
        samples = (
            float(work.store.read(unlearned, ["samples"])["samples"].mean()) if samples is None else samples
        )
        return MethodRow(
            label=name,
            plugin=plugin_name(unlearner),
            needs=unlearner.needs,
            moves_weights=unlearner.moves_weights,
            scores={judge: one.scores for judge, one in judged.items()},
            cost=cost_of(unlearner, samples, self.spending),
            points=self._points(work, f"verdict/{self._headline}/{name}/{label}", ids),
            margins=read_point_margins(work.store, unlearned, self.layout, work.examples.labels, ids),
            snapshots=snapshot_rows(unlearner, judged, self.spending),
        )

    @property
    def _headline(self) -> str:
        return next(iter(self.judges))

    def _points_title(self, work: Work, label: str) -> str:
        """Return the first judge's title for its values of points; empty if it gives none."""
        column = points_column(work.store, work.inputs[f"floor/{self._headline}/{label}"])
        return "" if column is None else self.judges[self._headline].title(column)

    def _points(self, work: Work, name: str, ids: Indices) -> PerPoint:
        """Return the first judge's values of points; NaN if it gives none."""
        column = points_column(work.store, work.inputs[name]) if name in work.inputs else None
        return (
            np.full(len(ids), np.nan)
            if column is None
            else work.read(name, [column])[column][ids].astype(np.float64)
        )

    def _attribution(self, work: Work, sets: tuple[SetContent, ...]) -> AttributionContent | None:
        if not (self._has_effects or "score" in self.tables):
            return None
        about: dict[str, Any] = {
            "estimator": sentence(describe(self.estimator)),
            "penalty": "",
            "n_models": self.n_learnt_from,
        }
        if "score" in self.tables:
            score = work.store.summary(work.inputs["score"])
            medians = {name.replace("_", " "): value for name, value in score["medians"].items()}
            penalties = [f"{name} {value:.4g}" for name, value in medians.items() if "penalty" in name]
            about |= {
                "penalty": ", ".join(penalties),
                "r2": score["r2_heldout"],
                "r2_by_block": tuple(score["r2_heldout_by_block"]),
                "lds_interval": tuple(score["lds_interval"]),
                **{name: score[name] for name in ("lds", "n_constant", "n_flat")},
            }
        about["curve"] = curve_content(work.read("curve")) if "curve" in self.tables else None
        if "forget_curve" in self.tables:
            klom = next(label for label, judge in self.judges.items() if isinstance(judge, KlomJudge))
            floors = {content.label: content.floor[klom].rows[0].value for content in sets}
            about["forgetting"] = forget_curve_contents(work.read("forget_curve"), floors)
        return AttributionContent(**about)

    def _break_even(self, sets: tuple[SetContent, ...], populations: tuple[PopulationContent, ...]) -> str:
        if not any("effect" in unlearner.needs for unlearner in self.unlearners.values()):
            return ""
        fractions = [
            row.cost.fraction for content in sets for row in content.rows if row.role == Role.DATAMODEL
        ]
        if not fractions:
            return "No method here unlearns with a datamodel, so there is none to share."
        spending = self.spending
        said = [break_even(spending.datamodel, max(fractions))]
        if spending.proxies:
            said.append(proxies_counted(spending.by_time(populations), max(fractions)))
        if spending.focused:
            said.append(
                focused_pays(spending.focused, spending.break_even(spending.n_models), spending.n_models)
            )
        return " ".join(said)


def _chapter(work: Work, label: str) -> str:
    table = work.inputs[label]
    return work.store.read_blob(table.folder, table.pieces[0].shard, CHAPTER).decode()
