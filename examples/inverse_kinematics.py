"""Scales an OpenSim model to the markers of a TRC file, and poses it by them.

    pip install opensim && pip install --no-deps pose2sim
    semgcn predict --video=walk.mp4 --people=1 --output=walk.trc,walk.mot
    python examples/inverse_kinematics.py walk.trc --mass=70

The model, its markers and their weights are those of Pose2Sim for the joints of
BODY_25. OpenSim's solver can be caught in an impossible pose, so it starts at
the angles of the MOT file, if there is one beside the TRC file. The results are
there, too: `walk.osim`, the scaled model, and `walk.ik.mot`, its coordinates in
every frame. Both open in OpenSim. Existing files stay, unless `--overwrite` is
given.
"""

import argparse
import importlib.util
import math
import pathlib
import tempfile

try:
  import opensim
except ImportError as error:
  raise SystemExit('OpenSim is missing: pip install opensim') from error


def find_setup() -> pathlib.Path:
  """Finds Pose2Sim's models without importing what it needs."""
  spec = importlib.util.find_spec('Pose2Sim')
  if spec is None or not spec.submodule_search_locations:
    raise SystemExit('Pose2Sim is missing: pip install --no-deps pose2sim')
  return pathlib.Path(spec.submodule_search_locations[0]) / 'OpenSim_Setup'


def time_range(trc: pathlib.Path) -> opensim.ArrayDouble:
  """Returns the times of the first and the last frame, in seconds."""
  data, times = opensim.MarkerData(str(trc)), opensim.ArrayDouble()
  times.append(data.getStartFrameTime())
  times.append(data.getLastFrameTime())
  return times


def scale_model(
  setup: pathlib.Path, trc: pathlib.Path, mass: float, scaled: pathlib.Path
) -> None:
  """Scales the model to the mean distances of the markers, and writes it."""
  model = opensim.Model(str(setup / 'Model_Pose2Sim_simple.osim'))
  model.set_MarkerSet(opensim.MarkerSet(str(setup / 'Markers_Body25.xml')))
  model.initSystem()
  tool = opensim.ScaleTool(str(setup / 'Scaling_Setup_Pose2Sim_Body25.xml'))
  scaler = tool.getModelScaler()
  scaler.setMarkerFileName(str(trc))
  scaler.setTimeRange(time_range(trc))
  scaler.setOutputModelFileName(str(scaled))
  if not scaler.processModel(model, '', mass):
    raise RuntimeError('OpenSim cannot scale the model to its markers')


def start_at(model: opensim.Model, mot: pathlib.Path) -> None:
  """Starts at the first angles of a MOT file; those that are nan stay."""
  table = opensim.TimeSeriesTable(str(mot))
  for name in table.getColumnLabels():
    value = table.getDependentColumn(name).getElt(0, 0)
    if model.getCoordinateSet().contains(name) and math.isfinite(value):
      coordinate = model.updCoordinateSet().get(name)
      # Translations are metres.
      turns = coordinate.getMotionType() == opensim.Coordinate.Rotational
      coordinate.setDefaultValue(math.radians(value) if turns else value)


def solve(
  setup: pathlib.Path,
  scaled: pathlib.Path,
  trc: pathlib.Path,
  motion: pathlib.Path,
) -> float:
  """Poses the model in every frame, and writes its coordinates.

  Returns:
    The root mean square of how far the markers are from those of the model, in
    metres.
  """
  model, mot = opensim.Model(str(scaled)), trc.with_suffix('.mot')
  if mot.is_file():
    start_at(model, mot)
  tool = opensim.InverseKinematicsTool(
    str(setup / 'IK_Setup_Pose2Sim_Body25.xml')
  )
  times = time_range(trc)
  tool.setModel(model)
  tool.setMarkerDataFileName(str(trc))
  tool.setStartTime(times.get(0))
  tool.setEndTime(times.get(1))
  tool.setOutputMotionFileName(str(motion))
  tool.setResultsDir(str(motion.parent))
  if not tool.run():
    raise RuntimeError('OpenSim cannot pose the model by its markers')
  (errors,) = motion.parent.glob('*marker_errors.sto')
  table = opensim.TimeSeriesTable(str(errors))
  distances = table.getDependentColumn('marker_error_RMS').to_numpy()
  return math.sqrt((distances**2).mean())


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('trc', type=pathlib.Path, help='a TRC file of semgcn')
  parser.add_argument('--mass', type=float, default=70.0, help='in kg')
  parser.add_argument('--overwrite', action='store_true')
  flags = parser.parse_args()
  if not 0 < flags.mass < math.inf:
    parser.error(f'--mass={flags.mass:g}: must be positive')
  trc = flags.trc.resolve()  # OpenSim changes the folder.
  if not trc.is_file():
    raise SystemExit(f'{flags.trc}: no such file')
  model, motion = trc.with_suffix('.osim'), trc.with_suffix('.ik.mot')
  for path in (model, motion):
    if path.exists() and not flags.overwrite:
      raise SystemExit(f'{path}: exists; give --overwrite, or move it away')
  opensim.Logger.setLevelString('Error')
  opensim.Logger.removeFileSink()  # It would leave a file here.
  setup = find_setup()
  opensim.ModelVisualizer.addDirToGeometrySearchPaths(str(setup / 'Geometry'))
  with tempfile.TemporaryDirectory(dir=trc.parent, prefix='.') as folder:
    made = [pathlib.Path(folder) / path.name for path in (model, motion)]
    try:
      scale_model(setup, trc, flags.mass, made[0])
      error = solve(setup, made[0], trc, made[1])
    except RuntimeError as problem:
      raise SystemExit(f'{flags.trc}: {problem}') from problem
    for temporary, path in zip(made, (model, motion), strict=True):
      temporary.replace(path)
  print(f'the model of {flags.mass:g} kg: {model}')
  print(f'its motion: {motion}')
  print(f'markers are {1000 * error:.0f} mm from those of the model')


if __name__ == '__main__':
  main()
