"""The commands, a file each: flags -> Config -> one call of the library."""
