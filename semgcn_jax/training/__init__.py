"""Training: the loop, the Trainer, the step, and what they are made of."""
