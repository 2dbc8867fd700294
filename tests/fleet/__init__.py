"""A fleet on one machine: the same bits on every kind of host that settings, other versions and emulation can give.

    python -m pytest -m fleet -s

Every host is a process of its own that runs the self-test and every algorithm (``member``) and prints one digest. Hosts
differ by environment variables, by versions of NumPy, torch, numba, Python and the C library, by emulated x86-64
processors and by emulated aarch64 with real aarch64 wheels (``hosts``). What a host needs is fetched on first use with the
ordinary clients ``apt-get`` and ``pip`` and unpacked, without root and without installing anything, into
``~/.cache/dadc-net-fleet`` or the folder that DADC_FLEET_CACHE names: 3 GB. A host that cannot be built fails its test
and says why; nothing is skipped. The whole fleet takes about half an hour on two cores.
"""
