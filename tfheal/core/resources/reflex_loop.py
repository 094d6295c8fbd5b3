"""The local reflex as it runs on a slice: one long-lived loop of sh for all instances, and the unit that keeps it up.

While all is well a round costs the checks themselves and one `sleep`: what it has to know it reads with the builtins of
the shell, and systemd is asked only once a minute, or when a check failed. It acts for an instance whose `alive` checks
failed in 3 asks in a row (Kubernetes), at most twice in 30 minutes and not before 15 s (Nomad), doubling; then it leaves
the unit as it is, for the provider. It does nothing where somebody said stop, where a run of the provider holds the lock
of the app or left its work half done, where systemd is at work itself, and for a unit that was disabled or masked.
"""

from typing import Final

from tfheal.core.resources.look import LOOK
from tfheal.model import paths

VERSION: Final = 2  # grows with every change of these texts: of two releases on a slice the newer loop serves both

LOOP: Final = rf"""#!/bin/sh
# tfheal reflex {VERSION}
# Restarts services of tfheal on this machine that do not answer, while their provider is away. It stops for
# {paths.HANDS_OFF}; what it did stands in {paths.SLICE_JOURNAL}.
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
export PATH LC_ALL
umask 077
every=15 again=1 asks=3 most=2 window=1800 backoff=15
run={paths.RUN} state={paths.STATE} journal={paths.SLICE_JOURNAL}
newline='
'

clock() {{ read -r up _ </proc/uptime; up=${{up%.*}}; }}
known() {{ # what a part says of itself; its last word is `patience`, so that one that is cut counts for nothing
    app='' component='' unit='' start='' patience=''
    while read -r mark key value; do
        [ "$mark" = '#' ] || break
        case $key in
        app) app=$value ;;
        component) component=$value ;;
        unit) unit=$value ;;
        start) start=$value ;;
        patience) patience=$value ;;
        esac
    done <"$1"
    [ -n "$patience" ]
}}
ask() {{ # 0: alive, 1: not, anything else: that cannot be known; the part prints the name of each check before it
    said=$(timeout -k 1 "$patience" sh "$1" 2>/dev/null </dev/null)
    case $? in
    0) return 0 ;;
    1 | 124 | 137) said=${{said##*"$newline"}}; return 1 ;;
    *) return 2 ;;
    esac
}}
paused() {{
    [ ! -e {paths.HANDS_OFF} ] || return 0
    for mark in "{paths.PAUSES}/$app" {paths.PAUSES}/_slice; do
        [ -e "$mark" ] || continue
        until=''
        read -r until _ <"$mark"
        [ -n "$until" ] && end=$(date -d "$until" +%s 2>/dev/null) || return 0 # one without an end that can be read holds
        [ "$(date +%s)" -ge "$end" ] || return 0
    done
    return 1
}}
{LOOK}ours() {{ # whether the unit is as its provider left it, and nobody is at work on it
    phase=''
    while read -r key value; do [ "$key" != phase ] || phase=$value; done 2>/dev/null <"$state/$app/$component/state"
    [ "$phase" = applied ] && look "$unit" && [ "$load" = loaded ] || return 1
    case $file:$job in disabled:* | masked*:* | *:[1-9]*) return 1 ;; esac
    case $active in
    failed | inactive) ;;
    active | reloading) [ $((up - ${{since:-0}} / 1000000)) -ge "$start" ] ;;
    *) return 1 ;;
    esac
}}
note() {{ # EVENT WHY; the words are ours and systemd's, none of them needs escaping in JSON
    echo "$app/$component: $1: $2"
    entry="\"at\":\"$(date -u +%Y-%m-%dT%H:%M:%SZ)\",\"writer\":\"the local reflex\",\"verb\":\"reflex\",\
\"app\":\"$app\",\"component\":\"$component\",\"event\":\"$1\",\"why\":\"$2\""
    record=$state/$app/$component/reflex.jsonl
    [ -d "${{record%/*}}" ] || return 0
    printf '{{%s}}\n' "$entry" >>"$record"
    [ "$(stat -c %s "$record")" -le 32768 ] || {{ tail -n 50 "$record" >"$record.new" && mv "$record.new" "$record"; }}
    {{
        flock -w 5 8
        [ -z "$(tail -c 1 "$journal")" ] || echo >>"$journal"
        printf '{{"prev":"%s",%s}}\n' "$(tail -n 1 "$journal" | sha256sum | cut -c 1-64)" "$entry" >>"$journal"
    }} 2>/dev/null 8>>"$journal.lock"
}}
recount() {{ # what systemd restarted by itself since we looked last
    look "$unit" && [ -n "$restarts" ] || return 0
    [ "$restarts" -ge "$seen" ] || seen=0
    [ "$restarts" -eq "$seen" ] || note systemd "restarts by systemd itself: $((restarts - seen))"
    seen=$restarts
}}
spent() {{ # how many of the last restarts still count, and when the last one was
    kept='' count=0 last=0
    for moment in $tries; do
        [ $((up - moment)) -lt $window ] || continue
        kept="$kept $moment" count=$((count + 1)) last=$moment
    done
    tries=$kept
}}
mend() {{
    clock
    spent
    [ $count -eq 0 ] || [ $((up - last)) -ge $((backoff << (count - 1))) ] || return 0
    mkdir -p "$run"
    {{ # descriptor 6, because who has the lock open as 9 is taken for a run that is at work
        flock -n 6 && ours || return 0
        why="${{said:-a check}} failed, the unit was $active ($sub, $result), restarts by systemd itself: $restarts"
        if [ $count -ge $most ]; then
            [ "$gave" = yes ] || note gave-up "$why, restarts in $((window / 60)) minutes: $count"
            gave=yes
            return 0
        fi
        echo 'the local reflex' >"$run/$app.holder"
        systemctl reset-failed -- "$unit" 2>/dev/null
        systemctl restart --no-block -- "$unit" || return 0
    }} 6>>"$run/$app.lock"
    tries="$tries $up" seen=$restarts fails=0 gave=no
    note restarted "$why"
}}
visit() {{
    known "$1" || return 0
    memory=$run/reflex/${{1##*/}}
    fails=0 seen=0 gave=no tries=''
    [ ! -r "$memory" ] || read -r fails seen gave tries <"$memory"
    before="$fails $seen $gave $tries"
    ask "$1"
    case $? in
    0)
        fails=0 gave=no
        [ $((round % 4)) -ne 0 ] || recount
        ;;
    1)
        fails=$((fails + 1))
        if [ $fails -lt $asks ]; then pause=$again; elif ! paused; then mend; fi
        ;;
    esac
    [ "$fails $seen $gave $tries" = "$before" ] || echo "$fails $seen $gave $tries" >"$memory"
}}

round=0 pause=$every
mkdir -p "$run/reflex"
while sleep "$pause"; do
    round=$((round + 1)) pause=$every
    for part in {paths.REFLEX_PARTS}/*.sh; do
        [ ! -r "$part" ] || visit "$part"
    done
done
"""

UNIT: Final = f"""\
# tfheal reflex {VERSION}
[Unit]
Description=Restarts services of tfheal that do not answer, while their provider is away
StartLimitIntervalSec=0

[Service]
Type=exec
SyslogIdentifier=tfheal-reflex
ExecStart=/bin/sh {paths.REFLEX_LOOP}
Restart=always
RestartSec=10
MemoryMax=64M
TasksMax=64

[Install]
WantedBy=multi-user.target
"""
