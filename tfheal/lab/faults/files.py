"""Faults of files: configuration turns to garbage, a release disappears, the disk is full."""

from typing import Final

from tfheal.lab.faults.fault import Fault, Scripts, of_scripts
from tfheal.model.lab import FaultKind

_MARK: Final = "garbled by a fault of the lab"

CORRUPT_CONFIG: Final = of_scripts(
    FaultKind(
        "corrupt-config",
        does="overwrites every file of the instance's configuration with garbage, and restarts the service",
        proven="the garbage is in the files",
        mended="the files are put back as they were and the service is started",
        of_app=True,
    ),
    Scripts(
        save='[ -n "$(find "$config" -type f)" ] || { echo "no configuration in $config" >&2; exit 1; }\n'
        'tar -C "$config" -cf - .',
        put=f"""find "$config" -type f | while IFS= read -r file; do
    {{ echo '{{[<{_MARK}'; head -c 300 /dev/urandom | base64; }} > "$file"
done
systemctl restart --no-block "$unit"
""",
        seen=f"""files=$(grep -rlF '{_MARK}' "$config" | wc -l)
[ "$files" -gt 0 ] && echo "$files files of $config are garbage, $unit is $(systemctl show -P ActiveState "$unit")"
""",
        mend=f"""grep -rqF '{_MARK}' "$config" || exit 0
tar -C "$config" -xpf -
systemctl reset-failed "$unit" 2>/dev/null || true
systemctl restart "$unit"
""",
    ),
)

DELETE_RELEASE: Final = of_scripts(
    FaultKind(
        "delete-release",
        does="deletes the software release that runs, and kills the service",
        proven="`current` points to nothing, and the service does not run",
        mended="the release is put back as it was and the service is started",
        of_app=True,
    ),
    Scripts(
        save="""release=$(readlink -f "$current") && [ -d "$current/" ] || { echo "no release at $current" >&2; exit 1; }
case "$release" in "$home"/releases/?*) ;; *) echo "$current points out of $home/releases" >&2; exit 1 ;; esac
tar -C "$home/releases" -cf - "${release##*/}"
""",
        put="""rm -rf "$(readlink -f "$current")"
systemctl kill --signal=KILL "$unit" 2>/dev/null || true
""",
        seen="""[ ! -e "$current" ] && [ -L "$current" ] && state=$(systemctl show -P SubState "$unit") &&
[ "$state" != running ] && echo "$(readlink "$current") is gone, $unit is $state"
""",
        mend="""[ ! -d "$current/" ] || exit 0
tar -C "$home/releases" -xpf -
systemctl reset-failed "$unit" 2>/dev/null || true
systemctl restart "$unit"
""",
    ),
)

# A package in apt's cache: whoever frees a disk by `apt-get clean` has the space back, and nobody's data was touched.
_FILLER: Final = "/var/cache/apt/archives/filler_1.0_all.deb"

FILL_DISK: Final = of_scripts(
    FaultKind(
        "fill-disk",
        does=f"fills the slice's disk to its last block with what may be thrown away, {_FILLER}",
        proven="no block can be written",
        mended="that file is removed",
        of_app=False,
    ),
    Scripts(
        put=f"""mkdir -p {_FILLER.rpartition("/")[0]}
fallocate --length "$(df --output=avail --block-size=1 / | tail -1)" {_FILLER} 2>/dev/null || true
dd if=/dev/zero of={_FILLER} bs=1M oflag=append conv=notrunc 2>/dev/null || true
dd if=/dev/zero of={_FILLER} bs=4k oflag=append conv=notrunc 2>/dev/null || true
sync
""",
        seen=f"""[ -e {_FILLER} ] || exit 1
if dd if=/dev/zero of=/var/tmp/probe bs=16k count=1 conv=fsync 2>/dev/null; then rm -f /var/tmp/probe; exit 1; fi
rm -f /var/tmp/probe
echo "$(df --output=avail --block-size=1 / | tail -1 | tr -d ' ') bytes are free"
""",
        mend=f"rm -f {_FILLER}",
    ),
)

FAULTS: Final[tuple[Fault, ...]] = (FILL_DISK, CORRUPT_CONFIG, DELETE_RELEASE)
