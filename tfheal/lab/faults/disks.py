"""Faults of the disk and of what the owner keeps there: it is full, or cannot be written. No data is ever lost by one."""

from typing import Final

from tfheal.lab.faults.fault import Fault, Scripts, of_scripts
from tfheal.model.lab import FaultKind

# A package in apt's cache: whoever frees a disk by `apt-get clean` has the space back, and nobody's data was touched.
_FILLER: Final = "/var/cache/apt/archives/filler_1.0_all.deb"

FILL_DISK: Final = of_scripts(
    FaultKind(
        "fill-disk",
        "disk",
        does=f"fills the slice's disk to its last block with what may be thrown away, {_FILLER}",
        proven="no block can be written",
        mended="that file is removed",
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

_NODES: Final = "/var/cache/apt/archives/filler-"
FILL_INODES: Final = of_scripts(
    FaultKind(
        "fill-inodes",
        "disk",
        does=f"fills the slice's disk with so many empty files, {_NODES}N_1.0_all.deb, that no other can be made",
        proven="no file can be made",
        mended="those files are removed",
    ),
    Scripts(
        put=f"""mkdir -p {_NODES.rpartition("/")[0]}
first=1
while seq -f '{_NODES}%.0f_1.0_all.deb' "$first" "$((first + 9999))" | xargs touch 2>/dev/null; do first=$((first + 10000)); done
""",
        seen=f"""[ -e {_NODES}1_1.0_all.deb ] || exit 1
if touch /var/tmp/probe 2>/dev/null; then rm -f /var/tmp/probe; exit 1; fi
echo "$(df --output=iavail / | tail -1 | tr -d ' ') inodes are free"
""",
        mend=f"find {_NODES.rpartition('/')[0]} -name '{_NODES.rpartition('/')[2]}*' -delete",
    ),
)

# The folders that the service works in; what is above them is on no service's way.
_FOLDERS: Final = """folders() { find "$data" -mindepth 1 -maxdepth 1 -type d 2>/dev/null | grep . || { [ -d "$data" ] && echo "$data"; }; }
"""
_SAVE_FOLDERS: Final = f"""{_FOLDERS}folders >/dev/null || {{ echo "no data in $data" >&2; exit 1; }}
folders | while IFS= read -r folder; do stat -c '%a %U:%G %n' "$folder"; done
"""
_PUT_FOLDERS_BACK: Final = """while read -r mode owner folder; do chown "$owner" "$folder"; chmod "$mode" "$folder"; done
"""
_STATE: Final = '$(systemctl show -P ActiveState "$unit")'


def _of_folders(kind: FaultKind, put: str, test: str) -> Fault:
    """Given what is done to each data folder, `$folder`, and the test by which it is seen, return the fault."""
    found = f"{_FOLDERS}found=$(folders | while IFS= read -r folder; do if {test}; then echo; fi; done | wc -l)\n"
    return of_scripts(
        kind,
        Scripts(
            save=_SAVE_FOLDERS,
            put=f"{_FOLDERS}folders | while IFS= read -r folder; do {put}; done\n",
            seen=f'{found}[ "$found" -gt 0 ] && echo "$found folders of $data, $unit is {_STATE}"',
            mend=f'{found}[ "$found" -gt 0 ] || exit 0\n{_PUT_FOLDERS_BACK}',
        ),
    )


DENY_DATA: Final = _of_folders(
    FaultKind(
        "deny-data",
        "disk",
        does="takes all permissions from the folders of the instance's data; what is in them stays as it is",
        proven="nobody but root may enter them",
        mended="they have the permissions that they had",
        needs="data",
    ),
    put='chmod 0 "$folder"',
    test='[ "$(stat -c %a "$folder")" = 0 ]',
)

CHOWN_DATA: Final = _of_folders(
    FaultKind(
        "chown-data",
        "disk",
        does="gives the folders of the instance's data to root, who alone may enter them; what is in them stays as it is",
        proven="they belong to root",
        mended="they belong to whom they belonged",
        needs="data",
    ),
    put='chown root:root "$folder"; chmod 700 "$folder"',
    test='[ "$(stat -c %a:%U:%G "$folder")" = 700:root:root ]',
)

# A file system with errors turns read-only as a whole; here a mount over the folder does it. A service sees it from its
# next start on, as it has mounts of its own.
READ_ONLY_DATA: Final = of_scripts(
    FaultKind(
        "read-only-data",
        "disk",
        does="makes the folders of the instance's data read-only, as a file system with errors is, and restarts the service",
        proven="nothing can be written to them",
        mended="they can be written to, and the service is started",
        needs="data",
    ),
    Scripts(
        put=f"""{_FOLDERS}folders >/dev/null || {{ echo "no data in $data" >&2; exit 1; }}
folders | while IFS= read -r folder; do mount --bind "$folder" "$folder"; mount -o remount,bind,ro "$folder"; done
systemctl restart --no-block "$unit"
""",
        seen=f"""{_FOLDERS}found=$(folders | while IFS= read -r folder; do if mountpoint -q "$folder" && [ ! -w "$folder" ]; then echo; fi; done | wc -l)
[ "$found" -gt 0 ] && echo "$found folders of $data, $unit is {_STATE}"
""",
        mend=f"""{_FOLDERS}found=$(folders | while IFS= read -r folder; do if mountpoint -q "$folder"; then umount "$folder"; echo; fi; done | wc -l)
[ "$found" -gt 0 ] || exit 0
systemctl reset-failed "$unit" 2>/dev/null || true
systemctl restart "$unit"
""",
    ),
)

FAULTS: Final[tuple[Fault, ...]] = (FILL_DISK, FILL_INODES, READ_ONLY_DATA, DENY_DATA, CHOWN_DATA)
