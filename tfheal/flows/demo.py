"""`tfheal demo`: the whole product on real slices of this machine, each step as an operator would take it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tfheal.base.errors import ActionFailed
from tfheal.base.secret import Secret
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
Steps = list[tuple[str, Callable[[], str]]]


@dataclass(frozen=True, slots=True)
class Stage:
    """What a part of the demo plays on: a workspace whose lab is up, the app and where it is broken, and the hands."""

    workspace: Workspace
    ports: Ports
    limits: Limits
    faults: LabFaults
    lab: str
    app: str
    slice: str

    def password(self) -> Secret:
        """Return the password of the app's admin."""
        vault = self.ports.vault
        return vault.get(self.app, SECRET, vault.latest(self.app, SECRET))

    def url(self, slice_name: str) -> str:
        """Return where the app answers on a slice."""
        spec = self.workspace.apps[self.app]
        port = self.workspace.playbooks[spec.playbook].playbook.settings["port"].default
        return f"http://[{self.workspace.inventory.slices[slice_name].address}]:{port}/"


def demo(stage: Stage, files: FileClient) -> tuple[DemoStep, ...]:
    """Given a stage, deploy, use, break and heal the file store; raise ActionFailed at the first step that goes wrong."""
    steps: Steps = [
        (f"deploy {stage.app} (copyparty) on {stage.slice}", lambda: deployed(stage)),
        ("upload a file over WebDAV and read it back", lambda: _upload(stage, files)),
        ("ask for the status", lambda: healthy(stage)),
    ]
    for fault in FAULTS:
        steps += broken_and_healed(stage, fault, stage.app)
    return played(
        stage,
        [
            *steps,
            ("read the file again", lambda: _download(stage, files)),
            ("ask for the status", lambda: healthy(stage)),
        ],
    )


def played(stage: Stage, steps: Steps) -> tuple[DemoStep, ...]:
    """Given the steps of a part, take one after the other and time it."""
    return tuple(_timed(stage, what, step) for what, step in steps)


def broken_and_healed(stage: Stage, fault: str, instance: str) -> Steps:
    """Given a fault and whose it is, return the steps from putting it in to its having been healed."""
    return [
        (f"break it: {fault}", lambda: stage.faults.put(stage.lab, stage.slice, fault, instance).detail),
        ("ask for the status", lambda: _broken(stage)),
        ("heal --auto", lambda: _healed(stage)),
    ]


def _timed(stage: Stage, what: str, step: Callable[[], str]) -> DemoStep:
    begun = stage.ports.clock.monotonic()
    outcome = step()
    seconds = stage.ports.clock.monotonic() - begun
    stage.ports.reporter.say(f"{what}: {outcome} ({seconds:.1f} s)")
    return DemoStep(what, outcome, seconds)


def deployed(stage: Stage) -> str:
    """Deploy the app, and return what came of each instance; raise ActionFailed."""
    (result,) = deploy(stage.workspace, (stage.app,), stage.ports, stage.limits, DeployOptions())
    if result.exit:
        bad = next((item.detail for item in result.instances if item.detail), result.refused)
        raise ActionFailed("the deploy failed", where=stage.app, why=bad, hint="tfheal demo goes on from here")
    return ", ".join(f"{item.plan.instance} {item.outcome}" for item in result.instances)


def healthy(stage: Stage) -> str:
    """Ask for the status, and return it in a few words; raise ActionFailed if it is not healthy."""
    seen = status(stage.workspace, (stage.app,), (), stage.ports, stage.limits)
    if seen.exit:
        causes = ", ".join(f"{finding.cause}: {finding.detail}" for finding in seen.diagnosis.findings)
        raise ActionFailed("the app is not healthy", where=stage.app, why=causes)
    return f"{stage.app} is {seen.diagnosis.apps[stage.app]}, exit 0"


def _upload(stage: Stage, files: FileClient) -> str:
    files.put(f"{stage.url(stage.slice)}letter.txt", USER, stage.password(), LETTER)
    return _download(stage, files)


def _download(stage: Stage, files: FileClient) -> str:
    url = f"{stage.url(stage.slice)}letter.txt"
    if files.get(url, USER, stage.password()) != LETTER:
        raise ActionFailed("the file is not what was uploaded", where=url)
    return f"{len(LETTER)} bytes, the same as uploaded"


def _broken(stage: Stage) -> str:
    seen = status(stage.workspace, (stage.app,), (), stage.ports, stage.limits)
    found = [finding.cause for finding in seen.diagnosis.findings if finding.severity != "info"]
    if not found:
        raise ActionFailed("the fault was not found", where=stage.app, why="the status is healthy")
    return f"{', '.join(dict.fromkeys(found))}, exit {int(seen.exit)}"


def _healed(stage: Stage) -> str:
    options = HealOptions(plan_only=False, agree=lambda _: True)
    done = heal(stage.workspace, (stage.app,), stage.ports, stage.limits, options)
    if done.exit:
        raise ActionFailed("it was not healed", where=stage.app, why="; ".join(taken.detail for taken in done.taken))
    stage.faults.mend(stage.lab, stage.slice, None)
    return ", ".join(f"{taken.action.rung} {taken.outcome}" for taken in done.taken) + ", exit 0"
