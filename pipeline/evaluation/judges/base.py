"""The base class of judges, and the models that are trained for a judge."""

import inspect
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from pydantic import model_validator

from pipeline.core.errors import ConfigError
from pipeline.core.registry import Plugin, plugin_name
from pipeline.core.roles import StartRole
from pipeline.core.settings.neutral import setting
from pipeline.evaluation.judges.inputs import JudgeInput
from pipeline.evaluation.judges.scores import Scores, Yardstick, check_scores

# Inputs that a judge may need. `full` stands for the models before unlearning; the others are needed of both
# sides, unlearned and retrained.
NEEDS = frozenset({"margins", "logits", "states", "full"})


@dataclass(frozen=True, kw_only=True)
class TrainedModels:
    """Models that are trained for a judge.

    Each model sees keep_fraction of the points (None: all points). With leaves_out_forget_set it does not see
    the forget set, and each forget set has its own population; otherwise all forget sets share one. With
    keeps_states the weights are kept too.
    """

    n_models: int
    keep_fraction: float | None = None
    leaves_out_forget_set: bool = True
    keeps_states: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.n_models, bool) or not isinstance(self.n_models, int) or self.n_models < 2:
            raise ConfigError(
                f"n_models of a judge's population is {self.n_models!r}; expected a whole number, 2 or more"
            )
        if self.keep_fraction is not None and not 0 < self.keep_fraction < 1:
            raise ConfigError(
                f"keep_fraction of a judge's population is {self.keep_fraction!r}; expected 0 to 1, or None"
            )
        if self.keep_fraction is not None and self.leaves_out_forget_set:
            raise ConfigError(
                "a judge's population has a keep_fraction; set leaves_out_forget_set=False beside it"
            )


class Judge(Plugin):
    """Compares unlearned models with retrained ones.

    needs names the inputs that `judge` reads: `margins`, `logits` or `states` of both sides, and `full` for
    the models before unlearning. start names the role of the models before unlearning. Null means the models
    from which the judged unlearner started, and the full models when the floor is judged. fewest_models is
    the least number of models on each side. A judge that needs models of its own names them in `populations`.
    A judge that trains the judged models further names the method in `treatment`. All of this is planned,
    priced and resumed like the rest of the experiment. If an input is not available, the judge is refused
    before anything is computed.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"margins"})
    fewest_models: ClassVar[int] = 2
    yardstick: ClassVar[Yardstick] = Yardstick(noise=0.0, by_interval=True)
    # Text that is shown after the first paragraph of the class's docstring.
    about: ClassVar[str] = ""
    # Titles of statistics whose names are not clear enough.
    titles: ClassVar[Mapping[str, str]] = {}

    start: StartRole | None = setting(neutral=None)

    @model_validator(mode="after")
    def _reads_start(self) -> "Judge":
        if self.start is not None and "full" not in self.needs:
            raise ValueError(
                f"start is {self.start!r}, but this judge does not read the models before unlearning; "
                "remove start"
            )
        return self

    @abstractmethod
    def judge(self, found: JudgeInput) -> Scores:
        """Return the scores of the unlearned models; the floor population is judged by the same call."""

    def populations(self) -> Mapping[str, TrainedModels]:
        """Return the models to be trained for this judge, by name; none unless a judge says otherwise."""
        return {}

    def treatment(self) -> Plugin | None:
        """Return the unlearner applied to both sides first, such as one that relearns; or None."""
        return None

    def title(self, statistic: str) -> str:
        """Return what a statistic is called in tables."""
        return self.titles.get(statistic, statistic.replace("_", " "))

    @property
    def note(self) -> str:
        """The explanation of the scores: the first paragraph of the class's docstring, and `about`."""
        first = (inspect.getdoc(type(self)) or plugin_name(self)).split("\n\n")[0]
        return " ".join(f"{first} {self.about}".split())

    @property
    def needs_states(self) -> bool:
        """Whether the weights of both sides must be kept."""
        return "states" in self.needs or self.treatment() is not None

    def _check_judge(self, scores: Scores, found: JudgeInput) -> None:
        check_scores(scores, len(found.labels))
