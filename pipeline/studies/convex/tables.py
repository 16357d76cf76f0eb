"""What a person sees of the convex study on a terminal, and on top of its page in MLflow."""

from collections.abc import Iterator

from pipeline.reporting.convex.data_words import amount
from pipeline.reporting.convex.data_words import name_of as removal_name
from pipeline.reporting.convex.linear_words import name_of, share
from pipeline.runtime.store import Store
from pipeline.runtime.tracker import Results
from pipeline.stages.convex_data import ConvexData
from pipeline.stages.convex_guarantees import ConvexGuarantees
from pipeline.stages.convex_linear import LinearPanel
from pipeline.studies.base import Finished, StudyTable
from pipeline.studies.convex.results import summaries, tables_of

ALGORITHMS = ("gd", "om", "omrs", "dmm_exact", "dmm_datamodels", "dmm_influence")


def convex_tables(store: Store, finished: Finished) -> Iterator[StudyTable]:
    """Yield the steps of the algorithms, then what removals on real data and promises came to."""
    panels = {place: (store.summary(table), store.read(table)) for place, table in tables_of(finished, LinearPanel).items()}
    if panels:
        caption = "full-batch steps until R ≤ 10⁻², and in brackets R after all stochastic steps"
        rows = [
            (name_of(name), *(_cell(found["steps_to"][name]["0.01"], float(read[f"stochastic.{name}.best.mean"][-1])) for found, read in panels.values()))
            for name in ALGORITHMS
        ]
        yield StudyTable(caption=caption, words=("algorithm",), numbers=tuple(panels), rows=tuple(rows))
    for label, told in summaries(store, finished, ConvexData).items():
        caption = f"{label}: R and P95 KLoM on forgotten points at the end"
        ends = [(removal_name(one["label"]), amount(one["share"]), f"{one['klom']['forget']['p95']:.2f}") for one in told["outcomes"]]
        yield StudyTable(caption=caption, words=("removal",), numbers=("R", "KLoM"), rows=tuple(ends))
    for told in summaries(store, finished, ConvexGuarantees).values():
        cases = [(f"{case['method']}: {case['situation']}", "broken" if case["verdict"]["is_broken"] else "kept") for case in told["cases"]]
        yield StudyTable(caption="promises under the strongest attack", words=("situation",), numbers=("promise",), rows=tuple(cases))


def convex_note_rows(results: Results) -> tuple[list[str], list[list[str]]]:
    """Return the steps of each algorithm to 1 % as headings and rows."""
    steps = [row for row in results.tables.get("steps", ()) if row["steps_to_0.01"] is not None]
    return ["panel", "algorithm", "steps to 1 %"], [[row["panel"], row["algorithm"], f"{row['steps_to_0.01']:,}"] for row in steps]


def _cell(steps: int | None, left: float) -> str:
    return f"{'–' if steps is None else f'{steps:,}'} ({share(left)})"
