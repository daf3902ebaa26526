import subprocess
import sys

import numpy as np

from pipeline.simulator.noise import lattice_hash, mix, stable_hash, to_unit, uniform, value_noise

SALTS = np.array([3, 4], np.uint64)
SPACINGS = np.array([50.0, 400.0])


def places(count=50_000, reach=1e6):
    return np.random.default_rng(1).uniform(-reach, reach, (3, count))


def test_hashes_are_the_same_in_another_process():
    code = "from pipeline.simulator.noise import stable_hash; print(stable_hash(7, 'a', 1.5))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert int(answer.stdout) == stable_hash(7, "a", 1.5)


def test_parts_of_a_hash_do_not_run_together():
    assert stable_hash(1, 23) != stable_hash(12, 3)
    assert 0.0 <= uniform("any", 1) < 1.0


def test_mixing_loses_nothing():
    assert len(np.unique(mix(np.arange(100_000, dtype=np.uint64)))) == 100_000


def test_lattice_hashes_are_uniform_and_unrelated():
    hashes = lattice_hash(np.arange(-200, 200)[None, :], np.arange(-200, 200)[:, None], 9)
    first, second = to_unit(hashes, 0), to_unit(hashes, 1)
    for values in (first, second):
        assert abs(values.mean() - 0.5) < 0.005
        assert abs(values.std() - 12**-0.5) < 0.005
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.02
    assert abs(np.corrcoef(first[:, 1:].ravel(), first[:, :-1].ravel())[0, 1]) < 0.02
    assert abs(np.corrcoef(first[1:].ravel(), first[:-1].ravel())[0, 1]) < 0.02


def test_value_noise_is_standardised_and_layers_are_independent():
    values = value_noise(places(), SPACINGS, SALTS)
    assert np.abs(values.mean(axis=1)).max() < 0.02
    assert np.abs(values.std(axis=1) - 1.0).max() < 0.02
    assert abs(np.corrcoef(values)[0, 1]) < 0.02


def test_value_noise_is_continuous():
    here = places(5_000)
    step = np.abs(value_noise(here + 0.5, SPACINGS, SALTS) - value_noise(here, SPACINGS, SALTS))
    assert step[0].max() < 0.2
    assert step[1].max() < 0.03


def test_value_noise_at_a_place_does_not_depend_on_its_company():
    many = places(1_000)
    whole = value_noise(many, SPACINGS, SALTS)
    np.testing.assert_array_equal(value_noise(many[:, 17:18], SPACINGS, SALTS), whole[:, 17:18])
    np.testing.assert_array_equal(value_noise(many[:, 501:], SPACINGS, SALTS), whole[:, 501:])
