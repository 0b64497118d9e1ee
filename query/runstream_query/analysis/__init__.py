"""Relate runs to each other: objectives, Pareto fronts, the importance of parameters."""
