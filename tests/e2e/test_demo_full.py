"""The full demo: both apps, from nothing to healed, on slices of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from running_lab import name_of_ours

pytestmark = [pytest.mark.lab, pytest.mark.long]


def test_both_apps_are_shown(tmp_path: Path, lab_ground: Path) -> None:
    """What is made on one web server is read on the other, and again after its database was down."""
    assert lab_ground.is_dir()
    name = name_of_ours("both")
    environment = {**os.environ, "TFHEAL_AGE_KEY_FILE": str(tmp_path / "age.key")}

    def tfheal(*words: str) -> str:
        command = [sys.executable, "-m", "tfheal", "demo", "--name", name, "--json", *words]
        ran = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=2700, check=False
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    try:
        steps = [(step["what"], step["outcome"]) for step in json.loads(tfheal("--full", "--yes"))["steps"]]
    finally:
        tfheal("--down")
    told = dict(steps)
    assert told["read them on s3"] == told["read them on s3 again"] == told["make a party and an opportunity on s2"]
    assert steps[steps.index(("break it: db-down", told["break it: db-down"])) + 1 :][:2] == [
        ("ask for the status", "unit-stopped, blocked, exit 3"),
        ("heal --auto", "restart done, exit 0"),
    ]
