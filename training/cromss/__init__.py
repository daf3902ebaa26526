"""CromSS: fused networks, smoothed labels, samples selected across modalities, the loss."""
