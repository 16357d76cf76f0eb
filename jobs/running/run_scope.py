"""The tables that a run computes: up to a stage (`--until`), or of one stage alone (`--only`)."""

from dataclasses import dataclass

from jobs.session import Session
from pipeline.core.errors import ConfigError, MissingShardsError
from pipeline.core.settings.validation_errors import did_you_mean
from pipeline.execution.selected_nodes import wanted_until, with_dependencies
from pipeline.graph.node_kinds import entries


@dataclass(frozen=True)
class RunScope:
    """The part of a graph that a run computes.

    `wanted` holds the keys of the nodes to compute and of all nodes that these need. `settled` holds the keys
    of those populations that are used as they are, although some of their models are missing.
    """

    wanted: frozenset[str]
    settled: frozenset[str] = frozenset()


def check_only(stage: str | None) -> None:
    """Raise ConfigError unless stage is None or one of the stages that `--only` takes."""
    if stage is not None and stage not in entries():
        raise ConfigError(
            f"--only {stage!r}: expected {', '.join(entries())}.{did_you_mean(stage, entries())}"
        )


def scope_up_to(until: str | None, session: Session) -> RunScope:
    """Return the scope of everything up to and including until; None means the whole graph.

    until names a stage, a kind of table or one table. Raises ConfigError if it names none of them.
    """
    return RunScope(frozenset(session.graph.nodes) if until is None else wanted_until(session.graph, until))


def scope_of(stage: str, session: Session, *, allow_missing: bool) -> RunScope:
    """Return the scope of one stage alone, as `--only` names it.

    With allow_missing, a population of an earlier stage may lack models if it has at least two. Raises
    ConfigError on an unknown stage. Raises MissingShardsError if tables of earlier stages are missing; the
    message names the commands that make them.
    """
    check_only(stage)
    nodes, states = session.graph.nodes, session.graph.survey(session.store)
    own = {key for key, node in nodes.items() if node.entry == stage}
    # A node that is done needs nothing any more, so its parents are not wanted. This holds even if they would
    # have to be computed again to keep their weights.
    wanted = frozenset(own) | with_dependencies(
        session.graph, {key for key in own if states[key].status != "done"}
    )
    settled = frozenset(
        key
        for key in wanted - own
        if allow_missing and nodes[key].trains and 2 <= states[key].n_done < nodes[key].n_units
    )
    states = session.graph.survey(session.store, settled=settled) if settled else states
    missing = [key for key in nodes if key in wanted - own - settled and states[key].status != "done"]
    if missing:
        first = [
            f"dmm run --only {name}" for name in entries() if any(nodes[key].entry == name for key in missing)
        ]
        named = ", ".join(f"{key} ({states[key].status})" for key in missing[:3]) + (
            f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        )
        raise MissingShardsError(
            f"the {stage} stage needs tables that are missing in {session.store.uri}: {named}; "
            f"first run `{'`, then `'.join(first)}` with the same config and store"
        )
    return RunScope(wanted, settled)
