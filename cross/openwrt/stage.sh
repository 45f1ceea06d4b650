# shellcheck shell=sh
# What both kinds of OpenWrt's packages have in common. pack-ipk and pack-apk read it, with $here
# set to this folder and `set -eu` on.

cross=${here:?}/..
# shellcheck source=/dev/null # in the folder above
. "$cross/pack.sh"

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
    install -d "$2/etc/config" "$2/etc/init.d" "$2/lib/upgrade/keep.d" "$2/usr/bin" \
        "$2/usr/share/anklet"
    install -m 755 "$1" "$2/usr/bin/anklet"
    install -m 755 "$here/anklet/files/anklet.init" "$2/etc/init.d/anklet"
    install -m 600 "$here/anklet/files/anklet.config" "$2/etc/config/anklet"
    install -d "$2/etc/sysctl.d"
    install -m 644 "$here/anklet/files/anklet.sysctl" "$2/etc/sysctl.d/21-anklet.conf"
    install -d "$2/usr/share/ucode/node-exporter/lib" "$2/usr/share/rpcd/ucode" \
        "$2/usr/share/rpcd/acl.d"
    install -m 644 "$here/anklet/files/anklet.uc" "$2/usr/share/ucode/anklet.uc"
    install -m 644 "$here/anklet/files/anklet.exporter.uc" \
        "$2/usr/share/ucode/node-exporter/lib/anklet.uc"
    install -m 644 "$here/anklet/files/anklet.rpcd.uc" "$2/usr/share/rpcd/ucode/anklet.uc"
    install -m 644 "$here/anklet/files/anklet.acl.json" "$2/usr/share/rpcd/acl.d/anklet.json"
    licences "$2/usr/share/anklet/LICENSES.gz"
    # The usual place of a users file, for sysupgrade to keep.
    echo /etc/anklet.users >"$2/lib/upgrade/keep.d/anklet"
}

# A field of control.in.
field() { # NAME
    sed -n "s/^$1: //p" "$here/control.in"
}
