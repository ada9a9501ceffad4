"""Simulates cameras and 2D detectors, and renders synthetic people.

- Training data for lifters, in JAX, inside the training step: `film` varies the
  bodies and motions of level poses (`bodies`), views each through a random
  camera (`cameras`), places every joint set's keypoints on them (`points`), and
  corrupts these as a detector would (`detector_noise`).
- Test data for lifters, in NumPy: `test_films` films recorded motion with
  cameras and errors that differ from those in training.
- Training data for image networks: `scenes` puts a person (`drawn_people`,
  built of the round parts in `drawn_bodies`) in a room in front of a camera,
  with random numbers from `draws`; `pixels` renders the image.

All of them project through `geometry.cameras.Lens`.
"""
