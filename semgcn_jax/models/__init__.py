"""The networks, which map 2D joints to 3D joints.

`functional` holds their arithmetic, and `layers` and `convolutions` the modules
that are made of it. Each model has a file of its own. `build` makes the model
that a config names.
"""
