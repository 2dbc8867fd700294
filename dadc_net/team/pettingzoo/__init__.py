"""Environments of the PettingZoo kind as team problems; needs the extra pettingzoo."""
