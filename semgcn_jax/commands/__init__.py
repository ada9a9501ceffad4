"""The commands, one in each file: flags in, and one call of the library."""
