"""The convex study in words: which method is nearer to retraining, and whether promises held.

Everything else is in tables.
"""

from pipeline.studies.convex.chapter.chapter_content import DataContent, GuaranteeContent, LinearContent
from pipeline.studies.convex.chapter.display_names import SHORT_ALGORITHMS
from pipeline.studies.convex.chapter.number_formats import share_left

BESIDE_REMOVALS = {
    "oracle_matching_stochastic": "OM in batches",
    "oracle_matching": "OM",
    "gradient_descent": "GD",
    "gradient_descent_stochastic": "SGD",
}


def panel_title(panel: LinearContent, mode: str) -> str:
    """Return which method is faster: full-batch steps to 1 %, or R at the end of stochastic steps."""
    if mode == "stochastic":
        return ", ".join(
            f"{SHORT_ALGORITHMS[name]} ends at {share_left(panel.mean(mode, name)[-1])}"
            for name in ("om", "gd")
        )
    steps = {SHORT_ALGORITHMS[name]: panel.findings["steps_to"][name]["0.01"] for name in ("om", "gd")}
    return "Steps to 1 %: " + ", ".join(
        f"{name} {'never' if count is None else f'{count:,}'}" for name, count in steps.items()
    )


def course_words(content: DataContent) -> str:
    """Return the R that each method reaches with the same number of gradients."""
    ends = {outcome["label"]: outcome["share"] for outcome in content.outcomes}
    return "R after as many gradients: " + ", ".join(
        f"{name} {share_left(ends[label])}" for label, name in BESIDE_REMOVALS.items() if label in ends
    )


def verdict_words(content: GuaranteeContent) -> str:
    """Return how many promises were kept within their assumptions, and broken outside them, in words."""
    broken = {
        holds: [case.told["verdict"]["is_broken"] for case in content.cases if case.told["holds"] == holds]
        for holds in (True, False)
    }
    kept = (
        f"{len(broken[True]) - sum(broken[True])} of {len(broken[True])} promises are kept where their "
        "assumptions hold"
    )
    return (
        f"{kept}, {sum(broken[False])} of {len(broken[False])} are broken where one was violated on purpose."
    )
