# Completion of bash for anklet(8). Written by `make man` from anklet.bash.in and the table of
# options: edit those.
# shellcheck shell=bash

_anklet_words='
	--port
	--listen
	--retry-listen
	--reuseport
	--no-udp
	--no-bind
	--no-socks4
	--no-http
	--status
	--user
	--password
	--users
	--trust
	--auth-once
	--clients
	--ban
	--permit
	--block
	--bind
	--mark
	--ipv4
	--ipv6
	--prefer
	--dns
	--relay-ports
	--public
	--udp-strict
	--handshake-timeout
	--connect-timeout
	--idle-timeout
	--half-close-timeout
	--udp-timeout
	--bind-timeout
	--peer-timeout
	--max-sessions
	--max-per-client
	--buffers
	--buffer-size
	--no-splice
	--quiet
	--verbose
	--syslog
	--check
	--help
	--version
'

# What can follow an option: nothing that is known here, files, interfaces (the last item of a
# list), or families.
_anklet_offered() { # OPTION
	local offered=''
	case $1 in
	--port | -p) offered=nothing ;;
	--listen | -i) offered=interfaces ;;
	--user | -u) offered=nothing ;;
	--password | -P) offered=nothing ;;
	--users) offered=files ;;
	--trust | -w) offered=interfaces ;;
	--clients) offered=interfaces ;;
	--ban) offered=nothing ;;
	--permit) offered=interfaces ;;
	--block) offered=interfaces ;;
	--bind | -b) offered=interfaces ;;
	--mark) offered=nothing ;;
	--prefer) offered=families ;;
	--dns) offered=nothing ;;
	--relay-ports) offered=nothing ;;
	--public) offered=nothing ;;
	--handshake-timeout) offered=nothing ;;
	--connect-timeout) offered=nothing ;;
	--idle-timeout) offered=nothing ;;
	--half-close-timeout) offered=nothing ;;
	--udp-timeout) offered=nothing ;;
	--bind-timeout) offered=nothing ;;
	--peer-timeout) offered=nothing ;;
	--max-sessions) offered=nothing ;;
	--max-per-client) offered=nothing ;;
	--buffers) offered=nothing ;;
	--buffer-size) offered=nothing ;;
	--syslog) offered=nothing ;;
	esac
	printf '%s' "$offered"
}

_anklet() {
	local word=${COMP_WORDS[COMP_CWORD]} before='' line
	[ "$COMP_CWORD" -lt 1 ] || before=${COMP_WORDS[COMP_CWORD - 1]}
	# "--users=file" comes as three words.
	if [ "$word" = = ]; then
		word=''
	elif [ "$before" = = ]; then
		before=${COMP_WORDS[COMP_CWORD - 2]}
	fi
	COMPREPLY=()
	case $(_anklet_offered "$before") in
	nothing) ;;
	files)
		compopt -o filenames 2>/dev/null || true
		while read -r line; do COMPREPLY+=("$line"); done < <(compgen -f -- "$word")
		;;
	families) mapfile -t COMPREPLY < <(compgen -W '4 6' -- "$word") ;;
	interfaces)
		local items='' names
		case $word in *,*) items=${word%,*}, ;; esac
		names=$(cd /sys/class/net 2>/dev/null && printf '%s ' *)
		mapfile -t COMPREPLY < <(compgen -P "$items" -W "$names" -- "${word##*,}")
		compopt -o nospace 2>/dev/null || true
		;;
	*) mapfile -t COMPREPLY < <(compgen -W "$_anklet_words" -- "$word") ;;
	esac
}

complete -F _anklet anklet
