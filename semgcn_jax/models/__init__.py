"""The networks: 2D joints in, 3D joints out.

`functional` holds their arithmetic, `layers` and `convolutions` the modules
made of it, and a file each the models; `build` makes the one that a config
names.
"""
