"""Says what is installed, which extras work, and why the others do not."""

import dataclasses

from semgcn_jax.commands import parsing
from semgcn_jax.config.fields import setting


@dataclasses.dataclass(frozen=True)
class Flags(parsing.Flags):
  """The flags of the command."""

  version: bool = setting(
    False, 'Only print the versions, and what JAX computes on.'
  )
