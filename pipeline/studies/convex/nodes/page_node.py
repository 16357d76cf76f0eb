"""The node of the page of the convex study, made from the results of the other nodes.

The report includes its chapter unchanged.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from typing_extensions import override

from pipeline.core.registry import Plugin
from pipeline.graph.node import Parent, Work
from pipeline.graph.nodes.study import Chapter, StudyPage
from pipeline.studies.convex.chapter.chapter_content import (
    CaseContent,
    ConvexContent,
    CourseContent,
    DataContent,
    GuaranteeContent,
    LinearContent,
)
from pipeline.studies.convex.nodes.convex_node import ConvexNode
from pipeline.studies.convex.nodes.data_node import ConvexData
from pipeline.studies.convex.nodes.guarantees_node import ConvexGuarantees
from pipeline.studies.convex.nodes.linear_node import LinearPanel


@dataclass(frozen=True, kw_only=True)
class ConvexPage(ConvexNode, StudyPage):
    """The chapter on the convex case, as a page and as a part of the report, and its figures as PNG blobs."""

    revision: ClassVar[int] = 2

    linear: tuple[LinearPanel, ...]
    data: tuple[ConvexData, ...] = ()
    left_out: tuple[str, ...] = ()
    guarantees: tuple[ConvexGuarantees, ...] = ()

    @property
    @override
    def slug(self) -> str:
        return "page"

    @override
    def settings(self) -> dict[str, Any]:
        return {"title": self.experiment_name, "left_out": list(self.left_out)}

    @override
    def plugins(self) -> tuple[Plugin, ...]:
        return ()

    @override
    def parents(self) -> dict[str, Parent]:
        return {node.key: Parent(node.key) for node in (*self.linear, *self.data, *self.guarantees)}

    @override
    def chapter(self, work: Work) -> Chapter:
        # Imported here, because only drawing needs Matplotlib.
        from pipeline.studies.convex.chapter.chapter_page import (
            chapter_figures,
            chapter_summary,
            render_chapter,
            render_page,
        )

        content = ConvexContent(
            title=self.experiment_name,
            linear=tuple(_linear(panel, work) for panel in self.linear),
            data=tuple(_data(node, work) for node in self.data),
            left_out=self.left_out,
            guarantees=next((_guarantees(node, work) for node in self.guarantees), None),
        )
        html = render_chapter(content)
        return Chapter(
            html=html,
            page=render_page(content, html),
            summary=chapter_summary(content),
            figures=chapter_figures(content),
        )


def _linear(node: LinearPanel, work: Work) -> LinearContent:
    return LinearContent(
        example=node.label,
        spectrum=node.example.spectrum,
        penalty=node.penalty,
        n_draws=node.study.n_draws,
        n_points=node.study.n_points,
        n_features=node.study.n_features,
        n_forget=node.study.n_forget,
        noise_variance=node.example.noise_variance,
        batch_size=node.study.batch_size,
        n_subset_models=node.study.n_subset_models,
        curves=work.read(node.key),
        findings=work.store.summary(work.inputs[node.key]),
    )


def _data(node: ConvexData, work: Work) -> DataContent:
    told, rows = work.store.summary(work.inputs[node.key]), work.read(node.key)
    courses = []
    for number, course in enumerate(told["courses"]):
        chosen = rows["course"] == number
        found = {
            field: rows[name][chosen]
            for name, field in (("step", "steps"), ("evaluations", "evaluations"), ("share", "shares"))
        }
        courses.append(CourseContent(label=course["label"], **found))
    return DataContent(
        label=node.label,
        courses=tuple(courses),
        facts=told["facts"],
        outcomes=tuple(told["outcomes"]),
        cells=tuple(told["cells"]),
    )


def _guarantees(node: ConvexGuarantees, work: Work) -> GuaranteeContent:
    told, rows = work.store.summary(work.inputs[node.key]), work.read(node.key)
    chosen = [rows["case"] == number for number in range(len(told["cases"]))]
    cases = tuple(
        CaseContent(fpr=rows["fpr"][one], tpr=rows["tpr"][one], told=case)
        for one, case in zip(chosen, told["cases"], strict=True)
    )
    return GuaranteeContent(facts=told["facts"], cases=cases)
