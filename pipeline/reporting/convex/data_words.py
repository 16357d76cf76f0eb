"""Real data in words: what removals are called, and what their courses and sweeps come to."""

from math import inf

import numpy as np

from pipeline.reporting.convex.content import CourseContent, DataContent
from pipeline.reporting.convex.linear_words import raised, share

NAMES = {
    "nothing": "nothing done",
    "retrain": "retraining",
    "newton": "Newton step",
    "influence": "influence functions",
    "projective_residual": "projective residual",
    "descent_to_delete": "descent-to-delete",
    "gradient_descent": "GD",
    "projected_gd": "projected GD",
    "gradient_ascent": "GDA",
    "oracle_matching": "Oracle Matching",
    "gradient_descent_stochastic": "SGD",
    "oracle_matching_stochastic": "Oracle Matching, batches",
    "dmm_newton": "DMM, leave-out forecast",
    "dmm_influence": "DMM, influence forecast",
    "dmm_datamodels": "DMM, ridge datamodels",
}
BESIDE = {"oracle_matching_stochastic": "OM in batches", "oracle_matching": "OM", "gradient_descent": "GD", "gradient_descent_stochastic": "SGD"}
SHORT = {
    "influence": "influence",
    "projective_residual": "projective residual",
    "newton": "Newton",
    "oracle_matching": "OM",
    "oracle_matching_stochastic": "OM, batches",
    "dmm_newton": "DMM, leave-out",
    "dmm_influence": "DMM, influence",
    "dmm_datamodels": "DMM, datamodels",
}


def name_of(label: str, *, short: bool = False) -> str:
    """Return what a removal is called."""
    return SHORT.get(label, NAMES[label]) if short else NAMES[label]


def amount(value: float) -> str:
    """Return a number of any size with the digits that count."""
    if value < 10 or value == inf:
        return share(value)
    mantissa, exponent = f"{value:.0e}".split("e")
    return f"{value:,.0f}" if value < 1e5 else f"{mantissa}·10{raised(int(exponent))}"


def about_words(content: DataContent) -> str:
    """Return what the data and the problem are."""
    facts = content.facts
    return (
        f"{facts['n_points']:,} points of {facts['n_features']} features, {facts['n_classes']} classes, {facts['n_forget']:,} forgotten at random; "
        f"λ = {facts['penalty']:g}, condition number {facts['constants']['condition']:,.0f} at most; "
        f"{100 * facts['accuracy']['full']:.1f} % of unseen points right"
    )


def course_words(content: DataContent) -> str:
    """Return who comes how far with the same number of gradients."""
    ends = {outcome["label"]: outcome["share"] for outcome in content.outcomes}
    return "R after as many gradients: " + ", ".join(f"{name} {share(ends[label])}" for label, name in BESIDE.items() if label in ends)


def plateau_words(content: DataContent) -> str:
    """Return how soon each forecast is matched to twice where it ends, and how soon the oracle is to the same R."""
    oracle, said = content.course("oracle_matching_stochastic"), []
    for course in content.courses:
        if course.label.startswith("dmm_") and oracle is not None:
            target = 2 * float(course.shares[-1])
            passes = [_passes_to(one, target) / content.facts["n_points"] for one in (course, oracle)]
            said.append(f"{name_of(course.label, short=True)} {passes[0]:.2g} passes (the oracle {passes[1]:.2g})")
    return f"To twice where it ends: {', '.join(said)}." if said else ""


def _passes_to(course: CourseContent, target: float) -> float:
    reached = course.shares <= target
    return float(course.evaluations[np.argmax(reached)]) if reached.any() else inf


def cost_words(content: DataContent) -> str:
    """Return what retraining costs, in the unit of the courses."""
    course = content.course("retrain")
    return "" if course is None else f"Retraining by Newton steps costs as much as {course.evaluations[-1] / content.facts['n_points']:,.0f} passes."


def assumption_words(content: DataContent) -> str:
    """Return the constants that theory rests on."""
    found = content.facts["constants"]
    return (
        f"The loss is strongly convex with m = {found['strong_convexity']:.3g} and smooth with M = {found['smoothness']:.3g}; one point's loss has the "
        f"Lipschitz constant {found['lipschitz']:.3g}, the Hessian of all {found['hessian_lipschitz']:.3g}."
    )


def noise_words(content: DataContent) -> str:
    """Return what KLoM and U-LiRA are measured under, and what descent-to-delete pays for its promise."""
    return (
        f"A convex model has one minimiser, so KLoM and U-LiRA are measured under Gaussian noise on the weights, σ = {share(content.facts['sigma'])}, the same "
        "for unlearned and retrained models; the row of retraining is the floor. U-LiRA is balanced accuracy, 50 % what guessing scores. Descent-to-delete "
        "ends where its own noise takes it: its promise is for any data of the same constants, which at a small penalty costs more noise than a model survives."
    )
