"""Grid arithmetic as torch autograd functions, for losses that are easier to say than to differentiate.

Networks and the common losses are taken back by hand (``layers``, ``scan``, ``categorical``, ``gaussian``), with the bits
that these functions give. What is left to them are (P2), the distances between next AIS, and the quadratic critic.

torch carries the graph; every number is made by NumPy through zero-copy views, so no torch kernel whose bits depend on
the CPU is ever called. The backward of each function is written with the functions of this package, so gradients are exact
in the same sense and can be differentiated again (Hessian-vector products, TRPO). What is left to torch itself is
elementwise float64 + - * / between tensors of one shape, which IEEE fixes.

Rules for callers
* No implicit broadcasting: its backward would be a torch reduction. Use ``expand_rows`` or ``expand_columns``.
* A tensor with more than two consumers goes through ``fork``: autograd adds more than two gradient contributions in an
  order of its own choosing, and float addition is not associative.
* ``/`` only by a number; ``divide`` for tensors, because torch's formula for the gradient of a quotient is its own.
* Every tensor is float64: a 32-bit tensor, torch's default, is refused.
* In a second differentiation the first one's use of a tensor counts as a consumer. Products of a Jacobian with a vector
  (the gradient of a gradient with respect to the vector that the first one was taken with) keep to two everywhere.
  A Hessian-vector product with respect to the parameters does not: an activation has its next layers, their weight
  gradients and its own derivative as consumers. Its value is right, but its bits rest on the engine's order.

Axis letters: n rows, m and p columns.
"""

from __future__ import annotations

from dadc_net.exact.functions.likelihood import entropy, gaussian_log_density
from dadc_net.exact.functions.linear import (
    affine,
    column_sums,
    expand_columns,
    expand_rows,
    fork,
    gradients,
    mean,
    pick,
    product,
    row_sums,
)
from dadc_net.exact.functions.nonlinear import divide, exp, log, log_softmax, smooth_l1, sqrt, tanh
from dadc_net.exact.functions.quadratic import climb_corners, triangular_form, triangular_values

__all__ = [
    "affine",
    "climb_corners",
    "column_sums",
    "divide",
    "entropy",
    "exp",
    "expand_columns",
    "expand_rows",
    "fork",
    "gaussian_log_density",
    "gradients",
    "log",
    "log_softmax",
    "mean",
    "pick",
    "product",
    "row_sums",
    "smooth_l1",
    "sqrt",
    "tanh",
    "triangular_form",
    "triangular_values",
]
