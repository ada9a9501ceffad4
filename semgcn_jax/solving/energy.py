"""The energy that the solver minimizes, and its terms.

Each term is half a sum of squares of residuals over their standard deviations,
or a robust function that grows more slowly; `Terms` gives the deviations. Most
terms describe a frame of a person. The sum is divided by the number of frames.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from semgcn_jax.motion.path import SOLE
from semgcn_jax.solving import body
from semgcn_jax.solving.terms import Terms

jax.tree_util.register_dataclass(Terms)

Array = jax.Array
Values = Any  # An array of JAX, or of NumPy before it is moved there.

_SLACK = 0.02  # How much lower than `SOLE` an ankle may be, metres.
_CLEARANCE = 0.02  # The least height of other joints, metres.
# The steps of some unknowns, with which L-BFGS is fast.
_DEPTH, _SPOT, _ANGLE, _LENGTH, _MARK = 0.1, 0.1, 0.1, 0.3, 0.12
HEIGHT_STEP = 0.1
_NEAREST = 0.1  # Metres.


class Unknowns(NamedTuple):
  """What the solver finds, in steps that suit it.

  P people have F frames. The `view` is one for all of them.

  Attributes:
    directions: The direction of each bone, from its parent, `[P, F, 19, 3]`, of
      any length.
    depths: The logarithm of each pelvis's depth over the focal length, relative
      to `Problem.depths`, `[P, F]`.
    spots: Its place in the image relative to `Problem.spots`, `[P, F, 2]`,
      metres at the first guess of its depth.
    lengths: The logarithms of bone lengths over `Problem.medians`, `[P, L]`.
    marks: The offsets of the marked points from the joints, in the frames of
      body parts, `[P, 20, 3]`.
    view: The logarithm of the focal length, pitch, roll and the height of the
      camera, relative to `Problem.view`, `[4]`.
  """

  directions: Values
  depths: Values
  spots: Values
  lengths: Values
  marks: Values
  view: Values


class Problem(NamedTuple):
  """What the solver knows; see `Unknowns`.

  Attributes:
    keypoints: The marked points, `[P, F, 20, 3]`, pixels and weight.
    medians: The prior of bone lengths, `[L]`, metres.
    scale: The shares of the bones, `[19]`, in the length that sets the scale.
    scale_deviation: The standard deviation of its logarithm.
    directions: Where the lifter sees the bones point, `[P, F, 19, 3]`.
    deviations: By how much, `[P, F, 19]`, radians.
    frames: The axes of body parts, `[P, F, 20, 3, 3]`.
    depths: The first guess of each pelvis's depth over the focal length, metres
      per pixel, `[P, F]`.
    spots: The first guess of its place in the image, relative to the principal
      point, `[P, F, 2]`, pixels.
    known: Which frames have a pose, `[P, F]`, 0 or 1.
    noise: How far keypoints are from where they belong, `[P]`, metres.
    follows: Which frames follow the one before, `[P, F]`, 0 or 1.
    fps: The frames per second of each person, `[P]`.
    center: The principal point, `[2]`, pixels.
    view: The first guess of the focal length, pixels, pitch and roll, radians,
      and the height of the camera, metres, `[4]`.
    free_view: Which of them may change, `[4]`, 0 or 1.
    free_bones: Whether lengths and marks may change, 0 or 1.
    tilts: The standard deviations of pitch and roll, `[2]`, radians.
  """

  keypoints: Values
  medians: Values
  scale: Values
  scale_deviation: Values
  directions: Values
  deviations: Values
  frames: Values
  depths: Values
  spots: Values
  known: Values
  noise: Values
  follows: Values
  fps: Values
  center: Values
  view: Values
  free_view: Values
  free_bones: Values
  tilts: Values


class Camera(NamedTuple):
  """The focal length, pixels; pitch and roll, radians; the height, metres."""

  focal: Values
  pitch: Values
  roll: Values
  height: Values

  @property
  def up(self) -> Values:
    """The vertical in the camera frame, `[3]`."""
    level = jnp.cos(self.pitch)
    x, y = jnp.sin(self.roll) * level, -jnp.cos(self.roll) * level
    return jnp.stack([x, y, -jnp.sin(self.pitch)])

  def heights(self, points: Any) -> Values:
    """Computes the heights of points `[..., 3]` above the ground, metres."""
    return points @ self.up + self.height


class Bodies(NamedTuple):
  """The bodies that unknowns describe.

  Attributes:
    directions: The direction of each bone, `[P, F, 19, 3]`, of length 1.
    lengths: The length of each bone, `[P, 19]`, metres.
    roots: The pelvis in the camera frame, `[P, F, 3]`, metres.
    joints: All joints there, `[P, F, 20, 3]`, metres.
  """

  directions: Values
  lengths: Values
  roots: Values
  joints: Values


def hold(unknowns: Unknowns, problem: Problem) -> Unknowns:
  """Stops the gradients of unknowns that may not change."""

  def held(values, free):
    return free * values + (1 - free) * jax.lax.stop_gradient(values)

  return unknowns._replace(
    view=held(unknowns.view, problem.free_view),
    lengths=held(unknowns.lengths, problem.free_bones),
    marks=held(unknowns.marks, problem.free_bones),
  )


def read_camera(unknowns: Unknowns, problem: Problem) -> Camera:
  """Returns the camera of unknowns."""
  focal, pitch, roll, height = problem.view
  change = unknowns.view
  return Camera(
    focal * jnp.exp(change[0]),
    pitch + _ANGLE * change[1],
    roll + _ANGLE * change[2],
    height + HEIGHT_STEP * change[3],
  )


def read_bodies(unknowns: Unknowns, problem: Problem, focal: Array) -> Bodies:
  """Returns the bodies of unknowns."""
  norms = jnp.linalg.norm(unknowns.directions, axis=-1, keepdims=True)
  directions = unknowns.directions / jnp.maximum(norms, 1e-6)
  lengths = jnp.exp(_LENGTH * unknowns.lengths) * problem.medians
  lengths = lengths[:, body.OF_BONE]
  bones = directions * lengths[:, None, :, None]
  depth = focal * problem.depths * jnp.exp(_DEPTH * unknowns.depths)
  spots = problem.spots + _SPOT * unknowns.spots / problem.depths[..., None]
  roots = jnp.concatenate(
    [spots / focal * depth[..., None], depth[..., None]], axis=-1
  )
  joints = jnp.einsum('jb,pfbx->pfjx', body.PATHS, bones) + roots[:, :, None]
  return Bodies(directions, lengths, roots, joints)


def energy(
  unknowns: Unknowns, contacts: Array, problem: Problem, terms: Terms
) -> Array:
  """Computes the energy.

  Args:
    unknowns: The unknowns.
    contacts: How surely each foot, right and left, rests on the ground,
      `[P, F, 2]`, from 0 to 1.
    problem: What is known.
    terms: The weights, numbers or scalars of JAX.
  """
  unknowns = hold(unknowns, problem)
  camera = read_camera(unknowns, problem)
  bodies = read_bodies(unknowns, problem, camera.focal)
  joints, known = bodies.joints, problem.known
  rate = problem.fps[:, None]
  # The frames before and after are there, and so is the one before.
  steps = known[:, 1:] * known[:, :-1] * problem.follows[:, 1:]
  turns = steps[:, 1:] * steps[:, :-1]
  total = terms.image * _image(unknowns, bodies, camera, problem)
  off = _squares(bodies.directions - problem.directions)
  off = (off / problem.deviations**2).sum(axis=-1)
  total += terms.poses * (off * known).sum()

  def acceleration(points):
    bend = points[:, 2:] - 2 * points[:, 1:-1] + points[:, :-2]
    size = _squares(bend / 0.01).reshape(*turns.shape, -1).sum(axis=-1)
    return (size * turns * (rate / 30) ** 4).sum()

  total += terms.smooth * acceleration(joints)
  total += terms.path * acceleration(bodies.roots)
  total += terms.knees * _knees(joints, problem)
  total += terms.under * _under(joints, camera, problem)

  feet = joints[:, :, body.ANKLES]
  ground = _robust((camera.heights(feet) - SOLE) / 0.05, 1.0)
  total += terms.ground * (ground * contacts * known[..., None]).sum()
  both = jnp.sqrt(contacts[:, 1:] * contacts[:, :-1] + 1e-12)
  speeds = (feet[:, 1:] - feet[:, :-1]) * rate[..., None, None] / 0.1
  speeds = jnp.sqrt(_squares(speeds) + 1e-6)
  still = _robust(speeds, 1.0) * both * steps[..., None]
  total += terms.rest * still.sum()
  total += _priors(unknowns, bodies, problem, terms)
  return 0.5 * total / jnp.maximum(known.sum(), 1)


def _priors(
  unknowns: Unknowns, bodies: Bodies, problem: Problem, terms: Terms
) -> Array:
  """Compares what is constant in a clip with what is usual."""
  # What is wrong with many frames is wrong with all of them, so that they count
  # as the square root of their number.
  frames = jnp.sqrt(problem.known.sum(axis=1))[:, None]
  longer = _LENGTH * unknowns.lengths / 0.12
  total = terms.bones * (longer**2 * frames).sum()
  usual = problem.medians[body.OF_BONE] @ problem.scale
  larger = jnp.log(bodies.lengths @ problem.scale / usual)[:, None]
  larger = larger / problem.scale_deviation
  total += terms.scale * (larger**2 * frames).sum()
  marks = _squares(_MARK * unknowns.marks / 0.02)
  total += terms.marks * (marks * frames).sum()
  lean = unknowns.view[1:3] * _ANGLE / problem.tilts
  wider = unknowns.view[0] / 0.3
  camera = terms.upright * (lean**2).sum() + terms.lens * wider**2
  return total + 0.1 * problem.known.sum() * camera


def _under(joints: Array, camera: Camera, problem: Problem) -> Array:
  """Finds what is under the ground of the joints that are seen."""
  heights = camera.heights(joints) - _CLEARANCE
  # Ankles rest a little higher or lower, and would push the ground down.
  ankles = camera.heights(joints[:, :, body.ANKLES]) - SOLE + _SLACK
  below = jax.nn.relu(-heights.at[:, :, body.ANKLES].set(ankles))
  # What nobody sees is a guess, which must not lift the person.
  below = jnp.where(problem.keypoints[..., 2] > 0, below, 0)
  below = _robust(below / 0.02, 3.0).sum(axis=-1)
  return (below * problem.known).sum()


def _squares(vectors: Array) -> Array:
  """Returns the squared lengths of vectors `[..., 3]`."""
  return jnp.square(vectors).sum(axis=-1)


def _robust(residual: Array, limit: float) -> Array:
  """Returns Huber's function, doubled: squares, linear beyond the limit."""
  size = jnp.abs(residual)
  return jnp.where(size < limit, size**2, limit * (2 * size - limit))


def _image(
  unknowns: Unknowns, bodies: Bodies, camera: Camera, problem: Problem
) -> Array:
  """Compares the marked points with the keypoints."""
  points = bodies.joints + _MARK * jnp.einsum(
    'pfjxy,pjy->pfjx', problem.frames, unknowns.marks
  )
  depth = jnp.maximum(points[..., 2:], _NEAREST)
  pixels = camera.focal * points[..., :2] / depth + problem.center
  off = pixels - problem.keypoints[..., :2]
  off = off * problem.depths[..., None, None]  # From pixels to metres.
  off = jnp.sqrt(_squares(off) + 1e-9) / problem.noise[:, None, None]
  weight = problem.keypoints[..., 2] * problem.known[..., None]
  return (_robust(off, 1.0) * weight).sum()


def _knees(joints: Array, problem: Problem) -> Array:
  """Compares knees with the line from hip to ankle; they are in front of it."""
  forwards = problem.frames[:, :, 0, :, 2]
  total = jnp.zeros(())
  for side in 'RL':
    hip, knee, ankle = (
      joints[:, :, body.BODY.joints.index(side + name)]
      for name in ('Hip', 'Knee', 'Ankle')
    )
    front = ((knee - (hip + ankle) / 2) * forwards).sum(axis=-1)
    total += ((jax.nn.relu(-front) / 0.02) ** 2 * problem.known).sum()
  return total
