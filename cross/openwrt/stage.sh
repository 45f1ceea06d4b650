# shellcheck shell=sh
# What all kinds of OpenWrt's packages have in common. pack-ipk, pack-apk and pack-luci read it,
# with $here set to this folder and `set -eu` on.

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
    check_version "$3"
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

# The same for the pages of LuCI, in the places that luci.mk gives them.
stage_luci() { # ROOT
    umask 022
    (
        cd "$here/luci-app-anklet" || exit
        find root htdocs -type f | LC_ALL=C sort
    ) | while read -r file; do
        case $file in
        root/*) install -D -m 644 "$here/luci-app-anklet/$file" "$1/${file#root/}" ;;
        htdocs/*) install -D -m 644 "$here/luci-app-anklet/$file" "$1/www/${file#htdocs/}" ;;
        esac
    done
}

# A field of a control file.
field() { # NAME [CONTROL]
    sed -n "s/^$1: //p" "${2:-$here/control.in}"
}

# Writes the control file of a package from its template.
write_control() { # TEMPLATE VERSION ARCH SIZE FILE
    sed -e "s/@VERSION@/$2/" -e "s/@ARCH@/$3/" -e "s/@SIZE@/$(($4))/" -e "s|@URL@|$(project_url)|" \
        "$1" >"$5"
}

# An .ipk: a gzipped tar of these three, in this order. FOLDER has data.tar and the folder control.
write_ipk() { # FOLDER PACKAGE
    install -d -m 755 "$1/ipk"
    echo 2.0 >"$1/ipk/debian-binary"
    gzip -9n <"$1/data.tar" >"$1/ipk/data.tar.gz"
    pack "$1/control" . | gzip -9n >"$1/ipk/control.tar.gz"
    pack "$1/ipk" ./debian-binary ./data.tar.gz ./control.tar.gz | gzip -9n >"$2"
}

# Ends the script with status 2 where no .apk can be made. Sets apk, and as_root to what runs it:
# apk takes the owners from the files.
find_apk() {
    apk=${APK:-apk} as_root=
    case $("$apk" --version 2>/dev/null) in
    apk-tools\ 3.*) ;;
    *)
        echo "${0##*/}: apk v3 is not installed (APK=/path/to/apk names it): no .apk is made;" \
            "an .ipk needs nothing of it, and APK=none leaves it out of a release" >&2
        exit 2
        ;;
    esac
    [ "$(id -u)" != 0 ] || return 0
    if ! command -v fakeroot >/dev/null; then
        echo "${0##*/}: needs root or fakeroot: no .apk is made" >&2
        exit 2
    fi
    as_root=fakeroot
}

# Writes an .apk of a folder of files with what a control file says; further arguments are apk's.
write_apk() { # CONTROL VERSION ARCH FILES PACKAGE [ARGUMENT...]
    control=$1 version=$2 arch=$3 files=$4 package=$5
    shift 5
    SOURCE_DATE_EPOCH=$(source_date) $as_root "$apk" mkpkg \
        --info "name:$(field Package "$control")" \
        --info "version:$version" \
        --info "description:$(field Description "$control")" \
        --info "arch:$arch" \
        --info "license:$(field License "$control")" \
        --info "origin:$(field Source "$control")" \
        --info "maintainer:$(field Maintainer "$control")" \
        --info "url:$(project_url)" \
        "$@" \
        --files "$files" \
        --output "$package"
}
