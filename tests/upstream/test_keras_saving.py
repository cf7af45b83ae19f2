"""Keras' own tests of saving and loading: those that may make an optimizer."""

from suite import Suite


class TestSaving(Suite):
    folders = ("saving", "legacy/saving")
    at_least = 29
