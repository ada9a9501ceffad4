"""Trains what the flags of train.py name."""

from semgcn_jax import config as config_lib
from semgcn_jax.commands.flags.train import Flags
from semgcn_jax.commands.parsing import config_of
from semgcn_jax.commands.running import overlap_gpu_kernels
from semgcn_jax.errors import Terminated
from semgcn_jax.runs.folder import holds_run
from semgcn_jax.training import processes
from semgcn_jax.training.loop import train


def main(flags: Flags) -> None:
  """Trains the run in the flags; raises Terminated after SIGTERM."""
  overlap_gpu_kernels()
  if flags.distributed or flags.coordinator is not None:
    processes.join(flags.coordinator, flags.num_processes, flags.process_id)
  workdir = flags.folder
  if flags.resume and holds_run(workdir):
    config = config_lib.load(workdir / 'config.json').replace(**flags.given)
  else:
    config = config_of(flags.given)
  with processes.ending_together():
    records = train(config, workdir, resume=flags.resume)
  if not records or records[-1]['epoch'] < config.training.epochs:
    raise Terminated  # Everything is saved. A shell's && must stop here.
