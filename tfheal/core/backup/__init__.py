"""Backups, pure: the script that runs restic on a slice, what its words mean, and which backups are worth keeping."""
