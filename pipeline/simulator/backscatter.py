from dataclasses import dataclass
import datetime
import numpy as np
from pipeline.simulator import world


@dataclass(frozen=True)
class BackscatterPainter:
    date: datetime.date
    seed: int
    salt: int
    descending: bool
    bounds: tuple

    def __call__(self, band, grid):
        if band == "angle":
            return np.full(grid.shape, 38, np.float32), None
        label = world.truth(grid, self.date, self.seed)
        from pipeline.simulator.noise import lattice_hash, to_unit

        x, y = grid.pixel_centres()
        h = lattice_hash(
            (x // grid.resolution).astype(int)[None, :],
            (y // grid.resolution).astype(int)[:, None],
            self.salt,
        )
        return -20.0 + label + 4 * to_unit(h).astype(np.float64), None
