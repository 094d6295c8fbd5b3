"""What is due and waits for the maintenance window of its app; backups, their reading and healing wait for none."""

from tfheal.flows import cadence, drill, prune
from tfheal.model.ports import Ports
from tfheal.model.window import Waiting
from tfheal.model.workspace import Workspace


def waiting(workspace: Workspace, ports: Ports) -> tuple[Waiting, ...]:
    """Return what `tfheal tick` would do now, were the windows open."""
    if not any(workspace.window(app) for app in workspace.apps):
        return ()  # the common case costs no look into the catalogue
    return (*drill.waiting(workspace, ports), *prune.waiting(workspace, ports), *cadence.waiting(workspace, ports))
