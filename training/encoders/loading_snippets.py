"""Three lines that load an exported encoder into another library, as cards print them."""

from training.encoders.export import ExportedEncoder

TORCHGEO_MODELS = ("resnet18", "resnet50", "resnet152")
"""Builders of ``torchgeo.models`` that take 2 or 13 channels, torchgeo 0.8:
https://torchgeo.readthedocs.io/en/stable/api/models.html."""


def is_resnet(encoder: str) -> bool:
    """Whether weights of this smp encoder bear the names that timm gives them.

    smp's own ResNets do, as torchvision's and timm's; other encoders are named by smp alone.
    """
    return encoder.startswith("resnet") and encoder.removeprefix("resnet").isdigit()


def loading_snippets(encoder: ExportedEncoder, weights: str) -> str:
    """The section of a card that says how to load the weights.

    Args:
        encoder: Which one.
        weights: Path to print.

    Returns:
        Markdown with a block of Python for each library whose names fit.
    """
    name, channels = encoder.encoder, len(encoder.contract.bands)
    parts = ["## Use", "segmentation_models_pytorch:", _block(_smp(name, channels, weights))]
    if is_resnet(name):
        parts += ["timm:", _block(_timm(name, channels, weights))]
    if name in TORCHGEO_MODELS:
        parts += ["torchgeo:", _block(_torchgeo(name, channels, weights))]
    return "\n\n".join(parts)


def _smp(name: str, channels: int, weights: str) -> str:
    return (
        "import safetensors.torch, segmentation_models_pytorch as smp\n"
        f'network = smp.Unet("{name}", encoder_weights=None, in_channels={channels}, classes=9)\n'
        f'network.encoder.load_state_dict(safetensors.torch.load_file("{weights}"))'
    )


def _timm(name: str, channels: int, weights: str) -> str:
    return (
        "import timm\n"
        f'weights = "{weights}"\n'
        f'encoder = timm.create_model("{name}", in_chans={channels}, num_classes=0, '
        "checkpoint_path=weights)"
    )


def _torchgeo(name: str, channels: int, weights: str) -> str:
    return (
        f"from torchgeo.models import {name}\n"
        f'weights = "{weights}"\n'
        f"encoder = {name}(in_chans={channels}, num_classes=0, checkpoint_path=weights)"
    )


def _block(code: str) -> str:
    return f"```python\n{code}\n```"
