"""Renders scenes by ray casting, in JAX.

A part of a body is the union of ellipsoids whose centers lie on a line. In the
part's metric, a ray meets the ball with the center a + s u at the depth

  z(s) = (m(s) - sqrt(q(s))) / D,   q(s) = m(s)^2 - D C(s),

where m is linear in s, q and C are quadratic, and D is the squared length of
the ray. Where q has a maximum, z is convex, and its minimum has a closed form.
"""

import functools

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from semgcn_jax.simulation.scenes import Scenes

Array = jax.Array

_FAR = 60.0  # Rays end at this depth, metres.
_PENUMBRA = 0.03  # The width of the edges of shadows, metres.
_BLOCK = 2**16  # The largest number of rays at once.


def draw(scenes: Scenes, size: int) -> np.ndarray:
  """Renders N scenes.

  Args:
    scenes: The scenes.
    size: The side of an image, pixels.

  Returns:
    RGB images `[N, size, size, 3]` uint8.
  """
  # Channels are moved last here, outside jit: the compiler would make them the
  # innermost loop of everything.
  return np.moveaxis(np.asarray(_draw(scenes, size)), 1, -1)


@functools.partial(jax.jit, static_argnums=1)
def _draw(scenes: Scenes, size: int) -> Array:
  # Small images get 4 rays per pixel, for smooth edges.
  fine = 2 if size <= 128 else 1
  at_once = max(1, _BLOCK // (size * fine) ** 2)
  draw_one = functools.partial(_draw_one, size=size, fine=fine)
  return jax.lax.map(draw_one, scenes, batch_size=at_once)


def _draw_one(scene: Scenes, size: int, fine: int) -> Array:
  """Renders one scene, `[3, size, size]` uint8."""
  x, y = _rays(size, fine) / scene.zoom
  parts = _describe(scene)
  nearest = _nearest(parts, x, y)
  part = _pick_each(parts, nearest)
  body, place, _ = _meet(part, x, y)
  floor, wall = (_plane_depth(scene, plane, x, y) for plane in (0, 1))
  is_body, is_floor = nearest >= 0, floor < wall
  depth = jnp.where(is_body, body, jnp.minimum(floor, wall))
  points = jnp.stack([x * depth, y * depth, depth])
  away = points - part.start - place * part.line
  flat = jnp.where(is_floor, *scene.planes[..., None])
  normal = jnp.where(is_body, _normal(part, away), flat)
  shine = _shine(scene, parts, points, normal)
  striped = _stripes(part, away, place)
  mixed = _texture(scene, points, is_floor)

  def channel(values):
    (near, second, far), tones, tint, noise = values
    worn = jnp.where(place < part.cut, near + (second - near) * striped, far)
    first, other = jnp.where(is_floor, *tones[..., None])
    color = jnp.where(is_body, worn, first + (other - first) * mixed)
    color = (color * shine * tint).reshape(fine**2, size**2)
    color = sum(color) / fine**2 + scene.noise * noise
    return jnp.round(255 * jnp.clip(color, 0, 1)).astype(jnp.uint8)

  # With a loop, the compiler computes what all channels share only once.
  colors, tones = part.colors.swapaxes(0, 1), jnp.moveaxis(scene.tones, -1, 0)
  noise = _noise(scene.seed, size)
  picture = jax.lax.map(channel, (colors, tones, scene.tint, noise))
  return picture.reshape(3, size, size)


def _rays(size: int, fine: int) -> np.ndarray:
  """Returns x and y, from -1 to 1, of the rays (x, y, 1).

  Their shape is `[2, fine * fine * size * size]`: the first ray of every pixel,
  row by row, then the second ray of every pixel, and so on.
  """
  steps = (np.arange(size * fine, dtype=np.float32) + 0.5) * (2 / fine / size)
  steps = (steps - 1).reshape(size, fine).T
  y, x = np.broadcast_arrays(steps[:, None, :, None], steps[None, :, None, :])
  return np.stack([x.reshape(-1), y.reshape(-1)])


@flax.struct.dataclass
class _Parts:
  """The K parts of a body, or the parts that K rays meet; see `Bodies`.

  Attributes:
    start: Where the line begins, `[3, K]`, metres, camera frame.
    line: From there to the end, `[3, K]`.
    metric: The symmetric matrix that turns ellipsoids into balls, `[3, 3, K]`.
    radius: The radius at the start, `[K]`.
    growth: The radius at the end minus that at the start, `[K]`.
    across: The direction across the line, `[3, K]`.
    stripes: Stripes along the whole line, and per metre across it, `[2, K]`.
    colors: Up to the cut, of the stripes, and beyond the cut, `[3, 3, K]`.
    cut: Where the cut is, `[K]`.
  """

  start: Array
  line: Array
  metric: Array
  radius: Array
  growth: Array
  across: Array
  stripes: Array
  colors: Array
  cut: Array


def _describe(scene: Scenes) -> _Parts:
  """Precomputes the parts of a body."""
  squeeze = 1 / jnp.square(scene.stretch) - 1
  outer = scene.across[..., :, None] * scene.across[..., None, :]
  metric = jnp.eye(3) + (squeeze[..., None, None] * outer).sum(axis=1)
  line = scene.ends - scene.starts
  length = jnp.sqrt(jnp.square(line).sum(axis=-1))
  return _Parts(
    start=scene.starts.T,
    line=line.T,
    metric=metric.T,
    radius=scene.radii[:, 0],
    growth=scene.radii[:, 1] - scene.radii[:, 0],
    across=scene.across[:, 0].T,
    stripes=jnp.stack([scene.stripes[:, 0] * length, scene.stripes[:, 1]]),
    colors=jnp.moveaxis(scene.colors, 0, -1),
    cut=scene.cut,
  )


def _dot(a, b) -> Array:
  """Computes dot products over the first axis, in a fixed order."""
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _meet(part: _Parts, x: Array, y: Array) -> tuple[Array, Array, Array]:
  """Intersects rays (x, y, 1) with one part, or with a part each.

  Returns:
    The depth in metres, the position s along the part's line from 0 to 1, and
    whether the ray meets the part, `[P]` each.
  """
  metric = part.metric
  to_start, along = _dot(metric, part.start), _dot(metric, part.line)
  c0 = _dot(part.start, to_start) - part.radius**2
  c1 = 2 * (_dot(part.line, to_start) - part.radius * part.growth)
  c2 = _dot(part.line, along) - part.growth**2
  square = (
    x * (x * metric[0, 0] + 2 * (y * metric[0, 1] + metric[0, 2]))
    + y * (y * metric[1, 1] + 2 * metric[1, 2])
    + metric[2, 2]
  )
  m0 = x * to_start[0] + y * to_start[1] + to_start[2]
  m1 = x * along[0] + y * along[1] + along[2]
  q0 = m0 * m0 - square * c0
  q1 = 2 * m0 * m1 - square * c1
  q2 = m1 * m1 - square * c2
  # The minimum of z(s), where q has a maximum.
  k = jnp.maximum(-q2, 1e-6)
  share = 1 / (k * square)  # A single division, as they are slow.
  middle = 0.5 * q1 * share * square
  most = jnp.maximum(q0 + q1 * middle / 2, 0)
  s = middle - m1 * jnp.sqrt(most * share / jnp.maximum(c2, 1e-9))
  # Along the line, a ray meets the nearer end, or a larger one behind it.
  first = jnp.where(m1 > 0, 0.0, 1.0)
  first = jnp.where(q0 + first * (q1 + q2) >= 0, first, 1 - first)
  s = jnp.where(q2 < -1e-6, jnp.clip(s, 0, 1), first)
  q = q0 + s * (q1 + s * q2)
  depth = (m0 + m1 * s - jnp.sqrt(jnp.maximum(q, 0))) * (share * k)
  return depth, s, q >= 0


def _nearest(parts: _Parts, x: Array, y: Array) -> Array:
  """Returns the index of the part that each ray meets first, or -1, `[P]`."""
  bits = (1 << (parts.cut.size + 1).bit_length()) - 1

  def meet(index, best):
    depth, _, meets = _meet(_pick(parts, index), x, y)
    # The bits of positive floats compare as integers do. The last ones hold
    # the index, so that one minimum finds both.
    key = jax.lax.bitcast_convert_type(depth, jnp.int32) & ~bits | index
    return jnp.minimum(best, jnp.where(meets & (depth > 0), key, nothing))

  nothing = np.int32(np.iinfo(np.int32).max)
  start = jnp.full(x.shape, nothing)
  best = jax.lax.fori_loop(0, parts.cut.size, meet, start)
  return jnp.where(best == nothing, -1, best & bits)


def _pick(parts: _Parts, index: Array) -> _Parts:
  """Picks one of the parts."""
  return jax.tree.map(lambda array: array[..., index], parts)


def _pick_each(parts: _Parts, indices: Array) -> _Parts:
  """Picks a part for each ray, `[P]`, by a matrix product, which is fastest."""
  arrays, tree = jax.tree.flatten(parts)
  table = jnp.concatenate([a.reshape(-1, a.shape[-1]) for a in arrays])
  is_picked = jnp.arange(parts.cut.size)[:, None] == indices
  table = jnp.dot(table, is_picked.astype(jnp.float32), precision='highest')
  ends = np.cumsum([a[..., 0].size for a in arrays])
  picked = zip(jnp.split(table, ends[:-1]), arrays, strict=True)
  return tree.unflatten([t.reshape(*a.shape[:-1], -1) for t, a in picked])


def _plane_depth(scene: Scenes, plane: int, x: Array, y: Array) -> Array:
  """Returns the depth of the floor (0) or the wall (1) along rays, metres."""
  normal = scene.planes[plane]
  towards = x * normal[0] + y * normal[1] + normal[2]
  return jnp.minimum(scene.offsets[plane] / jnp.minimum(towards, -1e-6), _FAR)


def _normal(part: _Parts, away: Array) -> Array:
  """Returns unit normals `[3, P]`, given points relative to ball centers."""
  normal = _dot(part.metric, away)
  return normal * jax.lax.rsqrt(jnp.maximum(_dot(normal, normal), 1e-12))


def _stripes(part: _Parts, away: Array, place: Array) -> Array:
  """Returns the weight of the stripes' color at points of bodies, `[P]`."""
  wave = _wave(part.stripes[0] * place)
  wave *= _wave(part.stripes[1] * _dot(part.across, away))
  is_plain = part.stripes[0] + part.stripes[1] == 0
  return jnp.where(is_plain, 0, jnp.clip(0.5 + 3 * wave, 0, 1))


def _wave(cycles: Array) -> Array:
  """Computes a smooth wave from -1 to 1, cheaper than a cosine."""
  t = 2 * jnp.abs(cycles - jnp.round(cycles))
  return 1 - 2 * t * t * (3 - 2 * t)


def _texture(scene: Scenes, points: Array, is_floor: Array) -> Array:
  """Returns the weight of the second color at points of the room, `[P]`."""
  floor, wall = scene.axes
  u, v = (
    jnp.where(is_floor, _dot(floor[axis], points), _dot(wall[axis], points))
    for axis in (0, 1)
  )
  texture = jnp.zeros_like(u)
  for wave in scene.waves:
    weight = jnp.where(is_floor, wave[3], wave[4])
    texture += weight * _wave(wave[0] * u + wave[1] * v + wave[2])
  sharp = jnp.where(is_floor, scene.sharp[0], scene.sharp[1])
  return jnp.clip(0.5 + sharp * texture, 0, 1)


def _shine(scene: Scenes, parts: _Parts, points: Array, normal: Array) -> Array:
  """Computes the light reflected by points with normals `[3, P]`, `[P]`."""
  directed, ambient, fill = scene.lights
  facing = jnp.maximum(_dot(scene.light, normal), 0)
  view = -_dot(points, normal) * jax.lax.rsqrt(_dot(points, points))
  return (
    directed * facing * (1 - _shadow(parts, scene.light, points))
    + ambient * (0.7 + 0.3 * _dot(scene.planes[0], normal))
    + fill * jnp.maximum(view, 0)
  )


def _shadow(parts: _Parts, light: Array, points: Array) -> Array:
  """Computes the share of the light that the body blocks, `[P]`."""

  def cover(index, most):
    part = _pick(parts, index)
    to_light, along = _dot(part.metric, light), _dot(part.metric, part.line)
    square = _dot(to_light, light)
    m1 = _dot(to_light, part.line)
    c2 = _dot(part.line, along) - part.growth**2
    q2 = jnp.minimum(m1 * m1 - square * c2, -1e-6)
    away = [part.start[axis] - points[axis] for axis in range(3)]
    m0 = _dot(to_light, away)
    squeezed = [_dot(row, away) for row in part.metric]
    c0 = _dot(away, squeezed) - part.radius**2
    c1 = 2 * (_dot(along, away) - part.radius * part.growth)
    q0 = m0 * m0 - square * c0
    q1 = 2 * m0 * m1 - square * c1
    s = jnp.clip(q1 * (-0.5 / q2), 0, 1)
    q = q0 + s * (q1 + s * q2)
    width = square * 2 * _PENUMBRA * (part.radius + 0.5 * part.growth)
    covered = jnp.clip(q / width, 0, 1)
    return jnp.maximum(most, jnp.where(m0 + m1 * s > 0, covered, 0))

  return jax.lax.fori_loop(0, parts.cut.size, cover, jnp.zeros_like(points[0]))


def _noise(seed: Array, size: int) -> Array:
  """Hashes positions to noise from -1 to 1, `[3, size * size]`."""
  places = jnp.arange(3 * size * size, dtype=jnp.uint32)
  bits = places * jnp.uint32(0x9E3779B1) ^ seed
  for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
    bits = (bits ^ (bits >> shift)) * jnp.uint32(factor)
  bits = bits ^ (bits >> 16)
  unit = (bits >> 8).astype(jnp.float32) * 2.0**-24
  return (2 * unit - 1).reshape(3, size * size)
