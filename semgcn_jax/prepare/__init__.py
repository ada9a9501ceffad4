"""Data preparation: converts downloaded files for training, and checks them."""
