"""The terms of the solver's energy, and their weights."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Terms:
  """The weights of the terms; 0 switches a term off. `energy` registers it.

  Attributes:
    image: Joints are seen where the detector marks them, up to `Problem.noise`;
      errors beyond count linearly, and all with the cube of the confidence.
    poses: Bones point where the lifter sees them, up to 0.7 times its expected
      error.
    smooth: Joints move without acceleration, up to 1 cm per squared frame at 30
      frames per second.
    path: The pelvis moves without acceleration, likewise.
    bones: Bones have the lengths of the median body, up to 12%.
    scale: The legs have the length of its legs, up to 5%, or the person has the
      given height; an image does not show how large people are.
    marks: The marked points are at the joints, up to 2 cm, constant in the
      frame of a bone.
    knees: Knees bend forwards, up to 2 cm.
    rest: Feet in contact with the ground are still, up to 10 cm/s.
    ground: Feet in contact are at the height of the ground, up to 5 cm.
    under: Nothing is under the ground, up to 2 cm.
    upright: The vertical is that of people who stand, up to 3 degrees, in a
      tenth of the frames.
    lens: The field of view is 65 degrees, up to 30% of the focal length, in a
      tenth of the frames.
  """

  image: float = 1.0
  poses: float = 0.5
  smooth: float = 0.1
  path: float = 2.0
  bones: float = 1.2
  scale: float = 1.0
  marks: float = 1.5
  knees: float = 1.0
  rest: float = 1.0
  ground: float = 1.0
  under: float = 1.0
  upright: float = 8.0
  lens: float = 1.0


TERMS = tuple(field.name for field in dataclasses.fields(Terms))
