"""How content gets to its place on a slice: in one step, or not at all; and how what is there is compared.

The new file is made in a folder of its own that only root can enter, and moved from there over the old one. So nobody
sees it half written or with the wrong owner, a full disk leaves the old one as it was, a symbolic link is replaced and
not followed, and a service that owns the folder around it cannot swap the file while root works on it.
"""

from typing import Final

# place PATH MODE OWNER GROUP [DIGEST [TEST]] <content: with a digest, what came in cut is not put there; with a test, in
# which $new is the new file, what does not pass
PLACE: Final = r"""
place() {
    parent=${1%/*}
    parent=${parent:-/}
    name=${1##*/}
    work=$parent/.tfheal-new-$name
    [ -d "$parent" ] || fail "the folder $parent is missing: a directory resource before this one makes it"
    if [ -d "$1" ] && [ ! -L "$1" ]; then fail "$1 is a directory: a file cannot take its place"; fi
    rm -rf -- "$work" || fail "$1 cannot be replaced"
    mkdir -m 0700 -- "$work" || fail "$1 cannot be replaced"
    (
        cd -- "$work" && [ "$(stat -c %u:%a .)" = 0:700 ] && cat >content \
            && { [ -z "${5-}" ] || printf '%s  content\n' "$5" | sha256sum --quiet -c -; } \
            && { [ -z "${6-}" ] || (new=$work/content; eval "$6") </dev/null; } \
            && chown -- "$3:$4" content && chmod -- "$2" content && sync content && mv -T -- content "$1"
    ) || { rm -rf -- "$work"; fail "$1 was not replaced, what was there is untouched"; }
    rm -rf -- "$work"
    sync -- "$parent"
}
"""

# compare PATH DIGEST MODE OWNER:GROUP SHOW [WHOSE]: adds to the problems what is wrong with a file, each after WHOSE;
# SHOW=yes adds the present content, for a diff
COMPARE: Final = r"""
compare() {
    whose=${6:+$6: }
    if [ -L "$1" ]; then problem "${whose}is a symbolic link, not a file"; return 0
    elif [ ! -e "$1" ]; then problem "${whose}missing"; return 0
    elif [ -d "$1" ]; then problem "${whose}is a directory, not a file"; return 0
    elif [ ! -f "$1" ]; then problem "${whose}is a special file, not a regular one"; return 0
    fi
    sum=$(sha256sum <"$1") || unknown "${whose}cannot be read"
    if [ "${sum%% *}" != "$2" ]; then
        problem "${whose}content differs"
        if [ "$5" = yes ] && [ "$(stat -c %s -- "$1")" -le 49152 ]; then
            problem "current:$(base64 -w 0 <"$1")"
        fi
    fi
    have=$(stat -c %a -- "$1") || unknown "${whose}cannot be read"
    [ "$have" = "$3" ] || problem "${whose}mode is $have, wanted $3"
    have=$(stat -c %U:%G -- "$1") || unknown "${whose}cannot be read"
    [ "$have" = "$4" ] || problem "${whose}owner is $have, wanted $4"
}
"""

# prune PATH: takes away the folders above PATH that are tfheal's by convention, as far as they are empty
PRUNE: Final = r"""
prune() {
    for root in /opt /srv /etc; do
        case $1 in
        "$root"/tfheal/*)
            below=${1#"$root"/}
            (cd "$root" && rmdir -p --ignore-fail-on-non-empty -- "${below%/*}" 2>/dev/null) || :
            ;;
        esac
    done
}
"""

# note_made RECORD WHAT: remembers that tfheal made it, so that `remove` knows it from what was there before
NOTE_MADE: Final = r"""
note_made() {
    mkdir -p -- "${1%/*}"
    printf '%s\n' "$2" >"$1"
}
"""
