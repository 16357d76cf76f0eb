"""Attribution from checkpoints: removing points moves each trained model by a step in its parameters.

The change of an output is its derivative along the step. One forward derivative of the model gives this
change for all points and classes at once, so nothing is stored for each output, and no gradient of an output
is taken. A step is given by its coefficients, which are far fewer than parameters; `factor` stores them for
the held-out masks.
"""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Bool, Float
from typing_extensions import override

from pipeline.attribution.datamodel import Effect, as_indices
from pipeline.attribution.estimator import Arrays, Estimator
from pipeline.attribution.evidence import Block, Evidence, check_outputs
from pipeline.core.arrays import HeldoutOutputs, Indices, Masks, Outputs, PerOutput, require_masks
from pipeline.core.errors import ConfigError, ShapeError
from pipeline.core.registry import plugin_name
from pipeline.core.settings.neutral import setting
from pipeline.data.examples import Examples
from pipeline.training.ensemble import Builder, initial_states
from pipeline.training.gradients import Checkpoints, Cotangents, Vectors, margin_cotangents

# Number of parameters that the steps in memory may have together: 256 MB as float32.
PARAMETERS = 2**26

Removed = Bool[np.ndarray, "n_sets n_train"]
Coefficients = Float[np.ndarray, "n_sets n_rows"]


class StepEstimator(Estimator):
    """Predicts the mean over trained models of the change that a step makes to their outputs.

    layers: the parameters that move, `all` or those of the `last` linear layer, for models with many
    parameters. curvature: the error of the first-order approximation, as a share of the effect; the standard
    error combines it with the spread over models.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"checkpoints"})
    # Training objectives for which the steps are correct.
    knows: ClassVar[tuple[type, ...]] = ()

    layers: Literal["all", "last"] = setting(neutral="all")
    curvature: float = setting(neutral=0.15, ge=0, le=1e6)

    @abstractmethod
    def look(self, checkpoints: Checkpoints, model: int) -> dict[str, np.ndarray]:
        """Return the arrays that the steps of one model need.

        The first axis of each array has length n_rows, the number of coefficients of a step.
        """

    @abstractmethod
    def coefficients(
        self, learnt: Arrays, checkpoints: Checkpoints, model: int, removed: Removed
    ) -> Coefficients:
        """Return the coefficients of a model's steps (n_sets, n_rows), one row for each removed set.

        learnt: the result of `look`. removed marks the points of each set.
        """

    @abstractmethod
    def steps(
        self,
        learnt: Arrays,
        checkpoints: Checkpoints,
        model: int,
        removed: Removed,
        coefficients: Coefficients,
    ) -> Vectors:
        """Return the steps (n_sets, n_parameters) with these coefficients."""

    @abstractmethod
    def singles(
        self, learnt: Arrays, checkpoints: Checkpoints, model: int, points: Indices, cotangents: Cotangents
    ) -> Float[np.ndarray, "n_train n_listed"]:
        """Return the change of a model's outputs when each training point alone is removed.

        Output j is the sum of cotangents[j] times the logits of points[j].
        """

    @override
    def check_model(self, build: Builder, examples: Examples) -> None:
        """Take the derivatives of a fresh model once, at two points.

        Raises ConfigError if torch cannot take them for the parameters that move, or if the model is too
        large.
        """
        fresh = Checkpoints(build, lambda: initial_states(build, [0]), examples)
        checkpoints, points = fresh if self.layers == "all" else fresh.last_layer(), np.arange(2)
        try:
            checkpoints.gradients(0, points, np.ones((2, examples.n_classes), np.float32))
            checkpoints.push(0, np.zeros((1, checkpoints.n_parameters), np.float32), points)
        except RuntimeError as error:
            raise ConfigError(
                f"{self.name} cannot take the gradients of single points of model "
                f"{type(build.model).__qualname__} ({error}); "
                "use layers that torch.func can differentiate under vmap, or an estimator or settings that "
                "read no checkpoints"
            ) from error
        self.check_size(checkpoints)

    @override
    def check_objective(self, objective: object) -> None:
        """Raise ConfigError unless steps can follow the objective with which models are trained."""
        if not isinstance(objective, self.knows):
            raise ConfigError(
                f"{plugin_name(self)} has no derivatives of {objective!r}, with which the models are "
                "trained; "
                "set recipe.objective to 'cross_entropy', or use an estimator that learns from subset "
                "models, such as 'kernel'"
            )

    def check_size(self, checkpoints: Checkpoints) -> None:
        """Raise ConfigError if the arrays for models of this size would not fit in memory.

        By default any size is accepted.
        """

    def checkpoints(self, evidence: Evidence) -> Checkpoints:
        """Return the trained models; raises ConfigError if there are fewer than 2."""
        found = (
            evidence.checkpoints()
            if self.layers == "all"
            else evidence.once("last layer", lambda: evidence.checkpoints().last_layer())
        )
        if found.n_models < 2:
            raise ConfigError(
                f"estimator {self.name!r} needs at least 2 trained models, got {found.n_models}; raise "
                "populations.scout.n_models"
            )
        return found

    @override
    def factor(self, evidence: Evidence) -> Arrays:
        """Return the results of `look` for each model, (n_rows, n_models, …).

        If there are held-out masks, `heldout` (n_rows, n_models, n_heldout) holds the coefficients of the
        steps that remove the points outside each mask.
        """
        checkpoints = self.checkpoints(evidence)
        looks = [self.look(checkpoints, model) for model in range(checkpoints.n_models)]
        found = {name: np.stack([look[name] for look in looks], axis=1) for name in looks[0]}
        if evidence.heldout is None:
            return found
        heldout = [
            self.coefficients(look, checkpoints, model, ~evidence.heldout).T
            for model, look in enumerate(looks)
        ]
        return found | {"heldout": np.stack(heldout, axis=1)}

    @override
    def fit(self, factor: Arrays, evidence: Evidence, block: Block) -> Arrays:
        """Return `start` (n_outputs,), the models' mean outputs before anything is removed."""
        check_outputs(evidence.masks, block.outputs)
        return {"start": block.outputs.mean(axis=0)}

    @override
    def datamodel(self, factor: Arrays, fit: Arrays, evidence: Evidence, block: Block) -> "StepDatamodel":
        return StepDatamodel(
            estimator=self, factor=factor, evidence=evidence, block=block, start=fit["start"]
        )

    @override
    def predict_heldout(
        self, factor: Arrays, fit: Arrays, evidence: Evidence, block: Block
    ) -> HeldoutOutputs:
        if evidence.heldout is None or "heldout" not in factor:
            return super().predict_heldout(factor, fit, evidence, block)
        return self.datamodel(factor, fit, evidence, block).predict_with(evidence.heldout, factor["heldout"])


@dataclass(frozen=True, kw_only=True)
class StepDatamodel:
    """Predicts the outputs of a block from the steps of trained models.

    start (n_outputs,): the outputs with all points.
    """

    estimator: StepEstimator
    factor: Arrays
    evidence: Evidence
    block: Block
    start: PerOutput

    def predict(self, masks: Masks) -> Outputs:
        """Return predicted outputs (n_models, n_outputs) for raw 0/1 masks (n_models, n_train)."""
        require_masks("masks", masks, self.evidence.n_train)
        return self.predict_with(masks, None)

    def predict_with(
        self, masks: Masks, coefficients: Float[np.ndarray, "n_rows n_checkpoints n_sets"] | None
    ) -> Outputs:
        """Return predicted outputs (n_models, n_outputs) for masks.

        coefficients: those of the steps that remove the points outside each mask; if None, they are computed.
        """
        checkpoints = self.estimator.checkpoints(self.evidence)
        total = np.zeros((len(masks), len(self.start)))
        size = max(1, PARAMETERS // checkpoints.n_parameters)
        for model, learnt in self._learnt():
            for part in (slice(start, start + size) for start in range(0, len(masks), size)):
                known = None if coefficients is None else coefficients[:, model, part].T
                total[part] += self._pushed(model, self._steps(model, learnt, ~masks[part], known))
        return self.start + total / checkpoints.n_models

    def effect_of_removing(self, indices: Indices) -> Effect:
        """Return the predicted change of each output when indices are removed.

        It is the mean over models, with its standard error. Raises DataError on ids that are repeated or not
        training points.
        """
        indices = as_indices(indices, self.evidence.n_train)
        steps = self.evidence.once(
            ("steps", self.estimator, indices.tobytes()), lambda: self._steps_of_removing(indices)
        )
        return Effect(
            *self._over_models(
                np.concatenate([self._pushed(model, step[None]) for model, step in enumerate(steps)])
            )
        )

    def weights(self) -> Float[np.ndarray, "n_train n_outputs"]:
        """Return what each training point adds to each output: the negated effect of removing it alone."""
        return -self.effects_of_each()[0]

    def effects_of_each(
        self,
    ) -> tuple[Float[np.ndarray, "n_train n_outputs"], Float[np.ndarray, "n_train n_outputs"]]:
        """Return the effects of removing each training point alone: means and standard errors.

        An array (n_train, n_outputs) for each trained model is held in memory.
        """
        checkpoints, points = (
            self.estimator.checkpoints(self.evidence),
            np.repeat(self.block.points, self.block.per_point),
        )
        found = []
        for model, learnt in self._learnt():
            cotangents = self._cotangents(model).reshape(-1, checkpoints.n_classes)
            found.append(self.estimator.singles(learnt, checkpoints, model, points, cotangents))
        return self._over_models(np.stack(found))

    def _over_models(
        self, changes: Float[np.ndarray, "n_checkpoints *shape"]
    ) -> tuple[Float[np.ndarray, "*shape"], Float[np.ndarray, "*shape"]]:
        """Return the mean over models, and its standard error, which includes `curvature`."""
        mean = changes.mean(axis=0)
        return mean, np.sqrt(
            changes.var(axis=0, ddof=1) / len(changes) + (self.estimator.curvature * mean) ** 2
        )

    def _learnt(self) -> Iterator[tuple[int, Arrays]]:
        """Yield each model with the results of `look` for it."""
        names = [name for name in self.factor if name != "heldout"]
        for model in range(self.estimator.checkpoints(self.evidence).n_models):
            yield model, {name: self.factor[name][:, model] for name in names}

    def _steps(self, model: int, learnt: Arrays, removed: Removed, known: Coefficients | None) -> Vectors:
        checkpoints = self.estimator.checkpoints(self.evidence)
        found = self.estimator.coefficients(learnt, checkpoints, model, removed) if known is None else known
        return self.estimator.steps(learnt, checkpoints, model, removed, found)

    def _steps_of_removing(self, indices: Indices) -> Float[np.ndarray, "n_checkpoints n_parameters"]:
        removed = np.zeros((1, self.evidence.n_train), bool)
        removed[0, indices] = True
        return np.concatenate([self._steps(model, learnt, removed, None) for model, learnt in self._learnt()])

    def _pushed(self, model: int, steps: Vectors) -> Float[np.ndarray, "n_sets n_outputs"]:
        """Return the first-order change of the block's outputs of one model, for each step."""
        changes = self.estimator.checkpoints(self.evidence).push(model, steps, self.block.points)
        return np.einsum("snk,nok->sno", changes, self._cotangents(model)).reshape(len(steps), -1)

    def _cotangents(self, model: int) -> Float[np.ndarray, "n_block_points per_point n_classes"]:
        """Return the cotangents of the block's outputs: each logit of a point, or its margin."""
        checkpoints, points = self.estimator.checkpoints(self.evidence), self.block.points
        if self.block.per_point == checkpoints.n_classes:
            return np.broadcast_to(
                np.eye(checkpoints.n_classes, dtype=np.float32),
                (len(points), checkpoints.n_classes, checkpoints.n_classes),
            )
        if self.block.per_point != 1:
            raise ShapeError(
                f"there are {self.block.per_point} outputs for each point; expected {checkpoints.n_classes} "
                "(its logits) or 1 (its margin)"
            )
        return margin_cotangents(checkpoints.logits(model, points), checkpoints.labels[points])[:, None]
