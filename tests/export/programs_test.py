import exported
import numpy as np
import pytest

from semgcn_jax.errors import SettingError, UserError
from semgcn_jax.export import programs
from semgcn_jax.export.program import check_difference, largest_difference
from semgcn_jax.runs.networks import Network


@pytest.mark.slow
def test_what_cannot_be_exported():
  network = exported.make(exported.SETTINGS['vanilla'])
  calibrated = Network(
    network.config.replace(scale_calibration=True),
    *(network.skeleton, network.variables, network.progress),
  )
  with pytest.raises(UserError, match='no scale of their own'):
    programs.make_program(calibrated)
  with pytest.raises(SettingError, match='`joint_set=coco`.*leave it out'):
    programs.make_program(network, joint_set='coco')
  lifter = exported.make(exported.LIFTER | {'input_joints': ('mpii',)})
  with pytest.raises(SettingError, match='`joint_set=coco`.*lifts mpii'):
    programs.make_program(lifter)


def test_the_largest_difference():
  program = programs.make_program(exported.make(exported.SETTINGS['vanilla']))
  (poses,) = program.function(*program.draw(2).values())

  def differs(change):
    def call(*arrays):
      (poses,) = program.function(*arrays)
      return [change(np.array(poses))]

    return largest_difference(program, call, sizes=(2,))

  assert poses.shape == (2, 16, 3)
  assert differs(lambda x: x) < 1e-5
  assert differs(lambda x: x + 0.25) == pytest.approx(0.25, rel=1e-3)
  assert differs(lambda x: x * np.nan) == float('inf')
  assert differs(lambda x: x[:1]) == float('inf')
  with pytest.raises(UserError, match='by up to inf;'):
    check_difference(float('inf'), 'a.onnx', 'onnxruntime')
