"""The commands, one per file: each maps a group of flags to library calls.

They share `parsing` (flags and --help), `running` (exit statuses),
`shared_flags` and `outputs`; the installed programs start in `entry`.
"""
