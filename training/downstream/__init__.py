"""Training on a task and scoring: tiles in, a segmentation network out."""
