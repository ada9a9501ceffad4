"""Checkpoints of the released PyTorch code to run folders, and back.

python experiments/convert_torch.py --input=ckpt.pth.tar --output=runs/ckpt
python experiments/convert_torch.py --to_torch --input=runs/h36m --output=F
"""

import pathlib

from absl import flags

from semgcn_jax import cli
from semgcn_jax.torch_import import export_run, import_run

cli.define_config_flags()
_INPUT = flags.DEFINE_string('input', None, 'Checkpoint, or run folder.')
_OUTPUT = flags.DEFINE_string('output', None, 'New run folder, or file.')
_TO_TORCH = flags.DEFINE_bool('to_torch', False, 'From our run to PyTorch.')
_WHICH = flags.DEFINE_string(
  'which', 'best', 'With --to_torch: best, last, or an epoch.'
)
_ONLY_SEED = flags.DEFINE_integer(
  'only_seed', None, 'With --to_torch: which, of a run with several seeds.'
)
flags.mark_flags_as_required(['input', 'output'])


def main():
  source, output = pathlib.Path(_INPUT.value), pathlib.Path(_OUTPUT.value)
  if _TO_TORCH.value:
    export_run(source, _WHICH.value, output, _ONLY_SEED.value)
  else:
    import_run(source, output, cli.config_flags())


if __name__ == '__main__':
  cli.run(main)
