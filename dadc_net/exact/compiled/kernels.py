"""All kernels, as one module that is present or not."""

import numba

from dadc_net.exact.compiled.acting import choose, draw, encode, enter, enter_point, hidden_layer, tanh_layer
from dadc_net.exact.compiled.exponential import exp_tested, tanh_tested
from dadc_net.exact.compiled.likelihood import categorical, categorical_gradient
from dadc_net.exact.compiled.obeying import obey_entries, obey_logits
from dadc_net.exact.compiled.recurrent import scan_backward, scan_forward
from dadc_net.exact.compiled.rounding import (
    hidden_gradient,
    round_dynamic,
    round_fixed,
    round_gradient,
    round_tested,
    sum_columns,
    sum_rows,
    tanh_gradient,
)

__all__ = [
    "categorical",
    "categorical_gradient",
    "choose",
    "draw",
    "encode",
    "enter",
    "enter_point",
    "exp_tested",
    "hidden_gradient",
    "hidden_layer",
    "obey_entries",
    "obey_logits",
    "round_dynamic",
    "round_fixed",
    "round_gradient",
    "round_tested",
    "scan_backward",
    "scan_forward",
    "sum_columns",
    "sum_rows",
    "tanh_gradient",
    "tanh_layer",
    "tanh_tested",
]

VERSION: str = numba.__version__
