"""`tfheal demo`: the whole product on real slices of this machine, each step as an operator would take it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tfheal.base.errors import ActionFailed
from tfheal.flows.deploy import DeployOptions, deploy
from tfheal.flows.fleet import Limits
from tfheal.flows.heal import HealOptions, heal
from tfheal.flows.status import status
from tfheal.model.demo import DemoStep, FileClient
from tfheal.model.lab import LabFaults
from tfheal.model.ports import Ports
from tfheal.model.workspace import Workspace

APP: Final = "files"
USER: Final = "admin"
SECRET: Final = "admin_password"  # noqa: S105 (its name, not its value)
LETTER: Final = b"What a customer keeps must still be there when everything around it was broken.\n" * 400
FAULTS: Final = ("kill-service", "corrupt-config")


@dataclass(frozen=True, slots=True)
class Stage:
    """What the demo plays on: a workspace whose lab is up, and the hands."""

    workspace: Workspace
    ports: Ports
    limits: Limits
    faults: LabFaults
    files: FileClient
    lab: str
    slice: str


def demo(stage: Stage) -> tuple[DemoStep, ...]:
    """Given a stage, deploy, use, break and heal an app on it; raise ActionFailed at the first step that goes wrong."""
    steps = [
        _timed(stage, f"deploy {APP} (copyparty) on {stage.slice}", lambda: _deploy(stage)),
        _timed(stage, "upload a file over WebDAV and read it back", lambda: _upload(stage)),
        _timed(stage, "ask for the status", lambda: _healthy(stage)),
    ]
    for fault in FAULTS:
        steps += [
            _timed(stage, f"break it: {fault}", lambda fault=fault: _break(stage, fault)),  # type: ignore[misc]
            _timed(stage, "ask for the status", lambda: _broken(stage)),
            _timed(stage, "heal --auto", lambda: _heal(stage)),
        ]
    steps += [
        _timed(stage, "read the file again", lambda: _download(stage)),
        _timed(stage, "ask for the status", lambda: _healthy(stage)),
    ]
    return tuple(steps)


def _timed(stage: Stage, what: str, step: Callable[[], str]) -> DemoStep:
    begun = stage.ports.clock.monotonic()
    outcome = step()
    seconds = stage.ports.clock.monotonic() - begun
    stage.ports.reporter.say(f"{what}: {outcome} ({seconds:.1f} s)")
    return DemoStep(what, outcome, seconds)


def _deploy(stage: Stage) -> str:
    (result,) = deploy(stage.workspace, (APP,), stage.ports, stage.limits, DeployOptions())
    if result.exit:
        bad = next((item.detail for item in result.instances if item.detail), result.refused)
        raise ActionFailed("the deploy failed", where=APP, why=bad, hint="tfheal demo goes on from here")
    return ", ".join(f"{item.plan.instance} {item.outcome}" for item in result.instances)


def _url(stage: Stage) -> str:
    address = stage.workspace.inventory.slices[stage.slice].address
    port = stage.workspace.playbooks["copyparty"].playbook.settings["port"].default
    return f"http://[{address}]:{port}/letter.txt"


def _upload(stage: Stage) -> str:
    vault = stage.ports.vault
    password = vault.get(APP, SECRET, vault.latest(APP, SECRET))
    stage.files.put(_url(stage), USER, password, LETTER)
    return _download(stage)


def _download(stage: Stage) -> str:
    vault = stage.ports.vault
    password = vault.get(APP, SECRET, vault.latest(APP, SECRET))
    if stage.files.get(_url(stage), USER, password) != LETTER:
        raise ActionFailed("the file is not what was uploaded", where=_url(stage))
    return f"{len(LETTER)} bytes, the same as uploaded"


def _healthy(stage: Stage) -> str:
    seen = status(stage.workspace, (APP,), (), stage.ports, stage.limits)
    if seen.exit:
        causes = ", ".join(f"{finding.cause}: {finding.detail}" for finding in seen.diagnosis.findings)
        raise ActionFailed("the app is not healthy", where=APP, why=causes)
    return f"{APP} is {seen.diagnosis.apps[APP]}, exit 0"


def _broken(stage: Stage) -> str:
    seen = status(stage.workspace, (APP,), (), stage.ports, stage.limits)
    found = [finding for finding in seen.diagnosis.findings if finding.severity != "info"]
    if not found:
        raise ActionFailed("the fault was not found", where=APP, why="the status is healthy")
    return f"{found[0].cause}, exit {int(seen.exit)}"


def _break(stage: Stage, fault: str) -> str:
    return stage.faults.put(stage.lab, stage.slice, fault, APP).detail


def _heal(stage: Stage) -> str:
    done = heal(stage.workspace, (APP,), stage.ports, stage.limits, HealOptions(plan_only=False, agree=lambda _: True))
    if done.exit:
        raise ActionFailed("it was not healed", where=APP, why="; ".join(taken.detail for taken in done.taken))
    stage.faults.mend(stage.lab, stage.slice, None)
    return ", ".join(f"{taken.action.rung} {taken.outcome}" for taken in done.taken) + ", exit 0"
