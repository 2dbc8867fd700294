"""The algorithms: each one file with a class over ``coordinator.algorithm``, and one entry in ``registry``."""
