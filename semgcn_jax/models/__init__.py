"""The networks, which map 2D joints to 3D joints.

`functional` holds their arithmetic, `layers` and `convolutions` the modules
built on it. Each model has its own file; `build` makes the one a config names.
"""
