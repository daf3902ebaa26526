from dataclasses import dataclass
import datetime
import numpy as np
from pipeline.simulator import world


@dataclass(frozen=True)
class ReflectancePainter:
    date: datetime.date
    seed: int
    salt: int
    sky: object
    sun: tuple
    offset: int

    def __call__(self, band, grid):
        if band == "QA60":
            return np.zeros(grid.shape, np.uint16), None
        label = world.truth(grid, self.date, self.seed)
        from pipeline.simulator.noise import lattice_hash, to_unit

        x, y = grid.pixel_centres()
        h = lattice_hash(
            (x // grid.resolution).astype(int)[None, :],
            (y // grid.resolution).astype(int)[:, None],
            self.salt,
        )
        return (500 + 300.0 * label + 200 * to_unit(h) + self.offset).astype(np.uint16), None
