"""The owner at work with what is on paper: the commands of a sheet are run as they stand."""

import base64

from running_lab import RunningLab


def follow(lab: RunningLab, sheet: str, slice_name: str, folder: str) -> None:
    """Run the commands of a sheet on a slice, in one folder."""
    commands = "".join(line[4:] for line in sheet.splitlines(keepends=True) if line.startswith("    "))
    packed = base64.b64encode(commands.encode()).decode()
    lab.on(slice_name, f"mkdir -p {folder}; cd {folder} && echo {packed} | base64 -d >commands && sh -eu commands")
