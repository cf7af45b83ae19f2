"""Times a step of pyadam and its alternatives: models, peers, measurement, tables and plots."""
