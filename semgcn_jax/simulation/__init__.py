"""Simulates what a camera and a detector see of a person, and draws people.

What lifters train on, in JAX, within the training step: `film` takes level
poses, varies their bodies and motions (`bodies`), puts a random camera before
each (`cameras`), marks on them what the detectors of all joint sets mark
(`points`), and finds these points as a detector does (`detector`).

What lifters are tested on, in NumPy: `test_films` films recorded motion by
other cameras and with other mistakes than those of the training.

What networks that see pictures train on: `scenes` puts a person
(`drawn_people`, whose round parts are `drawn_bodies`) into a room before a
camera, with the random numbers of `draws`, and `pixels` computes the picture.

All of them project by `geometry.cameras.Lens`.
"""
