"""Trainings from one format into another: between the generations of Keras, and torch."""

from pyadam.interchange.convert import Conversion, convert

__all__ = ["Conversion", "convert"]
