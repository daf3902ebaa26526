"""One geometry for image, labels and prior; every sample has random numbers of its own."""

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

from training.loading.augment import Geometry, rotation_grid
from training.loading.random_numbers import uniform

FRAME = (44, 48)
CROP = 32


def draw(samples, epoch=0, seed=0, **shares):
    return Geometry.draw(torch.as_tensor(samples), FRAME, CROP, seed, epoch, **shares)


def test_random_numbers_are_uniform_and_independent():
    samples = torch.arange(40_000)
    first, second = uniform(1, 2, samples, 3), uniform(1, 2, samples, 4)
    for numbers in (first, second, uniform(1, 3, samples, 3), uniform(2, 2, samples, 3)):
        counts = torch.histc(numbers, 20, 0, 1)
        assert float(((counts - 2000) ** 2 / 2000).sum()) < 50  # chi-square, 19 degrees of freedom
        assert float(numbers.min()) >= 0 and float(numbers.max()) < 1
    assert abs(float(torch.corrcoef(torch.stack([first, second]))[0, 1])) < 0.02
    assert abs(float(torch.corrcoef(torch.stack([first[1:], first[:-1]]))[0, 1])) < 0.02


def test_a_sample_draws_the_same_in_any_batch_and_something_else_in_the_next_epoch():
    together = draw([5, 9, 700])
    alone = draw([9])
    assert torch.equal(together.source_BSS[1], alone.source_BSS[0])
    assert torch.equal(together.grid_BSS2[1], alone.grid_BSS2[0])
    assert not torch.equal(alone.grid_BSS2, draw([9], epoch=1).grid_BSS2)
    assert not torch.equal(alone.grid_BSS2, draw([9], seed=1).grid_BSS2)


def test_crops_and_flips_keep_values_and_take_every_form():
    frame = torch.arange(FRAME[0] * FRAME[1]).view(1, *FRAME).expand(600, -1, -1)
    geometry = draw(range(600), rotation_share=0.0)
    crops = geometry.warp(frame[:, None].double())[:, 0].long()
    steps = {(int(c[1, 0] - c[0, 0]), int(c[0, 1] - c[0, 0])) for c in crops}
    width = FRAME[1]
    assert steps == {(width, 1), (-width, 1), (width, -1), (-width, -1)}
    tops = {int(c.min()) // width for c in crops}
    lefts = {int(c.min()) % width for c in crops}
    assert tops == set(range(13)) and lefts == set(range(17))


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_shares_of_flips_and_rotations(share):
    geometry = draw(range(4000), flip_share=share, rotation_share=share)
    step_down = geometry.source_BSS[:, 1, 0] - geometry.source_BSS[:, 0, 0]
    step_right = geometry.source_BSS[:, 0, 1] - geometry.source_BSS[:, 0, 0]
    flipped = (step_down < 0) | (step_right < 0)
    assert float(flipped.float().mean()) == pytest.approx(share, abs=0.03)
    assert float(geometry.rotated_B.float().mean()) == pytest.approx(share, abs=0.03)


def test_image_prior_and_labels_move_together():
    labels = torch.randint(0, 9, (16, *FRAME), dtype=torch.uint8)
    labels = labels.repeat_interleave(4, 1).repeat_interleave(4, 2)[:, : FRAME[0], : FRAME[1]]
    one_hot = torch.nn.functional.one_hot(labels.long(), 9).movedim(-1, 1).float()
    geometry = draw(range(16), rotation_share=0.7)
    warped = geometry.warp_labels(labels)
    assert warped.dtype == torch.uint8 and warped.shape == (16, CROP, CROP)
    soft = geometry.warp(one_hot)
    # Away from edges between classes the bilinear one-hot map is sure of the nearest label.
    sure = soft.max(1).values > 0.75
    assert float(sure.float().mean()) > 0.5
    assert torch.equal(soft.argmax(1)[sure], warped.long()[sure])
    assert float((soft.sum(1) - 1).abs().max()) < 1e-5


@pytest.mark.parametrize("angle", [-90.0, -37.0, 12.5, 90.0])
def test_rotation_equals_scipy_with_mirrored_edges(angle):
    image = torch.rand(1, 1, CROP, CROP, dtype=torch.float64)
    grid = rotation_grid(torch.tensor([angle]), CROP)
    turned = Geometry(
        torch.arange(CROP * CROP).view(1, CROP, CROP), grid, torch.tensor([True])
    ).warp(image)
    # cv2.getRotationMatrix2D: positive angles turn the picture counter-clockwise.
    radians = np.deg2rad(angle)
    centre = (CROP - 1) / 2
    rows, columns = np.mgrid[:CROP, :CROP] - centre
    from_columns = np.cos(radians) * columns - np.sin(radians) * rows + centre
    from_rows = np.sin(radians) * columns + np.cos(radians) * rows + centre
    expected = map_coordinates(
        image[0, 0].numpy(), [from_rows, from_columns], order=1, mode="mirror"
    )
    np.testing.assert_allclose(turned[0, 0].numpy(), expected, atol=1e-4)


def test_a_quarter_turn_moves_every_pixel_to_its_place():
    image = torch.rand(1, 3, CROP, CROP)
    identity = torch.arange(CROP * CROP).view(1, CROP, CROP)
    geometry = Geometry(identity, rotation_grid(torch.tensor([90.0]), CROP), torch.tensor([True]))
    torch.testing.assert_close(
        geometry.warp(image), torch.rot90(image, 1, (2, 3)), atol=1e-4, rtol=0
    )
    labels = (image[:, 0] * 9).byte()
    assert torch.equal(geometry.warp_labels(labels), torch.rot90(labels, 1, (1, 2)))


def test_turns_go_both_ways_and_not_with_flips():
    drawn = draw(range(4000), flip_share=0.5, rotation_share=0.2)
    sine_B = drawn.grid_BSS2[:, CROP // 2, -1, 1]  # row of the last pixel of the middle row
    assert sine_B.min() < -0.9 and sine_B.max() > 0.9 and abs(float(sine_B.mean())) < 0.05
    flipped_B = drawn.source_BSS[:, 0, 0] > drawn.source_BSS[:, 0, -1]
    for part_B in (flipped_B, ~flipped_B):
        assert abs(float(drawn.rotated_B[part_B].float().mean()) - 0.2) < 0.04


def test_samples_that_are_not_rotated_keep_their_values_exactly():
    image = torch.rand(64, 2, *FRAME)
    geometry = draw(range(64))
    still = ~geometry.rotated_B
    expected = image.flatten(2).gather(2, geometry.source_BSS.flatten(1)[:, None].expand(-1, 2, -1))
    assert torch.equal(geometry.warp(image)[still].flatten(2), expected[still])
