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
# runs: whether what `look` saw is at work
RUNS: Final = r"""
runs() {
    case $active in
    active | reloading | refreshing) return 0 ;;
    inactive) [ "$type" = oneshot ] && [ "$result" = success ] ;;
    *) return 1 ;;
    esac
}
"""
# complain WORDS: ends with what systemd and the unit itself said · settled: whether it stays up for a moment. Debian's
# systemctl blocks until a start is through; a program that dies just after it is caught by looking a while.
STAYS: Final = r"""
complain() {
    look "$name" || :
    # What ran before is gone, and whatever starts next starts with what is there now: nothing is due any more.
    runs || rm -f -- "$restart" "$reload"
    echo "$name $1: $active ($sub, $result, exit status $status); its last lines:"
    journalctl --no-pager --quiet -n 15 -o cat -u "$name" || :
    exit 1
}
settled() {
    for moment in 1 2 3; do
        look "$name" && runs || return 1
        sleep 0.2
    done
}
"""
