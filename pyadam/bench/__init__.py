"""The time of a step beside what else there is to use: models, peers, measuring, tables and pictures."""
