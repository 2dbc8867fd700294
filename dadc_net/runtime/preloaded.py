"""Imported by a fork server before its first child: the compiled kernels, with their first calls made, and the self-test.

A kernel is read from its cache, or compiled, when it is first called. Here that happens once, and the self-test is made
once; its children take the result and say what is wrong with it. Nothing of this module decides anything: whatever fails
here is left to the self-test that each child makes for itself then.
"""

from __future__ import annotations

import contextlib

from dadc_net.runtime import host
from dadc_net.runtime.template_selftest import forked_selftest

with contextlib.suppress(Exception):
    host.pin_threads()
    host.inherited[host.kernels_allowed()] = forked_selftest(host.kernels_allowed())
host.spare_what_is_loaded()
