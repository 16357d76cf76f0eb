"""The convex study; its settings stand below the config key `convex`."""

from collections.abc import Iterator
from typing import Any, ClassVar

from typing_extensions import override

from pipeline.core.settings.neutral import setting
from pipeline.graph.nodes.study import StudyNode
from pipeline.results.tables import Table
from pipeline.results.tracked import Results
from pipeline.store.store import Store
from pipeline.studies.base import Finished, Place, Study
from pipeline.studies.convex.data_settings import DataSection, GuaranteeSection
from pipeline.studies.convex.linear.linear_study import Label, LinearStudy
from pipeline.studies.convex.nodes.convex_node import ConvexNode
from pipeline.studies.convex.nodes.data_node import ConvexData
from pipeline.studies.convex.nodes.guarantees_node import ConvexGuarantees
from pipeline.studies.convex.nodes.linear_node import LinearPanel
from pipeline.studies.convex.nodes.page_node import ConvexPage
from pipeline.studies.convex.result_tables import convex_note_table, convex_tables
from pipeline.studies.convex.study_nodes import convex_nodes
from pipeline.studies.convex.study_results import convex_results
from pipeline.studies.convex.tracked_results import convex_tracked


class ConvexStudy(Study):
    """Compare every unlearning algorithm on convex problems with the exact retrained minimiser.

    A part of the study that is null or empty is left out.
    """

    name: ClassVar[str] = "convex"
    title: ClassVar[str] = "convex study"
    heading: ClassVar[str] = "The convex case"
    note: ClassVar[str] = (
        "**Unlearning in the convex case**: every algorithm on convex problems, whose retrained minimiser is "
        "known exactly. `convex.html` shows it all."
    )
    kinds: ClassVar[tuple[type[StudyNode], ...]] = (LinearPanel, ConvexData, ConvexGuarantees, ConvexPage)

    linear: LinearStudy | None = setting(neutral={}, default=LinearStudy())
    data: dict[Label, DataSection] = setting(neutral={"digits": {}}, default={"digits": DataSection()})
    guarantees: GuaranteeSection | None = setting(neutral={}, default=GuaranteeSection())

    def content(self) -> str:
        """Return an empty text: nodes that load a data set record the content of its files themselves."""
        return ""

    @override
    def nodes(self, place: Place) -> Iterator[ConvexNode]:
        common: dict[str, Any] = {"guest": self, "run": self.run(place.label), "resources": place.resources}
        parts = convex_nodes(self.linear, self.data, self.guarantees, common, reads_inputs=place.reads_inputs)
        yield from parts.in_order()
        yield ConvexPage(key="convex/page", experiment_name=place.experiment_name, **vars(parts), **common)

    @override
    def results(self, store: Store, finished: Finished) -> dict[str, Any]:
        return convex_results(store, finished)

    @override
    def tables(self, store: Store, finished: Finished) -> list[Table]:
        return list(convex_tables(store, finished))

    @override
    def note_table(self, results: Results) -> Table:
        return convex_note_table(results)

    @override
    def tracked(self, store: Store, finished: Finished, *, version: str) -> Results:
        return convex_tracked(store, finished, version=version)
