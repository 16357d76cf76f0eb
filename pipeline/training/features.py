"""Features of points before the last linear layer of trained models, and the difficulty of each point."""

import copy

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from pipeline.core.arrays import Labels, Logits, PerPoint
from pipeline.training.ensemble import States, device_of, evaluation_batches, n_members
from pipeline.training.feeds import Feed

Features = Float[np.ndarray, "n_models n_points n_features"]


def last_features(
    template: nn.Module, states: States, data: Feed | Tensor, points: range | None = None
) -> tuple[Features, Logits]:
    """Return the inputs of each member's last linear layer (n_models, n_points, n_features), and its logits.

    Models are in evaluation mode. The last layer is the linear layer that runs last. The module may list
    another one after it that only training uses. If no linear layer runs, the logits are the features. data
    is a feed, or a tensor of points as models see them. If points is None, all points are used.
    """
    model = copy.deepcopy(template).to(device_of(states)).eval()
    averages = getattr(model, "averages_flips", False)
    if averages:
        object.__setattr__(model, "averages_flips", False)
    latest: list[Tensor] = []

    def remember(_: nn.Module, given: tuple[Tensor, ...]) -> None:
        latest[:] = given[:1]

    for module in model.modules():
        if isinstance(module, nn.Linear):
            module.register_forward_pre_hook(remember)
    features, logits = [], []
    with torch.inference_mode():
        for member in range(n_members(states)):
            model.load_state_dict({name: value[member] for name, value in states.items()})
            seen, outputs = [], []
            for batch in evaluation_batches(data, points):
                found, logits_of = _look(model, batch, latest)
                if averages:
                    mirrored = _look(model, batch.flip(-1), latest)
                    found, logits_of = (found + mirrored[0]) / 2, (logits_of + mirrored[1]) / 2
                outputs.append(logits_of)
                seen.append(found)
            features.append(torch.cat(seen).float().cpu().numpy())
            logits.append(torch.cat(outputs).float().cpu().numpy())
    return np.stack(features), np.stack(logits)


def _look(model: nn.Module, batch: Tensor, latest: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Return the input of the last layer, and the logits.

    latest is the list in which the hooks keep the input of the linear layer that ran last.
    """
    latest.clear()
    logits: Tensor = model(batch)
    return (latest or [logits])[-1].flatten(1), logits


def joint_features(features: Features) -> Float[np.ndarray, "n_points n_joint"]:
    """Return the members' features side by side, each member's scaled to length 1 / √n_models.

    Inner products of the rows are then the mean of the members' cosines.
    """
    lengths = np.linalg.norm(features, axis=2, keepdims=True)
    scaled = features / np.where(lengths > 0, lengths, 1.0) / np.sqrt(len(features))
    return np.concatenate(list(scaled), axis=1)


def difficulty(features: Features, logits: Logits, labels: Labels) -> PerPoint:
    """Return the norm of each point's gradient in the last layer, averaged over members.

    For features h, the norm is ‖(h, 1)‖ · ‖softmax − onehot‖, where the 1 stands for the bias.
    """
    wide = logits.astype(np.float64)
    odds = np.exp(wide - wide.max(axis=2, keepdims=True))
    errors = odds / odds.sum(axis=2, keepdims=True)
    errors[:, np.arange(len(labels)), labels] -= 1
    norms: PerPoint = (
        np.sqrt(np.square(features, dtype=np.float64).sum(axis=2) + 1) * np.linalg.norm(errors, axis=2)
    ).mean(axis=0)
    return norms
