"""The strongest membership attack, by likelihood ratio, and whether it breaks a promise.

Scores are exact: ln(density after unlearning / density after retraining) of a model's weights. No attacker
does better, even one that knows everything.
"""

from dataclasses import dataclass
from math import exp

import numpy as np
from jaxtyping import Float
from scipy.special import betaincinv

from pipeline.core.errors import DataError
from pipeline.core.seeds import generator
from pipeline.studies.convex.guarantees.certificates import Promise

AttackScores = Float[np.ndarray, " _"]


@dataclass(frozen=True, kw_only=True, eq=False)
class AttackVerdict:
    """The result of the attack at the threshold where TPR − e^ε·FPR is largest.

    excess is TPR − e^ε·FPR − δ, and excess_low is a lower confidence bound on excess. The best threshold is
    known without a search: the attack accepts all models with a density ratio above e^ε.
    """

    tpr: float
    fpr: float
    excess: float
    excess_low: float

    @property
    def is_broken(self) -> bool:
        """Whether the promise is broken, at the confidence of the bound."""
        return self.excess_low > 0


def gaussian_scores(distance: float, n_draws: int, seed: int) -> tuple[AttackScores, AttackScores]:
    """Return the scores of draws from two normal distributions with the same covariance.

    distance is the distance of their means in standard deviations. The score depends on a draw only along the
    line between the means, so nothing else is drawn.
    """
    drawn = distance * generator("attack", seed).standard_normal((2, n_draws))
    return drawn[0] + distance**2 / 2, drawn[1] - distance**2 / 2


def attack_verdict(
    unlearned: AttackScores, retrained: AttackScores, promise: Promise, confidence: float = 0.999
) -> AttackVerdict:
    """Return the worse of two verdicts: on recognising unlearned models, and retrained models.

    The worse verdict has the larger excess_low. Each of the four rates has a Clopper-Pearson bound with a
    quarter of the error probability 1 − confidence. Raises DataError if there are no scores, or NaN among
    them.
    """
    for name, scores in (("unlearned", unlearned), ("retrained", retrained)):
        if len(scores) == 0 or np.isnan(scores).any():
            raise DataError(
                f"{len(scores)} {name} scores hold {int(np.isnan(scores).sum())} NaN; give at least one, all "
                "of them numbers"
            )
    doubt = (1 - confidence) / 4
    found = [
        _one_sided(hits > promise.epsilon, false > promise.epsilon, promise, doubt)
        for hits, false in ((unlearned, retrained), (-retrained, -unlearned))
    ]
    return max(found, key=lambda one: one.excess_low)


def _one_sided(hits: np.ndarray, false: np.ndarray, promise: Promise, doubt: float) -> AttackVerdict:
    tpr, fpr, factor = float(hits.mean()), float(false.mean()), exp(promise.epsilon)
    low = (
        lower_rate(int(hits.sum()), len(hits), doubt)
        - factor * upper_rate(int(false.sum()), len(false), doubt)
        - promise.delta
    )
    return AttackVerdict(tpr=tpr, fpr=fpr, excess=tpr - factor * fpr - promise.delta, excess_low=low)


def lower_rate(n_hits: int, n_draws: int, doubt: float) -> float:
    """Return the Clopper-Pearson lower bound: at this rate, n_hits or more have the probability `doubt`."""
    return float(betaincinv(n_hits, n_draws - n_hits + 1, doubt)) if n_hits else 0.0


def upper_rate(n_hits: int, n_draws: int, doubt: float) -> float:
    """Return the Clopper-Pearson upper bound: at this rate, n_hits or fewer have the probability `doubt`."""
    return float(betaincinv(n_hits + 1, n_draws - n_hits, 1 - doubt)) if n_hits < n_draws else 1.0


def roc(
    unlearned: AttackScores, retrained: AttackScores, fpr: Float[np.ndarray, " n_rates"]
) -> Float[np.ndarray, " n_rates"]:
    """Return the true positive rate of the attack at each false positive rate.

    Thresholds come from the retrained scores. A rate below 1 / len(retrained) allows no false positive.
    """
    ordered = np.sort(retrained)[::-1]
    allowed = np.floor(fpr * len(ordered) + 1e-9).astype(int)
    thresholds = np.where(allowed < len(ordered), ordered[np.minimum(allowed, len(ordered) - 1)], -np.inf)
    return (unlearned[:, None] > thresholds).mean(axis=0)
