# shellcheck shell=sh
# What both kinds of packages have in common. pack-ipk and pack-apk read it, with $here set to
# this folder and `set -eu` on.

# The date of all files where neither SOURCE_DATE_EPOCH nor git tells: 2026-01-01 00:00 UTC.
DATE_FALLBACK=1767225600

# The same sources give the same date, and with it the same package.
source_date() {
    if [ -n "${SOURCE_DATE_EPOCH:-}" ]; then
        echo "$SOURCE_DATE_EPOCH"
    else
        git -C "${here:?}" log -1 --format=%ct 2>/dev/null || echo "$DATE_FALLBACK"
    fi
}

# Ends the script unless its four arguments can make a package.
check_arguments() { # [BINARY ARCH VERSION OUTDIR]
    if [ $# != 4 ] || [ ! -f "$1" ]; then
        echo "usage: ${0##*/} BINARY ARCH VERSION OUTDIR" >&2
        exit 2
    fi
    case $2 in
    '' | *[!a-z0-9_+-]*)
        echo "${0##*/}: '$2': no name of an architecture" >&2
        exit 2
        ;;
    esac
    case $3 in
    [!0-9]* | *[!0-9a-z._-]*) ;;
    *-r[0-9]*) return ;;
    esac
    echo "${0##*/}: $3: the version is not of the form 1.2.3-r4" >&2
    exit 2
}

# Puts the package's files under a folder, with their modes.
stage() { # BINARY ROOT
    umask 022
    install -d "$2/etc/config" "$2/etc/init.d" "$2/lib/upgrade/keep.d" "$2/usr/bin"
    install -m 755 "$1" "$2/usr/bin/anklet"
    install -m 755 "$here/anklet.init" "$2/etc/init.d/anklet"
    install -m 600 "$here/anklet.config" "$2/etc/config/anklet"
    # The usual place of a users file, for sysupgrade to keep.
    echo /etc/anklet.users >"$2/lib/upgrade/keep.d/anklet"
}

# A field of control.in.
field() { # NAME
    sed -n "s/^$1: //p" "$here/control.in"
}
