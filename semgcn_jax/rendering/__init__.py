"""What draws people as pictures: the bodies, the scenes, and their pixels.

The numbers of a scene are drawn in NumPy, from a stream of random numbers of
its own, so that a picture does not depend on which others are drawn with it.
The pixels are computed in JAX, by shooting a ray through each of them.
"""
