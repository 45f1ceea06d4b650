// SPDX-License-Identifier: MIT OR Apache-2.0
//
// What a page shows of an instance that runs, in one reading of its report: a page of its sessions,
// sorted and filtered while they come, and those users and clients that carry most. However many
// sessions there are, what is kept is one page and two short lists.

'use strict';

const anklet = require('anklet');

// Rows of a page, and of each list beside it. A message of ubus has 1 MiB at most, a session less
// than 3 KiB and a user less than 1.5 KiB.
const ROWS = 50;
const ROWS_MAX = 200;
const TOTALS = 20;
const TOTALS_MAX = 100;

// Addresses that a filter may name beside its text.
const ADDRESSES_MAX = 256;

// Clients that are counted one by one; those beyond them are counted together.
const CLIENTS_MAX = 1024;

// The address of ADDRESS:PORT and of [ADDRESS]:PORT.
function address_of(client) {
	let address = substr(client, 0, max(rindex(client, ':'), 0));
	return substr(address, 0, 1) == '[' ? trim(address, '[]') : address;
}

// An address as a text that sorts by its value, IPv4 before IPv6.
function sortable(address) {
	let bytes = iptoarr(address) ?? [];
	return sprintf('%02x', length(bytes)) + join('', map(bytes, (byte) => sprintf('%02x', byte)));
}

function text_of(text) {
	return lc(text ?? '');
}

// What each column is sorted by.
const KEYS = {
	user: (session) => text_of(session.user),
	client: (session) => sortable(address_of(session.client)),
	protocol: (session) => text_of(session.protocol),
	asked: (session) => text_of(session.asked),
	phase: (session) => text_of(session.phase),
	up: (session) => session.up,
	down: (session) => session.down,
	age: (session) => session.age,
	idle: (session) => session.idle
};

function compare(a, b) {
	return a < b ? -1 : (a > b ? 1 : 0);
}

// Of what is offered, the first `limit` in an order. It holds twice as many at most.
function first(limit, order) {
	let kept = [], worst = null;
	let cut = () => {
		kept = slice(sort(kept, order), 0, limit);
		if (length(kept) == limit)
			worst = kept[limit - 1];
	};
	return {
		offer: (entry) => {
			if (worst && order(entry, worst) >= 0)
				return;
			push(kept, entry);
			if (length(kept) >= 2 * limit)
				cut();
		},
		take: () => {
			cut();
			return kept;
		}
	};
}

// Sessions in the order that is asked for. Equal ones are in the order of their names in the log, so that
// each has a place of its own and a page can begin behind the last row of the one before.
function ordered(reverse) {
	let sign = reverse ? -1 : 1;
	return (a, b) => sign * (compare(a.key, b.key) || compare(a.id, b.id));
}

// Whether a session is one of those that are looked for.
function filter_of(args) {
	let text = lc(args.filter ?? '');
	let protocol = args.protocol ?? '';
	let addresses = {};
	for (let address in slice(args.addresses ?? [], 0, ADDRESSES_MAX))
		addresses[address] = true;
	return (session) => {
		if (protocol != '' && session.protocol != protocol)
			return false;
		if (text == '' || addresses[address_of(session.client)])
			return true;
		return index(lc(`${session.user ?? ''}\n${session.client}\n${session.asked ?? ''}\n` +
			`${session.reached ?? ''}\n${session.protocol ?? ''}\n${session.phase}`), text) >= 0;
	};
}

// Adds up sessions by their client.
function client_totals() {
	let clients = {}, others = null;
	return {
		add: (session) => {
			let address = address_of(session.client);
			let client = clients[address];
			if (!client && length(clients) < CLIENTS_MAX)
				client = clients[address] = { client: address, sessions: 0, up: 0, down: 0 };
			client ??= (others ??= { sessions: 0, up: 0, down: 0 });
			client.sessions++;
			client.up += session.up;
			client.down += session.down;
		},
		count: () => length(clients),
		others: () => others,
		each: () => values(clients)
	};
}

// Those that carry most first.
function by_bytes(a, b) {
	return compare(b.up + b.down, a.up + a.down) || compare(b.sessions, a.sessions);
}

// The rows of a page, and how many there are in all, that match, and before them.
function page(args) {
	let key = KEYS[args.sort ?? 'age'] ?? KEYS.age;
	let order = ordered(args.reverse);
	let matches = filter_of(args);
	let limit = min(max(args.limit ?? ROWS, 1), ROWS_MAX);
	let after = length(args.after) == 2 ? { key: args.after[0], id: args.after[1] } : null;
	let rows = first(limit, order);
	let total = 0, matching = 0, before = 0;
	return {
		add: (session) => {
			total++;
			if (!matches(session))
				return;
			matching++;
			let row = { key: key(session), id: session.id, session };
			if (after && order(row, after) <= 0)
				before++;
			else
				rows.offer(row);
		},
		take: () => {
			let taken = rows.take();
			let last = taken[length(taken) - 1];
			return {
				sessions: map(taken, (row) => row.session),
				total, matching, before,
				more: before + length(taken) < matching,
				last: last ? [ last.key, last.id ] : []
			};
		}
	};
}

// All of it; `place` is where the instance is asked. Null if it does not answer.
function read(place, args) {
	let limit = min(max(args.totals ?? TOTALS, 1), TOTALS_MAX);
	let users = first(limit, by_bytes), users_total = 0;
	let clients = client_totals();
	let sessions = page(args);
	let state = anklet.read(place, (user) => {
		users_total++;
		users.offer(user);
	}, (session) => {
		// The one that reads this is a session, too.
		if (session.phase == 'status')
			return;
		clients.add(session);
		sessions.add(session);
	});
	if (!state)
		return null;
	let most = first(limit, by_bytes);
	for (let client in clients.each())
		most.offer(client);
	let said = {
		state,
		...sessions.take(),
		users: users.take(), users_total,
		clients: most.take(), clients_total: clients.count()
	};
	if (clients.others())
		said.clients_others = clients.others();
	return said;
}

return { read };
