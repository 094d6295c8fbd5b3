"""Faults of files: what tfheal put there is spoiled, deleted, or no longer to be read by whom it is for."""

from typing import Final

from tfheal.lab.faults.fault import Fault, Scripts, of_scripts
from tfheal.model.lab import FaultKind

_MARK: Final = "garbled by a fault of the lab"

_SAVE_CONFIG: Final = """[ -n "$(find "$config" -type f)" ] || { echo "no configuration in $config" >&2; exit 1; }
tar -C "$config" -cf - .
"""
_START_ANEW: Final = 'systemctl reset-failed "$unit" 2>/dev/null || true\nsystemctl restart "$unit"\n'
_RESTART: Final = 'systemctl restart --no-block "$unit"\n'
_STATE: Final = '$(systemctl show -P ActiveState "$unit")'


def _of_config(kind: FaultKind, put: str, seen: str) -> Fault:
    """Given what is done to the configuration, and a script that prints what is seen of it, return the fault.

    The service is started anew with what is there then; mended, every file is as it was, whoever owned it.
    """
    mend = f'( {seen} ) >/dev/null || exit 0\ntar -C "$config" --overwrite -xpf -\n{_START_ANEW}'
    return of_scripts(kind, Scripts(save=_SAVE_CONFIG, put=put + _RESTART, seen=seen, mend=mend))


CORRUPT_CONFIG: Final = _of_config(
    FaultKind(
        "corrupt-config",
        "files",
        does="overwrites every file of the instance's configuration with garbage, and restarts the service",
        proven="the garbage is in the files",
        mended="the files are put back as they were and the service is started",
        needs="config",
    ),
    put=f"""find "$config" -type f | while IFS= read -r file; do
    {{ echo '{{[<{_MARK}'; head -c 300 /dev/urandom | base64; }} > "$file"
done
""",
    seen=f"""files=$(grep -rlF '{_MARK}' "$config" | wc -l)
[ "$files" -gt 0 ] && echo "$files files of $config are garbage, $unit is {_STATE}"
""",
)

DELETE_CONFIG: Final = _of_config(
    FaultKind(
        "delete-config",
        "files",
        does="deletes every file of the instance's configuration, and restarts the service",
        proven="no file is there",
        mended="the files are put back as they were and the service is started",
        needs="config",
    ),
    put='find "$config" -type f -delete\n',
    seen=f'[ -z "$(find "$config" -type f)" ] && echo "no file is in $config, $unit is {_STATE}"\n',
)

DENY_CONFIG: Final = _of_config(
    FaultKind(
        "deny-config",
        "files",
        does="takes all permissions from every file of the instance's configuration, and restarts the service",
        proven="nobody but root may read them",
        mended="the files have the permissions that they had, and the service is started",
        needs="config",
    ),
    put='find "$config" -type f -exec chmod 0 {} +\n',
    seen=f"""files=$(find "$config" -type f -perm 0 | wc -l)
[ "$files" -gt 0 ] && echo "nobody may read $files files of $config, $unit is {_STATE}"
""",
)

CHOWN_CONFIG: Final = _of_config(
    FaultKind(
        "chown-config",
        "files",
        does="gives every file of the instance's configuration to nobody, and restarts the service",
        proven="nobody owns them",
        mended="the files belong to whom they belonged, and the service is started",
        needs="config",
    ),
    put='find "$config" -type f -exec chown nobody:nogroup {} +\n',
    seen=f"""files=$(find "$config" -type f -user nobody | wc -l)
[ "$files" -gt 0 ] && echo "$files files of $config belong to nobody, $unit is {_STATE}"
""",
)

# Secrets are told by their place alone: in a file that root alone may read, or one that is named after what it holds.
_WRONG: Final = "changed-by-a-fault-of-the-lab"
CHANGE_SECRET: Final = _of_config(
    FaultKind(
        "change-secret",
        "files",
        does="puts other secrets into the instance's files of secrets (mode 0600, or of that name), and restarts the service",
        proven="the other secret is in them",
        mended="the files are put back as they were and the service is started",
        needs="secret",
    ),
    put=rf"""files=$(find "$config" -type f '(' -perm 600 -o -name '*password*' -o -name '*secret*' ')')
[ -n "$files" ] || {{ echo "no file of secrets is in $config" >&2; exit 1; }}
sed -i -E 's/(^|[:=] *)[^]:= []{{8,}}$/\1{_WRONG}/' $files
grep -qF '{_WRONG}' $files || {{ echo "no secret is in" $files >&2; exit 1; }}
""",
    seen=f"""files=$(grep -rlF '{_WRONG}' "$config" | wc -l)
[ "$files" -gt 0 ] && echo "another secret is in $files files of $config, $unit is {_STATE}"
""",
)

_SAVE_RELEASE: Final = """release=$(readlink -f "$current") && [ -d "$current/" ] || { echo "no release at $current" >&2; exit 1; }
case "$release" in "$home"/releases/?*) ;; *) echo "$current points out of $home/releases" >&2; exit 1 ;; esac
tar -C "$home/releases" -cf - "${release##*/}"
"""
DELETE_RELEASE: Final = of_scripts(
    FaultKind(
        "delete-release",
        "files",
        does="deletes the software release that runs, and kills the service",
        proven="`current` points to nothing, and the service does not run",
        mended="the release is put back as it was and the service is started",
        needs="release",
    ),
    Scripts(
        save=_SAVE_RELEASE,
        put="""rm -rf "$(readlink -f "$current")"
systemctl kill --signal=KILL "$unit" 2>/dev/null || true
""",
        seen="""[ ! -e "$current" ] && [ -L "$current" ] && state=$(systemctl show -P SubState "$unit") &&
[ "$state" != running ] && echo "$(readlink "$current") is gone, $unit is $state"
""",
        mend="""[ ! -d "$current/" ] || exit 0
tar -C "$home/releases" -xpf -
"""
        + _START_ANEW,
    ),
)

# What marks a release as whole stays, as it would if a disk had lost blocks.
CORRUPT_RELEASE: Final = of_scripts(
    FaultKind(
        "corrupt-release",
        "files",
        does="overwrites every file of the software release that runs with garbage, and kills the service",
        proven="the garbage is in the files",
        mended="the release is put back as it was and the service is started",
        needs="release",
    ),
    Scripts(
        save=_SAVE_RELEASE,
        put=f"""find "$current/" -type f ! -name .complete -exec sh -c 'for file; do echo "{_MARK}" > "$file"; done' garble {{}} +
systemctl kill --signal=KILL "$unit" 2>/dev/null || true
""",
        seen=f"""[ -d "$current/" ] && files=$(grep -rlxF '{_MARK}' "$current/" | wc -l) && [ "$files" -gt 0 ] &&
echo "$files files of $(readlink "$current") are garbage, $unit is {_STATE}"
""",
        mend=f"""[ -d "$current/" ] && grep -rqxF '{_MARK}' "$current/" || exit 0
tar -C "$home/releases" --overwrite -xpf -
{_START_ANEW}""",
    ),
)

FAULTS: Final[tuple[Fault, ...]] = (
    CORRUPT_RELEASE,
    DELETE_RELEASE,
    DELETE_CONFIG,
    CORRUPT_CONFIG,
    DENY_CONFIG,
    CHOWN_CONFIG,
    CHANGE_SECRET,
)
