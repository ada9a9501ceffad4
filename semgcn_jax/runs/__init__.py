"""The folder of a run: its settings, its log, and its checkpoints."""
