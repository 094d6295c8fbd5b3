"""Which instances are on a slice, by the conventions of `model/paths.py` alone: the lab knows nothing of playbooks."""

import re
from dataclasses import dataclass
from typing import Final

from tfheal.base.errors import UsageError
from tfheal.lab import machine
from tfheal.model import paths
from tfheal.model.names import NAME_PATTERN

# unit_of APP COMPONENT: the unit that the last action noted in the state file, else the one that the names tell
UNIT_OF: Final = f"""unit_of() {{
    noted=$(sed -n 's/^unit //p' "{paths.STATE}/$1/$2/state" 2>/dev/null | head -n 1)
    echo "${{noted:-{paths.unit("$1", "$2")}}}"
}}
"""
# A folder of ours is an instance if there is a unit for it, or software of it.
_LOOK: Final = f"""{UNIT_OF}for folder in /opt/tfheal/*/*/ {paths.STATE}/*/*/; do
    [ -d "$folder" ] || continue
    folder=${{folder%/}} component=${{folder##*/}} rest=${{folder%/*}} app=${{rest##*/}}
    unit=$(unit_of "$app" "$component")
    [ "$rest" != "/opt/tfheal/$app" ] && [ "$(systemctl show -P LoadState "$unit")" = not-found ] && continue
    echo "$app/$component"
done | sort -u
"""


@dataclass(frozen=True, slots=True, order=True)
class OnSlice:
    """One instance on a slice."""

    app: str
    component: str

    def __str__(self) -> str:
        """Return it as a user writes it."""
        return f"{self.app}/{self.component}"


def found(lab: str, name: str) -> list[OnSlice]:
    """Return the instances on a slice that runs."""
    said = machine.enter(lab, name, _LOOK).stdout[:100_000].decode("utf-8", "replace").split()
    pairs = (line.split("/", 1) for line in said if "/" in line)
    return sorted({OnSlice(*pair) for pair in pairs if all(re.fullmatch(NAME_PATTERN, part) for part in pair)})


def chosen(lab: str, name: str, app: str | None) -> OnSlice:
    """Given an app, `app/component`, or nothing where one instance alone is there, return it; raise UsageError."""
    there = found(lab, name)
    fitting = [one for one in there if app in (None, one.app, str(one))]
    if len(fitting) == 1:
        return fitting[0]
    listed = ", ".join(str(one) for one in there) or "none"
    if not fitting:
        what = f"{app} is not on this slice" if app else "no app is on this slice"
        raise UsageError(what, where=name, why=f"instances there: {listed}", hint="this fault needs an app's instance")
    hint = f"--app {fitting[0]}"
    raise UsageError("more than one instance is on this slice", where=name, why=f"instances there: {listed}", hint=hint)
