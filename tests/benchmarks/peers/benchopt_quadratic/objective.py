"""f(x) = ½ Σ a_k x_k², for benchopt."""

from benchopt import BaseObjective


class Objective(BaseObjective):
    """Its value."""

    name = "quadratic"
    min_benchopt_version = "1.7"

    def set_data(self, curvature, start):
        """Keep the data."""
        self.curvature, self.start = curvature, start

    def get_objective(self):
        """What a solver sees."""
        return {"curvature": self.curvature, "start": self.start}

    def evaluate_result(self, x):
        """f(x)."""
        return {"value": float(0.5 * (self.curvature * x * x).sum())}

    def get_one_result(self):
        """A point."""
        return {"x": self.start}
