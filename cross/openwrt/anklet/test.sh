#!/bin/sh
# The feed's CI runs it on each architecture, with the package installed: NAME VERSION.

case "$1" in
anklet)
	anklet --version | grep -F "anklet $2" || exit 1

	# The policy in force without any configuration, and with the shipped one's listener.
	anklet --check | grep -F 'listen: 0.0.0.0:1080' || exit 1
	anklet --check --listen 127.0.0.1 --clients 192.168.1.0/24 | grep -F 'clients: ' || exit 1

	# What cannot be honoured is refused with status 2.
	anklet --port 65536
	[ $? = 2 ] || {
		echo 'FAIL: a port out of range is not refused'
		exit 1
	}

	# It listens, and ends at TERM with status 0.
	anklet --listen 127.0.0.1:0 2> /tmp/anklet.log &
	pid=$!
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		grep -F 'listening on 127.0.0.1:' /tmp/anklet.log && break
		sleep 1
	done
	grep -F 'listening on 127.0.0.1:' /tmp/anklet.log || exit 1
	kill "$pid"
	wait "$pid" || exit 1

	[ -x /etc/init.d/anklet ] || exit 1
	[ "$(stat -c %a /etc/config/anklet 2> /dev/null || echo 600)" = 600 ] || exit 1
	;;
esac
