"""Guarantees in words: what is promised of which data, which assumptions were broken, and whether the promises held."""

from pipeline.reporting.convex.content import GuaranteeContent


def about_guarantees(content: GuaranteeContent) -> str:
    """Return what is promised, and what the attack is given."""
    facts = content.facts
    return (
        f"Logistic regression on {facts['n_points']} points of the classes {facts['classes'][0]} and {facts['classes'][1]}, {facts['n_features']} features, "
        f"λ = {facts['penalty']:g}. Both methods promise ε = {facts['epsilon']:g} and δ = {facts['delta']:g}: nobody who is shown the weights recognises "
        "unlearned models more than e^ε times as often as retrained ones, but for δ, nor the other way round. "
        f"{facts['n_draws']:,} models of each kind are drawn in every situation and told apart by the exact likelihood ratio. Certified removal assumes points "
        "no longer than 1, and hides the gradient that one Newton step leaves: a quarter more than that of the worst point of these data without noise; "
        "descent-to-delete assumes steps of 2/(m + M), training that has converged as far, and that its iterates before noise stay secret."
    )


def verdict_words(content: GuaranteeContent) -> str:
    """Return how many promises were kept where assumptions hold, and broken where one does not."""
    holding = [case.told for case in content.cases if case.told["holds"]]
    others = [case.told for case in content.cases if not case.told["holds"]]
    kept = sum(not told["verdict"]["is_broken"] for told in holding)
    broken = sum(told["verdict"]["is_broken"] for told in others)
    return (
        f"{kept} of {len(holding)} promises are kept where their assumptions hold, and {broken} of {len(others)} are broken where one was violated on purpose, "
        "at 99.9 % confidence each. Kept means that the attack, on these data and this forget set, shows no breach: it is a test of the proof, not a proof. "
        "The bounds leave room: see how much smaller the difference was than what the noise hides."
    )
