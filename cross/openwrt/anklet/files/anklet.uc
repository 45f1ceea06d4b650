// SPDX-License-Identifier: MIT OR Apache-2.0
//
// What a running anklet says of itself (GET /status), for the plugins of rpcd: which instances there
// are, where each is asked, and what it answers, line by line. Each user and each session has a line of
// its own, so thousands of them are never one value in memory here.

'use strict';

const fs = require('fs');

// The program's default.
const PORT = '1080';

// How long an instance may say nothing, and how long it may take to answer, in seconds. Behind the
// second nobody waits for it on ubus any more.
const TIMEOUT = 5;
const TIMEOUT_WHOLE = 30;

// What is read at once, and the longest line: a session has less than 3 KiB. What says more in one
// line, or more in front of its lists, is another program that listens there.
const CHUNK = 4096;
const LINE_MAX = 16384;

// What of a command line says where the proxy listens: the listeners, and the port of those without
// one.
function listeners(command) {
	let listens = [], port = PORT, asked = false;
	for (let i = 0; i < length(command); i++) {
		switch (command[i]) {
		case '--listen':
			push(listens, command[++i]);
			break;
		case '--port':
			port = command[++i];
			break;
		case '--status':
			asked = true;
			break;
		}
	}
	return asked ? { listens: length(listens) ? listens : [ '' ], port } : null;
}

// The addresses of a network, IPv4 before IPv6. One in a prefix that was delegated to this router,
// the only one of a LAN without IPv4, stands with the prefix.
function addresses(network) {
	let found = [];
	for (let kind in [ 'ipv4-address', 'ipv6-address' ])
		for (let entry in network[kind])
			push(found, entry.address);
	for (let prefix in network['ipv6-prefix-assignment'])
		if (prefix['local-address']?.address)
			push(found, prefix['local-address'].address);
	return found;
}

// The first address of a device, IPv4 before IPv6.
function address_of(device, interfaces) {
	let v6;
	for (let network in interfaces) {
		let address = network.l3_device == device ? addresses(network)[0] : null;
		if (address && index(address, ':') < 0)
			return address;
		v6 ??= address;
	}
	return v6;
}

// Where a listener is asked: ADDRESS:PORT as it stands in a URL, or null.
function place_of(listen, port, interfaces) {
	// With the flag s, ^ and $ are the ends of the text, not of any line in it.
	let parts = match(listen, /^\[([^\]]+)\](:([0-9]+))?$/s) ||
		match(listen, /^([^:]*)(:([0-9]+))?$/s);
	let host = parts ? parts[1] : listen;
	port = parts?.[3] || port;
	if (host == '' || host == '0.0.0.0')
		host = '127.0.0.1';
	else if (host == '::')
		host = '::1';
	else if (index(host, ':') < 0 && !match(host, /^[0-9.]+$/s))
		host = address_of(host, interfaces);
	// It stands on a command line.
	if (!host || !match(host, /^[0-9a-fA-F.:]+$/s) || !match(port, /^[0-9]+$/s))
		return null;
	return index(host, ':') < 0 ? `${host}:${port}` : `[${host}]:${port}`;
}

// Where an instance is asked, or null: at the first of its listeners that has an address. It listens
// on an address, [ADDRESS]:PORT, a device, DEVICE:PORT, or everywhere; a connection from its own
// address is what it answers.
function place(command, interfaces) {
	let found = listeners(command);
	for (let listen in found?.listens) {
		let place = place_of(listen, found.port, interfaces);
		if (place)
			return place;
	}
	return null;
}

// The instances of the service that run, by name: where each is asked, null without --status.
function instances(ubus) {
	let service = ubus.call('service', 'list', { name: 'anklet' });
	let networks = ubus.call('network.interface', 'dump');
	let found = {};
	for (let name, instance in service?.anklet?.instances)
		if (instance.running)
			found[name] = place(instance.command, networks?.interface);
	return found;
}

// The lines of what a command says, one with each call; null at the end, or where it goes on for too
// long.
function lines_of(pipe) {
	let lines = [], at = 0, rest = '';
	let end = clock(true)[0] + TIMEOUT_WHOLE;
	return () => {
		while (at == length(lines)) {
			let chunk = pipe.read(CHUNK);
			if (!length(chunk) || length(rest) > LINE_MAX || clock(true)[0] > end)
				return null;
			lines = split(rest + chunk, '\n');
			rest = pop(lines);
			at = 0;
		}
		return lines[at++];
	};
}

// Reads the lines of a report, as below. Fails where it is none.
function read_lines(next, users, sessions) {
	let head = '', take = null, whole = false;
	for (let line = next(); line != null && length(head) <= LINE_MAX; line = next()) {
		line = ltrim(line, ',');
		if (line == '"users":[') {
			take = users;
		} else if (line == '],') {
			take = null;
		} else if (line == '"sessions":[') {
			take = sessions;
		} else if (line == ']}') {
			whole = true;
			break;
		} else if (!take) {
			head += line;
		} else if (take(json(line)) === false) {
			whole = true;
			break;
		}
	}
	let said = whole ? json(rtrim(head, ',') + '}') : null;
	return type(said) == 'object' ? said : null;
}

// Reads what an instance says. The element of each line goes to users(user) or sessions(session) as
// it comes, until one of them returns false. Returns the rest; null if it does not answer, ends in
// the middle, or is another program.
function read(place, users, sessions) {
	let pipe = fs.popen(`exec uclient-fetch -q -T ${TIMEOUT} -O - 'http://${place}/status' 2>/dev/null`);
	if (!pipe)
		return null;
	let said = null;
	try {
		said = read_lines(lines_of(pipe), users, sessions);
	} catch (error) {
		// It is no JSON, or has not what the report has.
	}
	pipe.close();
	return said;
}

return { addresses, instances, place, read };
