"""Spatial-temporal label smoothing (CromSS, section on label smoothing, Eq. 13 to 15).

Runs on the device for a whole batch, between the loader's stored integers and the loss: the prior
is blurred on the full frame, before the crop, and then takes the same geometry as the image.

Shapes: B batch, T seasons, C classes, H rows, W columns.
"""

from typing import Literal

import torch
from torch import Tensor

NO_LABEL = 255

PriorKind = Literal["spatial", "temporal", "spatiotemporal"]


def smoothing_prior(
    seasonal_labels_BTHW: Tensor,
    season_B: Tensor,
    num_classes: int,
    kind: PriorKind = "spatiotemporal",
    sigma: float = 3.0,
    truncate: float = 4.0,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Class frequencies around each pixel: in its season, over all seasons, or both (Eq. 13).

    Spatial is the blurred one-hot map of the sample's season, temporal the blurred mean over all
    seasons, spatiotemporal the mean of the two. Blurring is linear, so the mean is taken first and
    blurred once. Sigma 3 and truncation 4 are those of the released code. Where PyTorch may round
    float32 products to TF32 (`torch.set_float32_matmul_precision`), so does this, to about 1e-3.

    Args:
        seasonal_labels_BTHW: Integer labels of all seasons; 255 is no label and carries no mass.
        season_B: Integer season of each sample, 0 to T - 1.
        num_classes: C.
        kind: Which of the three priors.
        sigma: Standard deviation of the Gaussian, pixels.
        truncate: Radius of the Gaussian in standard deviations.
        dtype: float32, or float64 for checks.

    Returns:
        (B, C, H, W) of `dtype`; every pixel sums to 1. A pixel with no label within the radius
        gets 1 / C for every class.
    """
    height, width = seasonal_labels_BTHW.shape[-2:]
    device = seasonal_labels_BTHW.device
    radius = int(truncate * sigma + 0.5)
    # Autocast would round the products to 8 or 11 bits.
    with torch.autocast(device.type, enabled=False):
        mix_BCHW = _mix_seasons(seasonal_labels_BTHW, season_B, num_classes, kind, dtype)
        rows_HH = blur_matrix(height, sigma, radius, device, dtype)
        columns_WW = blur_matrix(width, sigma, radius, device, dtype)
        blurred_BCHW = rows_HH @ mix_BCHW @ columns_WW.T
    mass_B1HW = blurred_BCHW.sum(1, keepdim=True)
    labelled_B1HW = mass_B1HW > 0
    share_BCHW = blurred_BCHW / torch.where(labelled_B1HW, mass_B1HW, 1.0)
    return torch.where(labelled_B1HW, share_BCHW, 1.0 / num_classes)


def smooth_labels(
    labels_BHW: Tensor,
    num_classes: int,
    prior_BCHW: Tensor | None = None,
    prior_weight: float = 0.15,
    uniform_weight: float = 0.05,
) -> Tensor:
    """Soft targets: the label, its prior and the uniform distribution, weighted (Eq. 14 and 15).

    Args:
        labels_BHW: Integer labels; 255 is no label.
        num_classes: C.
        prior_BCHW: From `smoothing_prior`; without one its weight stays with the label.
        prior_weight: Share of the prior.
        uniform_weight: Share of the uniform distribution; the label keeps what remains.

    Returns:
        (B, C, H, W) in the prior's dtype, else float32. Pixels sum to 1, or to 0 where the label
        is 255.
    """
    labelled_B1HW = (labels_BHW != NO_LABEL).unsqueeze(1)
    one_hot_BCHW = one_hot(labels_BHW, num_classes)
    uniform = uniform_weight / num_classes
    if prior_BCHW is None:
        target_BCHW = one_hot_BCHW * (1.0 - uniform_weight) + uniform
        return target_BCHW.float() * labelled_B1HW
    kept = 1.0 - prior_weight - uniform_weight
    target_BCHW = one_hot_BCHW * kept + prior_BCHW * prior_weight + uniform
    return target_BCHW * labelled_B1HW


def one_hot(labels_BHW: Tensor, num_classes: int) -> Tensor:
    """(B, C, H, W) bool: True at the class of each pixel; all False where the label is 255."""
    classes_C11 = torch.arange(num_classes, device=labels_BHW.device).view(-1, 1, 1)
    return labels_BHW.unsqueeze(1) == classes_C11


def blur_matrix(
    size: int, sigma: float, radius: int, device: torch.device | str, dtype: torch.dtype
) -> Tensor:
    """Matrix G of a truncated Gaussian over `size` pixels with mirrored ends: blurred = G @ x.

    Equals `scipy.ndimage.gaussian_filter1d(mode="reflect", radius=radius)`: the ends are mirrored
    about the outer edge of the outer pixel, again and again where the map is smaller than the
    radius. Pixel j has mirror images at j and -1 - j, repeated every 2 * size; G sums the kernel
    over them.

    Returns:
        (size, size) of `dtype`; rows sum to 1.
    """
    positions = torch.arange(size, dtype=torch.float64, device=device)
    to_pixel = positions[None, :] - positions[:, None]
    to_mirror = -1.0 - positions[None, :] - positions[:, None]
    matrix = torch.zeros(size, size, dtype=torch.float64, device=device)
    repeats = radius // (2 * size) + 1
    for repeat in range(-repeats, repeats + 1):
        shift = 2.0 * size * repeat
        matrix = matrix + _gaussian(to_pixel + shift, sigma, radius)
        matrix = matrix + _gaussian(to_mirror + shift, sigma, radius)
    # Every tap lands on one image of one pixel, so each row holds the whole kernel.
    return (matrix / matrix.sum(1, keepdim=True)).to(dtype)


def _gaussian(distance: Tensor, sigma: float, radius: int) -> Tensor:
    return torch.exp(-0.5 * (distance / sigma) ** 2) * (distance.abs() <= radius)


def _mix_seasons(
    seasonal_labels_BTHW: Tensor,
    season_B: Tensor,
    num_classes: int,
    kind: PriorKind,
    dtype: torch.dtype,
) -> Tensor:
    num_seasons = seasonal_labels_BTHW.shape[1]
    seasons_T = torch.arange(num_seasons, device=seasonal_labels_BTHW.device)
    spatial_BT = (season_B[:, None] == seasons_T).to(dtype)
    temporal_BT = torch.full_like(spatial_BT, 1.0 / num_seasons)
    if kind == "spatial":
        share_BT = spatial_BT
    elif kind == "temporal":
        share_BT = temporal_BT
    elif kind == "spatiotemporal":
        share_BT = (spatial_BT + temporal_BT) / 2
    else:
        raise ValueError(f"unknown prior {kind!r}: choose spatial, temporal or spatiotemporal")
    # Season by season: the one-hot maps of all at once would be the largest tensor of the step.
    share_TB111 = share_BT.T[..., None, None, None]
    mix_BCHW = one_hot(seasonal_labels_BTHW[:, 0], num_classes) * share_TB111[0]
    for season in range(1, num_seasons):
        is_class_BCHW = one_hot(seasonal_labels_BTHW[:, season], num_classes)
        mix_BCHW = mix_BCHW + is_class_BCHW * share_TB111[season]
    return mix_BCHW
