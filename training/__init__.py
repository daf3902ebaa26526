"""CromSS pretraining on noisy labels, and the evaluation of the encoders it makes."""
