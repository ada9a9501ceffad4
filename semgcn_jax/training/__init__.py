"""Training: the loop, the Trainer, the step, and their parts."""
