"""Where things are on a slice. One convention, so that every part (and the lab's faults) finds them without asking."""

import hashlib
from typing import Final

STATE: Final = "/var/lib/tfheal"
AWAITS: Final = "awaits-data"  # in the state of an instance on a machine made anew, until its data is back
DATA_VERSION: Final = "data-version"  # in the state of an instance: the version to which its data was brought
RUN: Final = "/run/tfheal"  # locks, and what is forgotten at a reboot
SLICE_JOURNAL: Final = "/var/log/tfheal/journal.jsonl"
PAUSES: Final = f"{STATE}/pause.d"  # a file an app, and `_slice`; no app has a dot in its name
PATCH: Final = f"{STATE}/patch.d"  # what a patch left: its report, what was running before, the packages to go back to
IDENTITY: Final = f"{STATE}/identity"
OWNER: Final = "/etc/tfheal"
HANDS_OFF: Final = f"{OWNER}/hands-off"
CHARTER: Final = f"{OWNER}/charter.toml"
REFLEX_UNIT: Final = "tfheal-reflex.service"
REFLEX_LOOP: Final = f"{OWNER}/reflex.sh"
REFLEX_PARTS: Final = f"{OWNER}/reflex.d"  # one file for each instance
DISKS: Final = "/ /var /opt /srv"  # what may be a disk of its own, and must not be full
_USER_NAME_LIMIT: Final = 32


def unit(app: str, component: str) -> str:
    """Return the name of the service unit of an instance."""
    return f"tfheal-{app}-{component}.service"


def reflex_part(app: str, component: str) -> str:
    """Return the file by which the local reflex knows an instance."""
    return f"{REFLEX_PARTS}/{app}-{component}.sh"


def reflex_record(app: str, component: str) -> str:
    """Return the file in which the local reflex notes what it did for an instance."""
    return f"{state(app, component)}/reflex.jsonl"


def user(app: str, component: str) -> str:
    """Return the system user of an instance: readable where it fits into the 32 characters of useradd."""
    name = f"tf-{app}-{component}"
    if len(name) <= _USER_NAME_LIMIT:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: _USER_NAME_LIMIT - 9]}-{digest}"


def home(app: str, component: str) -> str:
    """Return the folder of everything that tfheal puts there for an instance, data apart."""
    return f"/opt/tfheal/{app}/{component}"


def releases(app: str, component: str) -> str:
    """Return the folder of the immutable software releases; `current` beside it points into it."""
    return f"{home(app, component)}/releases"


def current(app: str, component: str) -> str:
    """Return the symbolic link to the software release that runs."""
    return f"{home(app, component)}/current"


def config(app: str, component: str) -> str:
    """Return the folder of the rendered configuration."""
    return f"{home(app, component)}/config"


def data(app: str, component: str) -> str:
    """Return the folder of the owner's data, which no heal, redeploy or remove touches."""
    return f"/srv/tfheal/{app}/{component}"


def state(app: str, component: str) -> str:
    """Return the folder of what tfheal remembers on the slice of an instance."""
    return f"{STATE}/{app}/{component}"
