"""What systemd says of a unit, in one question that costs one process: for scripts that run on a slice."""

from typing import Final

# look UNIT: fills the variables below, or returns non-zero if systemd does not answer
LOOK: Final = r"""
look() {
    load='' active='' sub='' result='' file='' stale='' type='' status='' job='' since='' restarts=''
    while IFS='=' read -r key value; do
        case $key in
        LoadState) load=$value ;;
        ActiveState) active=$value ;;
        SubState) sub=$value ;;
        Result) result=$value ;;
        UnitFileState) file=$value ;;
        NeedDaemonReload) stale=$value ;;
        Type) type=$value ;;
        ExecMainStatus) status=$value ;;
        Job) job=$value ;;
        ActiveEnterTimestampMonotonic) since=$value ;;
        NRestarts) restarts=$value ;;
        esac
    done <<END
$(systemctl show -p LoadState,ActiveState,SubState,Result,UnitFileState,NeedDaemonReload,Type,ExecMainStatus,Job \
    -p ActiveEnterTimestampMonotonic,NRestarts -- "$1" 2>/dev/null)
END
    [ -n "$load" ]
}
"""
