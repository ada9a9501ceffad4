"""Serves a Lifter over HTTP: keypoints or a picture in, poses out.

    pip install "semgcn-jax[serve]"    # and [pose], for pictures
    python examples/serve.py --port=8000

Requests that arrive while others are computed are lifted together in the next
batch. docs/service.md describes the requests, and how fast it is.
"""

import argparse
import asyncio
import contextlib
import dataclasses
import io
from collections.abc import AsyncIterator
from typing import Annotated, Any

import fastapi
import numpy as np
import pydantic
import uvicorn
from PIL import Image

import semgcn_jax
from semgcn_jax import JOINT_SETS, Lifter, SettingError, UserError

MOST_POSES = 1000  # In a request, and in a batch.
MOST_WAITING = 512  # Requests; more are turned away.
MOST_BYTES = 8 * 2**20  # Of a request.
MOST_PIXELS = 2**25  # Of a picture.

Number = Annotated[float | None, pydantic.Field(allow_inf_nan=True)]


class Keypoints(pydantic.BaseModel):
  """The keypoints of N poses in one image size.

  `keypoints` are `[N, J, 2]`, pixels, or `[N, J, 3]` with a confidence from 0
  to 1; null means not found. `field_of_view` is that of the longer side of the
  image, in degrees, if it is known.
  """

  model_config = pydantic.ConfigDict(extra='forbid')
  keypoints: Annotated[
    list[list[list[Number]]], pydantic.Field(max_length=MOST_POSES)
  ]
  image_size: tuple[pydantic.PositiveFloat, pydantic.PositiveFloat]
  joints: str = 'coco'
  field_of_view: Annotated[float, pydantic.Field(ge=1, le=179)] | None = None


class Poses(pydantic.BaseModel):
  """The poses `[N, 16, 3]` and their expected errors `[N, 16]`, metres.

  Both are null where fewer than four keypoints were found. x points to the
  right, y down, z away from the camera, and the pelvis is the origin.
  """

  joints: list[str]
  poses: list[list[list[float]] | None]
  errors: list[list[float] | None]


@dataclasses.dataclass(frozen=True)
class Job:
  """A request that waits for its batch."""

  keypoints: np.ndarray
  image_size: tuple[float, float]
  kind: tuple[Any, ...]  # The shape of a pose, joint set, and field of view.
  done: asyncio.Future[tuple[np.ndarray, np.ndarray]]


class Batches:
  """Lifts jobs in batches, one after the other, in a thread."""

  def __init__(self, lifter: Lifter):
    self.lifter = lifter
    self.jobs: asyncio.Queue[Job] = asyncio.Queue(MOST_WAITING)

  async def lift(
    self, keypoints: np.ndarray, image_size: tuple[float, float], *kind: Any
  ) -> tuple[np.ndarray, np.ndarray]:
    """Lifts keypoints with those of other requests; returns poses, errors."""
    done = asyncio.get_running_loop().create_future()
    kind = (keypoints.shape[1:], *kind)
    try:
      self.jobs.put_nowait(Job(keypoints, image_size, kind, done))
    except asyncio.QueueFull:
      raise fastapi.HTTPException(503, 'too many requests; try again') from None
    return await done

  async def run(self) -> None:
    """Lifts whatever waits, until it is cancelled."""
    held = None
    while True:
      jobs = [held or await self.jobs.get()]
      held, count = None, len(jobs[0].keypoints)
      while not self.jobs.empty():
        job = self.jobs.get_nowait()
        count += len(job.keypoints)
        if job.kind != jobs[0].kind or count > MOST_POSES:
          held = job  # It begins the next batch.
          break
        jobs.append(job)
      try:
        results = await asyncio.to_thread(self._lift, jobs)
      except Exception as error:  # The next batch may do better.
        results = [error] * len(jobs)
      for job, result in zip(jobs, results, strict=True):
        if job.done.cancelled():  # The client has gone.
          continue
        if isinstance(result, Exception):
          job.done.set_exception(result)
        else:
          job.done.set_result(result)

  def _lift(self, jobs: list[Job]) -> list[Any]:
    """Lifts jobs of one kind together."""
    _, joints, field_of_view = jobs[0].kind
    sizes = [len(job.keypoints) for job in jobs]
    try:
      lifted = self.lifter.lift(
        np.concatenate([job.keypoints for job in jobs]),
        np.repeat([job.image_size for job in jobs], sizes, axis=0),
        joints,
        field_of_view=field_of_view,
      )
    except UserError as error:
      if len(jobs) == 1:
        return [error]
      # Somebody's keypoints are wrong; the others get their poses.
      return [result for job in jobs for result in self._lift([job])]
    ends = np.cumsum(sizes)[:-1]
    parts = (np.split(array, ends) for array in (lifted.poses, lifted.errors))
    return list(zip(*parts, strict=True))


def make_app(checkpoint: str = 'cmu') -> fastapi.FastAPI:
  """Builds the service of bundled weights, or of a run."""
  batches = Batches(Lifter.load(checkpoint))
  skeleton = batches.lifter.skeleton
  looking = asyncio.Lock()  # One picture at a time.

  @contextlib.asynccontextmanager
  async def running(app: fastapi.FastAPI) -> AsyncIterator[None]:
    del app
    worker = asyncio.create_task(batches.run())
    # What is compiled before the first request need not be waited for.
    await batches.lift(np.full((1, 17, 2), 300.0), (640, 480), 'coco', None)
    yield
    worker.cancel()

  app = fastapi.FastAPI(
    title='SemGCN-JAX', version=semgcn_jax.__version__, lifespan=running
  )

  @app.middleware('http')
  async def limit(request: fastapi.Request, call_next: Any) -> Any:
    size = request.headers.get('content-length', '')
    if request.method == 'POST' and not size.isdigit():
      return fastapi.responses.JSONResponse({'detail': 'needs a length'}, 411)
    if size.isdigit() and int(size) > MOST_BYTES:
      message = f'larger than {MOST_BYTES:,} bytes'
      return fastapi.responses.JSONResponse({'detail': message}, 413)
    return await call_next(request)

  @app.exception_handler(UserError)
  async def told(request: fastapi.Request, error: UserError) -> Any:
    del request
    status = 503 if isinstance(error, SettingError) else 422
    return fastapi.responses.JSONResponse({'detail': str(error)}, status)

  @app.get('/health')
  async def health() -> dict[str, Any]:
    """Says that it runs, and how many requests wait."""
    return {
      'status': 'ok',
      'weights': checkpoint,
      'waiting': batches.jobs.qsize(),
    }

  @app.post('/lift')
  async def lift(request: Keypoints) -> Poses:
    """Lifts keypoints."""
    if request.joints not in JOINT_SETS:
      raise UserError(f'joints: choose from {", ".join(JOINT_SETS)}')
    try:
      keypoints = np.array(request.keypoints, float)
    except ValueError:
      raise UserError('keypoints: have no common shape') from None
    if keypoints.ndim != 3:
      raise UserError('keypoints: give [N, J, 2] or [N, J, 3]')
    return _poses(
      await batches.lift(
        *(keypoints, request.image_size, request.joints, request.field_of_view)
      ),
      skeleton,
    )

  @app.post('/picture')
  async def picture(request: fastapi.Request) -> Poses:
    """Lifts the people in a JPEG or PNG, which is the body of the request."""
    content = await request.body()
    async with looking:
      keypoints, size = await asyncio.to_thread(_find, content)
    return _poses(
      await batches.lift(keypoints, size, 'mediapipe', None), skeleton
    )

  return app


def _find(content: bytes) -> tuple[np.ndarray, tuple[float, float]]:
  """Finds the people in a picture: their keypoints, and the image size."""
  from semgcn_jax.detections import mediapipe
  from semgcn_jax.detections.finding import find_people

  try:
    with Image.open(io.BytesIO(content), formats=('JPEG', 'PNG')) as image:
      if image.width * image.height > MOST_PIXELS:
        raise UserError(f'picture: has more than {MOST_PIXELS:,} pixels')
      pixels = np.asarray(image.convert('RGB'))
  except (OSError, ValueError, SyntaxError) as error:
    raise UserError('picture: is not a complete JPEG or PNG') from error
  with mediapipe.landmarker() as find:
    people = find_people(find, pixels)
  keypoints = [person.keypoints for person in people]
  return np.array(keypoints).reshape(-1, 33, 3), pixels.shape[1::-1]


def _poses(result: tuple[np.ndarray, np.ndarray], skeleton: Any) -> Poses:
  """Formats poses and errors, null where they are NaN."""
  poses, errors = (
    [None if np.isnan(row).any() else row.round(5).tolist() for row in array]
    for array in (array.astype(float) for array in result)
  )
  return Poses(joints=list(skeleton.joints), poses=poses, errors=errors)


if __name__ == '__main__':
  parser = argparse.ArgumentParser(description='Serve a Lifter over HTTP.')
  add = parser.add_argument
  add('--host', default='127.0.0.1', help='the address to listen on')
  add('--port', type=int, default=8000, help='the port to listen on')
  add('--checkpoint', default='cmu', help='bundled weights, or a run')
  flags = parser.parse_args()
  try:
    app = make_app(flags.checkpoint)
  except UserError as error:
    parser.error(f'--checkpoint: {error}')
  address = f'http://{flags.host}:{flags.port}'
  print(f'{address} lifts by {flags.checkpoint}; {address}/docs says how')
  uvicorn.run(
    app,
    host=flags.host,
    port=flags.port,
    log_level='warning',
  )
