"""What one sample costs the released data set: its steps, in its order, from its kind of file.

Rebuilt from the description of the released code (CromSS, ssl4eo_dataset_lmdb.py): LMDB opened with
``readahead=False``, one pickled (bytes, shape, id) per place, modality and all four seasons, 13
bands in uint8 at 264 pixels; the prior of the labels by 18 Gaussian filters of SciPy on the full
frame; image and prior concatenated as float32, cropped and flipped sample by sample; a batch by
collation. Left out, in its favour: the rotation of a fifth of the samples.
"""

import pickle

import lmdb
import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch.utils.data import default_collate

CLASSES = 9
CROP = 256
SIGMA = 3.0


def write_records(folder, pixels, count):
    """LMDB files of the released form, with the textures of a store of ours.

    Args:
        folder: For one environment per modality.
        pixels: Season pixels by (sample, season).
        count: Places.
    """
    for name, values_of in _STORED.items():
        environment = lmdb.open(str(folder / name), map_size=1 << 32)
        with environment, environment.begin(write=True) as transaction:
            for sample in range(count):
                seasons = np.stack([values_of(pixels[sample, t]) for t in range(4)])
                record = (seasons.tobytes(), seasons.shape, f"{sample:07d}")
                transaction.put(str(sample).encode(), pickle.dumps(record))


def _eight_bits(values, low, high):
    return np.clip((values.astype(np.float32) - low) / (high - low) * 255, 0, 255).astype(np.uint8)


def _cube(season):
    fine = [season.s2_10m, season.s2_20m.repeat(2, 1).repeat(2, 2)]
    fine.append(season.s2_60m.repeat(6, 1).repeat(6, 2))
    return _eight_bits(np.concatenate(fine), 0, 4000)


_STORED = {
    "s1": lambda season: _eight_bits(season.s1, -3000, 500),
    "s2": _cube,
    "label": lambda season: season.label,
}


class ReleasedDataset:
    """The released `__getitem__`, and the collation of a batch."""

    def __init__(self, folder, seed=0):
        options = {"readonly": True, "lock": False, "readahead": False, "meminit": False}
        self._files = {name: lmdb.open(str(folder / name), **options) for name in _STORED}
        self._rng = np.random.default_rng(seed)

    def batch(self, samples):
        """Images with priors (B, 24, 256, 256) float32, labels (B, 256, 256) int64."""
        return default_collate([self._sample(sample) for sample in samples])

    def _sample(self, sample):
        season = self._rng.integers(4)
        seasons = {name: self._read(name, sample) for name in _STORED}
        prior = _prior(seasons["label"], season)
        layers = [seasons["s1"][season], seasons["s2"][season], prior]
        image = np.concatenate([layer.astype(np.float32) for layer in layers]).transpose(1, 2, 0)
        return self._augmented(image, seasons["label"][season].astype(np.int64))

    def _read(self, name, sample):
        with self._files[name].begin(write=False) as transaction:
            content, shape, _ = pickle.loads(transaction.get(str(sample).encode()))
        return np.frombuffer(content, np.uint8).reshape(shape)

    def _augmented(self, image, label):
        row, column = self._rng.integers(0, image.shape[0] - CROP + 1, 2)
        image = image[row : row + CROP, column : column + CROP]
        label = label[row : row + CROP, column : column + CROP]
        if self._rng.random() < 0.5:
            axes = [(0,), (1,), (0, 1)][self._rng.integers(3)]
            image, label = np.flip(image, axes), np.flip(label, axes)
        image = np.ascontiguousarray(image.transpose(2, 0, 1))
        image[:15] /= 255
        return torch.from_numpy(image), torch.from_numpy(np.ascontiguousarray(label))


def _prior(labels, season):
    """(9, H, W) float32: the mean of a blur over the seasons and one of the season."""
    one_hot = torch.nn.functional.one_hot(torch.from_numpy(labels.astype(np.int64)), CLASSES)
    one_hot = one_hot.numpy().transpose(0, 3, 1, 2)
    temporal = _blurred(one_hot.mean(0).astype(np.float32))
    spatial = _blurred(one_hot[season].astype(np.float32))
    return (temporal + spatial) / 2


def _blurred(maps):
    blurred = np.stack([gaussian_filter(layer, SIGMA) for layer in maps])
    return blurred / blurred.sum(0)
