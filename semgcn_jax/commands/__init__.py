"""The commands, one in each file: a group of flags in, the library called.

What they share is in `parsing` (flags and --help), `running` (exit statuses),
`shared_flags` and `outputs`; `entry` is where the installed programs begin.
"""
