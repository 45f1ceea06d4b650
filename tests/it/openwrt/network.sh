# shellcheck shell=dash
# /lib/functions/network.sh for stand-in.sh: lan and guest are up, wan is not.

network_get_device() { # VARIABLE NETWORK
	case "$2" in
	*[!A-Za-z0-9_]*) echo "OpenWrt's own evaluates $2" >&2 ;;
	lan | guest) eval "$1=br-$2" ;;
	*)
		unset "$1"
		return 1
		;;
	esac
}

network_get_physdev() { # VARIABLE NETWORK
	case "$2" in
	wan) eval "$1=eth1" ;;
	*) network_get_device "$1" "$2" ;;
	esac
}
