"""Display names of the algorithms and removals of the convex study."""

ALGORITHMS = {
    "gd": "GD on the retained points",
    "om": "Oracle Matching",
    "omrs": "OM on the retained points only",
    "dmm_exact": "DMM, exact leave-out algebra",
    "dmm_datamodels": "DMM, ridge datamodels",
    "dmm_influence": "DMM, influence functions",
}
SHORT_ALGORITHMS = {
    "gd": "GD",
    "om": "OM",
    "omrs": "OM, retained only",
    "dmm_exact": "DMM exact",
    "dmm_datamodels": "DMM datamodels",
    "dmm_influence": "DMM influence",
}
EARLIER = {
    "newton": "Newton step (certified removal, without noise)",
    "influence": "influence step, Hessian of all points",
    "projective_residual": "projective residual update",
    "projected_gd": "projected GD",
    "descent_to_delete": "descent-to-delete, ε = 1, δ = 10⁻³",
}
REMOVAL_NAMES = {
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
SHORT_REMOVALS = {
    "influence": "influence",
    "projective_residual": "projective residual",
    "newton": "Newton",
    "oracle_matching": "OM",
    "oracle_matching_stochastic": "OM, batches",
    "dmm_newton": "DMM, leave-out",
    "dmm_influence": "DMM, influence",
    "dmm_datamodels": "DMM, datamodels",
}
MODES = {"full": "full batch", "stochastic": "batches"}


def algorithm_name(algorithm: str, *, short: bool = False) -> str:
    """Return the display name of an algorithm of the linear study."""
    if algorithm.startswith("gda_"):
        return f"GDA, a = {algorithm.removeprefix('gda_')}"
    return (SHORT_ALGORITHMS if short else ALGORITHMS)[algorithm]


def removal_name(label: str, *, short: bool = False) -> str:
    """Return the display name of a removal on real data."""
    return SHORT_REMOVALS.get(label, REMOVAL_NAMES[label]) if short else REMOVAL_NAMES[label]
