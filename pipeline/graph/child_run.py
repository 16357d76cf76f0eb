"""The child runs of an experiment in MLflow; each node names the child run that shows it."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class ChildRun:
    """One child run of an experiment.

    A later run finds the child run again by name. title begins with a number, by which child runs are sorted.
    note describes the page in Markdown. Users filter child runs by tags.
    """

    name: str
    title: str
    note: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)

    def all_tags(self) -> dict[str, str]:
        """Return the tags by which users filter child runs.

        The tag `dmm.stage` is the name of the child run, unless `tags` gives another value.
        """
        return {"dmm.stage": self.name, **self.tags}


ATTRIBUTION = ChildRun(
    name="attribution",
    title="3 attribution",
    note=(
        "**What each training point does to each output**, learnt from the models; the effect of removing a "
        "forget set is predicted from it."
    ),
)


def child_of_method(method: str, forget_set: str) -> ChildRun:
    """Return the child run that shows one method, or the noise floor, on one forget set."""
    tags = {"dmm.stage": "unlearning", "dmm.unlearner": method, "dmm.forget_set": forget_set}
    return ChildRun(name=f"{method}/{forget_set}", title=f"4 {forget_set}: {method}", tags=tags)
