"""Learning-rate schedules: R keras 2.11's functions, in Python and in R."""

from pyadam.hosts.schedules import *  # noqa: F403
