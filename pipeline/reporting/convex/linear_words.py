"""The linear study in words: who gets there first, where forecasts stop, and whether theory and iterates agree."""

import math

from pipeline.reporting.convex.content import LinearContent

NAMES = {
    "gd": "GD on the retained points",
    "om": "Oracle Matching",
    "omrs": "OM on the retained points only",
    "dmm_exact": "DMM, exact leave-out algebra",
    "dmm_datamodels": "DMM, ridge datamodels",
    "dmm_influence": "DMM, influence functions",
}
SHORT = {"gd": "GD", "om": "OM", "omrs": "OM, retained only", "dmm_exact": "DMM exact", "dmm_datamodels": "DMM datamodels", "dmm_influence": "DMM influence"}
EARLIER = {
    "newton": "Newton step (certified removal, without noise)",
    "influence": "influence step, Hessian of all points",
    "projective_residual": "projective residual update",
    "projected_gd": "projected GD",
    "descent_to_delete": "descent-to-delete, ε = 1, δ = 10⁻³",
}
MODES = {"full": "full batch", "stochastic": "batches"}
TARGET = "0.01"
# R is of squares: so little of a distance is within double precision of none.
ROUNDING = 1e-24


def name_of(algorithm: str, *, short: bool = False) -> str:
    """Return what an algorithm is called."""
    if algorithm.startswith("gda_"):
        return f"GDA, a = {algorithm.removeprefix('gda_')}"
    return (SHORT if short else NAMES)[algorithm]


def share(value: float) -> str:
    """Return an R with two digits that count; powers of ten below a thousandth and from a hundred on; 0 for what is rounding alone."""
    if value >= 1e11:
        return "diverged"
    if value < ROUNDING:
        return "0"
    if 9.95e-4 <= value < 99.5:
        return f"{value:.2g}"
    mantissa, exponent = f"{value:.0e}".split("e")
    return f"{mantissa}·10{raised(int(exponent))}"


def raised(exponent: int) -> str:
    """Return an exponent as it stands raised."""
    return str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def power(value: float) -> str:
    """Return a power of ten as it stands on an axis."""
    return "1" if value == 1 else f"10{raised(round(math.log10(value)))}"


def counted(n_steps: int) -> str:
    """Return a number of steps."""
    return "1 step" if n_steps == 1 else f"{n_steps:,} steps"


def panel_title(panel: LinearContent, mode: str) -> str:
    """Return who is faster, as the title of a panel: full-batch steps to 1 %, or what is left at the end of stochastic ones."""
    if mode == "stochastic":
        left = {name: panel.mean(mode, name)[-1] for name in ("om", "gd")}
        first, second = sorted(left, key=lambda name: left[name])
        return f"{SHORT[first]} ends at {share(left[first])}, {SHORT[second]} at {share(left[second])}"
    steps = {name: panel.findings["steps_to"][name][TARGET] for name in ("om", "gd")}
    if None in steps.values():
        return "; ".join(f"{SHORT[name]} {'never at 1 %' if count is None else f'at 1 % after {count:,} steps'}" for name, count in steps.items())
    first, second = sorted(steps, key=lambda name: steps[name])
    return f"{SHORT[first]} is at 1 % after {steps[first]:,} steps, {SHORT[second]} after {steps[second]:,}"


def about_words(panel: LinearContent) -> str:
    """Return what is drawn, and what is minimised."""
    return (
        f"{panel.n_points:,} points of {panel.n_features:,} features, {panel.n_forget:,} of them to be forgotten at random; targets are θᵀx with noise of "
        f"variance {panel.noise_variance:g}, θ ~ N(0, I). Training minimises Σ (θᵀx − y)² + λ‖θ‖²."
    )


def plateau_words(panel: LinearContent) -> str:
    """Return where matching a forecast stops, and how soon."""
    parts = []
    for name, what in (("datamodels", f"ridge datamodels of {panel.n_subset_models:,} subset models"), ("influence", "influence functions")):
        found = panel.findings["plateau"][name]
        soon = "" if found["steps_to_twice"] is None else f", within twice that after {counted(found['steps_to_twice'])}"
        parts.append(f"with {what} DMM stops at R = {share(found['share'])}{soon}")
    return f"At λ = {panel.penalty:g} (mean leverage {panel.findings['mean_leverage']:.3f}) " + "; ".join(parts) + "."


def earlier_rows(panels: list[LinearContent]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return each earlier method with what it leaves and what it costs, in gradients of single points, at each penalty."""
    rows = []
    for name, label in EARLIER.items():
        found = [panel.findings["earlier"][name] for panel in panels]
        rows.append((label, [(share(one["share"]), f"{one['evaluations']:,}") for one in found]))
    return rows


def rates_words(panel: LinearContent) -> str:
    """Return what the long runs say of theorem 2."""
    rates = panel.findings["rates"]
    if rates["matching"] is None:
        return f"At λ = {panel.penalty:g} {rates['n_steps']:,} batches are too few to see a tail."
    matching, bound, straight = f"{rates['matching']:.4f}", f"{rates['bound']:.4f}", f"{100 * rates['straightness']:.2f} %"
    ends = f"is at {share(rates['descent_left'])} when OM is at {share(rates['matching_left'])}"
    return (
        f"At λ = {panel.penalty:g} over {rates['n_steps']:,} batches, means of ten draws, OM keeps {matching} of E R a step, where theorem 2 promises "
        f"{bound} or less (a straight line explains {straight} of log R); SGD with its best falling steps goes as t to the power "
        f"−{rates['descent_power']:.2f} and {ends}."
    )


def theory_words(panels: list[LinearContent]) -> str:
    """Return how far theorem 1 is from the iterates."""
    worst = max(panel.findings["deviation_from_theorem_1"] for panel in panels)
    return f"‖θ_t − θ*‖ by theorem 1's closed form and of the iterates differ by {share(worst)} of ‖θ_full − θ*‖ at most, over all draws, steps and penalties."
