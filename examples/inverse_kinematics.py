"""Scales an OpenSim model to the markers of a TRC file, and poses it by them.

    pip install opensim && pip install --no-deps pose2sim
    semgcn predict --video=walk.mp4 --people=1 --output=walk.trc,walk.mot
    python examples/inverse_kinematics.py walk.trc --mass=70

The model, its markers and their weights are those of Pose2Sim for the joints of
BODY_25. OpenSim's solver can be caught in an impossible pose, so it starts at
the angles of the MOT file, if there is one beside the TRC file. The results are
there, too: `walk.osim`, the scaled model, and `walk.ik.mot`, its coordinates in
every frame. Both open in OpenSim.
"""

import argparse
import importlib.util
import math
import pathlib
import tempfile

import opensim


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
  setup: pathlib.Path, trc: pathlib.Path, mass: float
) -> pathlib.Path:
  """Scales the model to the mean distances of the markers; returns its file."""
  model = opensim.Model(str(setup / 'Model_Pose2Sim_simple.osim'))
  model.set_MarkerSet(opensim.MarkerSet(str(setup / 'Markers_Body25.xml')))
  model.initSystem()
  tool = opensim.ScaleTool(str(setup / 'Scaling_Setup_Pose2Sim_Body25.xml'))
  scaler, scaled = tool.getModelScaler(), trc.with_suffix('.osim')
  scaler.setMarkerFileName(str(trc))
  scaler.setTimeRange(time_range(trc))
  scaler.setOutputModelFileName(str(scaled))
  if not scaler.processModel(model, '', mass):
    raise SystemExit(f'{trc}: OpenSim cannot scale the model to its markers')
  return scaled


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
  setup: pathlib.Path, scaled: pathlib.Path, trc: pathlib.Path
) -> tuple[pathlib.Path, float]:
  """Poses the model in every frame.

  Returns:
    The file of its coordinates, and the root mean square of how far the markers
    are from those of the model, in metres.
  """
  model, mot = opensim.Model(str(scaled)), trc.with_suffix('.mot')
  if mot.is_file():
    start_at(model, mot)
  motion = trc.with_suffix('.ik.mot')
  tool = opensim.InverseKinematicsTool(
    str(setup / 'IK_Setup_Pose2Sim_Body25.xml')
  )
  times = time_range(trc)
  tool.setModel(model)
  tool.setMarkerDataFileName(str(trc))
  tool.setStartTime(times.get(0))
  tool.setEndTime(times.get(1))
  tool.setOutputMotionFileName(str(motion))
  with tempfile.TemporaryDirectory() as folder:
    tool.setResultsDir(folder)
    if not tool.run():
      raise SystemExit(f'{trc}: OpenSim cannot pose the model by its markers')
    (errors,) = pathlib.Path(folder).glob('*marker_errors.sto')
    table = opensim.TimeSeriesTable(str(errors))
  errors = table.getDependentColumn('marker_error_RMS').to_numpy()
  return motion, math.sqrt((errors**2).mean())


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('trc', type=pathlib.Path, help='a TRC file of semgcn')
  parser.add_argument('--mass', type=float, default=70.0, help='in kg')
  flags = parser.parse_args()
  trc = flags.trc.resolve()  # OpenSim changes the folder.
  if not trc.is_file():
    raise SystemExit(f'{flags.trc}: no such file')
  opensim.Logger.setLevelString('Error')
  opensim.Logger.removeFileSink()  # It would leave a file here.
  setup = find_setup()
  opensim.ModelVisualizer.addDirToGeometrySearchPaths(str(setup / 'Geometry'))
  scaled = scale_model(setup, trc, flags.mass)
  motion, error = solve(setup, scaled, trc)
  print(f'the model of {flags.mass:g} kg: {scaled}')
  print(f'its motion: {motion}')
  print(f'markers are {1000 * error:.0f} mm from those of the model')


if __name__ == '__main__':
  main()
