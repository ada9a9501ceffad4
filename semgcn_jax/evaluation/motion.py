"""Errors of motion, that is, of the change of poses from frame to frame.

They are means over joints and frames, in millimetres per frame, per frame
squared and so on, at the frame rate of the scored poses.
"""

import numpy as np


def motion_errors(
  predicted: np.ndarray, targets: np.ndarray, views: np.ndarray
) -> dict[str, float]:
  """Scores the motion of poses, which are consecutive within each view.

  Args:
    predicted: The predicted poses, `[N, J, 3]`, metres.
    targets: The true poses, `[N, J, 3]`, metres.
    views: The view of each pose, `[N]`, one view after the other.

  Returns:
    'mpjve', the error of the velocity (the MPJVE of arXiv:1811.11742, section
    4.3); 'acceleration_error', that of the acceleration (arXiv:1812.01601,
    section 3.4); 'jitter' and 'true_jitter', the change of the predicted and
    the true acceleration. Those that need longer views are left out.
  """
  errors = predicted.astype(float) - targets
  result = {}
  for name, poses, order in (
    ('mpjve', errors, 1),
    ('acceleration_error', errors, 2),
    ('jitter', predicted, 3),
    ('true_jitter', targets, 3),
  ):
    within = views[order:] == views[:-order]
    if within.any():
      changes = np.linalg.norm(np.diff(poses, n=order, axis=0), axis=-1)
      result[name] = 1000 * float(changes[within].mean())
  return result
