"""The projective residual update: the exact change, projected onto the span of the forgotten features."""

from typing import ClassVar

import numpy as np
from typing_extensions import override

from pipeline.studies.convex.problems.problem import ConvexOutputs, solve
from pipeline.studies.convex.removals.base import Removal, RemovalRequest, Trajectory, one_step


class ProjectiveResidual(Removal):
    """Returns θ + X_F⁺·Δ, where Δ is the change that retraining makes to outputs of the forgotten points.

    X_F are the features of the forgotten points. For ridge this change is known exactly from residuals and
    the hat matrix, so the step is the projection of the true change of θ onto the span of X_F. Cross-entropy
    is replaced by its weighted least squares at the minimiser, as the authors do. The cost is linear in the
    number of features once the hat matrix is known. The change of θ outside the span is not made; it is large
    where features of retained and forgotten points are correlated. Source: Izzo et al. 2021.
    """

    name: ClassVar[str] = "projective_residual"

    @override
    def remove(self, request: RemovalRequest) -> Trajectory:
        step = np.linalg.pinv(request.forgotten.features) @ left_out_change(request)
        return one_step(request, request.start + step, len(request.forget))


def left_out_change(request: RemovalRequest) -> ConvexOutputs:
    """Return the change that one Newton step makes to outputs of forgotten points (n_forget, n_columns).

    The step is on the retained points. With A = J H⁻¹ Jᵀ the prepared hat block of these outputs, W their
    curvature and s their slopes, flattened, the change is (I − A W)⁻¹ A s, by the identity of Woodbury. So no
    new matrix of the size of the Hessian is inverted. If there are more outputs than parameters, the step
    itself is cheaper to compute.
    """
    forgotten, n = request.forgotten, request.problem.n_columns
    if forgotten.n_points * n > request.start.size:
        return forgotten.outputs(
            solve(request.hessian - forgotten.loss_hessian(request.start), request.lost_gradient)
        )
    outputs = forgotten.outputs(request.start)
    jacobian = np.einsum("if,cd->icfd", forgotten.features, np.eye(n)).reshape(len(outputs) * n, -1)
    hat = jacobian @ request.solve(jacobian.T)
    weighted = np.einsum(
        "aic,icd->aid", hat.reshape(-1, len(outputs), n), forgotten.curvatures(outputs)
    ).reshape(hat.shape)
    slopes = forgotten.slopes(outputs).ravel()
    return np.linalg.solve(np.eye(len(hat)) - weighted, hat @ slopes).reshape(outputs.shape)
