# shellcheck shell=dash
# /lib/functions/network.sh for stand-in.sh: lan and guest are up, wan is not.

network_get_device() { # VARIABLE NETWORK
	case "$2" in
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

# OpenWrt's function leaves a blank behind the last address where there is no IPv6.
network_get_ipaddrs_all() { # VARIABLE NETWORK
	case "$2" in
	lan) eval "$1=\"\${LAN-192.168.1.1 }\"" ;;
	guest) eval "$1='192.168.3.1 fd00:3::1'" ;;
	*)
		unset "$1"
		return 1
		;;
	esac
}
