from dataclasses import dataclass
import numpy as np


@dataclass(frozen=True)
class CloudField:
    salt: int
    percent: float
    bounds: tuple
    sun: tuple
