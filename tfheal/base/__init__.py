"""The ground: errors, exit codes, shell quoting, secrets and untrusted text. Standard library only."""
