"""A run of pretraining: its plan, its task, its checkpoints, what it records and exports."""
