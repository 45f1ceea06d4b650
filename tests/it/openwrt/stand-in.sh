# shellcheck shell=dash disable=SC2034,SC2317 # the init script reads and calls what seems unused
# A router for the init script, in the smallest form: rc.common, functions.sh and procd.sh. What
# procd, the log and chown are told is written down, and nothing is done. The tests run it as
#
#   busybox ash stand-in.sh INIT CONFIG ROOT COMMAND [INSTANCE]
#
# CONFIG is in the form that `uci export` gives and OpenWrt reads: shell. ROOT/calls gets the
# calls: the number of words and the words of each, all ended by NUL. ROOT/usr/bin/anklet is the
# program that judges arguments, and ROOT/log what is in the log.
# KERNEL is the kernel's version, USERS those that exist, UCI
# what uci finds wrong with the configuration, UNLOADED says that config_load fails, and UJAIL is
# the program that makes jails.

init=$1 config=$2 root=$3 action=$4
shift 4

record() {
	printf '%s\0' "$#" "$@" >>"$root/calls"
}

for name in procd_open_service procd_close_service procd_open_instance procd_close_instance \
	procd_set_param procd_append_param procd_send_signal procd_add_reload_trigger \
	procd_add_reload_interface_trigger procd_add_jail procd_add_jail_mount procd_open_data \
	procd_close_data json_add_array json_close_array json_add_object json_close_object \
	json_add_string extra_command logger chown; do
	eval "$name() { record $name \"\$@\"; }"
done

_procd_status() {
	record _procd_status "$@"
	echo running
	return "${STATUS:-0}"
}

# What the program writes after the mark comes from the test.
logread() {
	record logread "$@"
	echo "Fri Nov 27 03:00:00 2026 daemon.info anklet: report $$"
	cat "$root/log"
}

# Strict by itself: it says where it stopped. config_load, below, has what came before.
uci() {
	local file="$config"
	if [ "$1" = -c ]; then
		file="$2/anklet"
		shift 2
	fi
	case "$*" in
	"show anklet") ;;
	"-q get network.iot.device") echo br-iot && return ;;
	"-q get network.wan6.device") echo @wan && return ;;
	"-q get network.deep.device") echo @nowhere && return ;;
	"-q get network.evil.device") echo "@\$(reboot)" && return ;;
	"-q get network."*.device) return 1 ;;
	*) exit 9 ;;
	esac
	if [ ! -e "$file" ]; then
		UCI="uci: Entry not found"
	fi
	[ -z "$UCI" ] || echo "$UCI" >&2
	[ -z "$UCI" ]
}

uname() {
	echo "${KERNEL:-6.6.93}"
}

user_exists() {
	case " ${USERS:-anklet nobody} " in
	*" $1 "*) ;;
	*) return 1 ;;
	esac
}

# The configuration: variables UCI_SECTION_OPTION, for lists also ..._LENGTH and ..._ITEM1.

config() { # TYPE [SECTION]
	SECTION_COUNT=$((SECTION_COUNT + 1))
	CONFIG_SECTION=${2:-cfg$SECTION_COUNT}
	SECTIONS="$SECTIONS $CONFIG_SECTION"
	eval "UCI_${CONFIG_SECTION}_TYPE=\$1"
	config_cb "$1" "$CONFIG_SECTION"
}

option() { # NAME VALUE
	eval "UCI_${CONFIG_SECTION}_$1=\$2"
	option_cb "$1" "$2"
}

list() { # NAME VALUE
	local count
	config_get count "$CONFIG_SECTION" "$1_LENGTH" 0
	count=$((count + 1))
	eval "UCI_${CONFIG_SECTION}_$1_LENGTH=$count"
	eval "UCI_${CONFIG_SECTION}_$1_ITEM$count=\$2"
	eval "UCI_${CONFIG_SECTION}_$1=\"\${UCI_${CONFIG_SECTION}_$1:+\$UCI_${CONFIG_SECTION}_$1 }\$2\""
	list_cb "$1" "$2"
}

config_load() { # PACKAGE
	[ -e "$config" ] && [ -z "$UNLOADED" ] || return 1
	SECTIONS=""
	SECTION_COUNT=0
	# shellcheck source=/dev/null # the test's
	. "$config"
	config_cb
}

reset_cb() {
	config_cb() { return 0; }
	option_cb() { return 0; }
	list_cb() { return 0; }
}

config_get() { # VARIABLE SECTION OPTION [DEFAULT]
	case "$2$3" in
	*[!A-Za-z0-9_]*) return ;;
	esac
	eval "$1=\${UCI_$2_$3:-\$4}"
}

config_get_bool() { # VARIABLE SECTION OPTION [DEFAULT]
	local bool
	config_get bool "$2" "$3" "$4"
	case "$bool" in
	1 | on | true | yes | enabled) bool=1 ;;
	0 | off | false | no | disabled) bool=0 ;;
	*) bool=$4 ;;
	esac
	eval "$1=\$bool"
}

# The local variables of these two have OpenWrt's names: what they call must not mind.

config_foreach() { # FUNCTION TYPE [ARGUMENT]
	local section cfgtype
	for section in $SECTIONS; do
		config_get cfgtype "$section" TYPE
		[ "$cfgtype" != "$2" ] || "$1" "$section" "$3"
	done
}

config_list_foreach() { # SECTION OPTION FUNCTION
	local section="$1" option="$2" function="$3" val len c=1
	config_get len "$section" "${option}_LENGTH" 0
	while [ "$c" -le "$len" ]; do
		config_get val "$section" "${option}_ITEM$c"
		"$function" "$val"
		c=$((c + 1))
	done
}

# rc.common.

service_triggers() {
	return 0
}

start() {
	procd_open_service anklet "$init"
	start_service "$@"
	service_triggers
	procd_close_service set
}

stop() {
	stop_service "$@"
}

reload() {
	start "$@"
}

status() {
	status_service "$@"
}

IPKG_INSTROOT=$root
reset_cb
# shellcheck source=/dev/null # anklet.init
. "$init"
PROGRAM=$root$PROGRAM
SYSLOG=$root$SYSLOG
FOLDER=$root$FOLDER
LAST_USERS=$root$LAST_USERS
JAIL=${UJAIL:-/nonexistent}
"$action" "$@"
