"""Imported by a fork server before its first child: the compiled kernels, with their first calls made.

A kernel is read from its cache, or compiled, when it is first called. Here that happens once, by the part of the self-test
that needs no autograd (whose threads might not survive a fork); every child makes the whole self-test itself, and reports
what is wrong with it. Nothing of this module decides anything, so whatever fails here is left to that.
"""

from __future__ import annotations

import contextlib

from dadc_net.exact import compiled
from dadc_net.exact.selftest import ARITHMETIC, compute_digests
from dadc_net.runtime.host import kernels_allowed, pin_threads

with contextlib.suppress(Exception):
    pin_threads()
    if kernels_allowed() and compiled.load():
        compute_digests([ARITHMETIC])
