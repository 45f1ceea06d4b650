# shellcheck shell=sh
# What all kinds of packages have in common. Their scripts read it, with $cross set to this folder
# and `set -eu` on.

# The date of all files where neither SOURCE_DATE_EPOCH nor git tells: 2026-01-01 00:00 UTC.
DATE_FALLBACK=1767225600

# The same sources give the same date, and with it the same package.
source_date() {
    if [ -n "${SOURCE_DATE_EPOCH:-}" ]; then
        echo "$SOURCE_DATE_EPOCH"
    else
        git -C "${cross:?}" log -1 --format=%ct 2>/dev/null || echo "$DATE_FALLBACK"
    fi
}

# The version in Cargo.toml, and where the project is at home: ANKLET_URL, or what stands there.
# Without a slash at the end, because paths are put behind it.
crate_version() {
    sed -n 's/^version = "\(.*\)"/\1/p' "${cross:?}/../Cargo.toml"
}
project_url() {
    url=${ANKLET_URL:-$(sed -n 's/^repository = "\(.*\)"/\1/p' "${cross:?}/../Cargo.toml")}
    echo "${url%/}"
}

# Ends the script unless a version is one from which all kinds can make theirs.
check_version() { # VERSION
    case $1 in
    [!0-9]* | *[!0-9a-z._-]*) ;;
    *-r[0-9]*) return ;;
    esac
    echo "${0##*/}: $1: the version is not of the form 1.2.3-r4" >&2
    exit 2
}

# A tar on the standard output, of which only contents and modes count: owner, order and date are
# fixed.
pack() { # FOLDER FILE...
    folder=$1
    shift
    tar -C "$folder" --format=gnu --numeric-owner --owner=0 --group=0 --sort=name \
        --mtime="@$(source_date)" -cf - "$@"
}

# The licences of what is linked in, which `make licences` has written.
licences() { # FILE
    if [ ! -f "${LICENCES:-}" ]; then
        echo "${0##*/}: LICENCES names no file (make licences writes target/LICENSES)" >&2
        exit 2
    fi
    gzip -9n <"$LICENCES" >"$1"
    chmod 644 "$1"
}
