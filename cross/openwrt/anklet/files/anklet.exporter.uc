// SPDX-License-Identifier: MIT OR Apache-2.0
//
// The collector of prometheus-node-exporter-ucode, which loads it with gauge, counter and ubus at
// hand: counts and limits of each instance of the service, and of each user. Not of sessions: each
// would be a series of its own.

// The exporter is jailed where procd-ujail is installed: it can run no program there and sees no
// module but its own, so that the plugin of rpcd is asked, by ubus.

// Users of a page: the plugin's bound.
const PAGE = 300;

// The program's most. One that says more is another program, which may have no end.
const USERS_MAX = 1024;

// The users of an instance, page by page.
function users_of(instance) {
	let users = [], more = true;
	while (more) {
		let page = ubus.call('anklet', 'users', { instance, offset: length(users), limit: PAGE });
		push(users, ...(page?.users ?? []));
		more = page?.more && length(page.users) > 0 && length(users) < USERS_MAX;
	}
	return users;
}

let states = {};
for (let name, state in ubus.call('anklet', 'status'))
	states[name] = state.error ? null : { ...state, users: users_of(name) };
if (!length(states))
	return false;

let up = gauge('anklet_up', 'the instance answers');
for (let instance, state in states)
	up({ instance }, state ? 1 : 0);

let uptime = gauge('anklet_uptime_seconds', 'seconds since the start');
for (let instance, state in states)
	uptime({ instance }, state?.uptime);

for (let part in [ 'used', 'peak', 'max' ]) {
	let places = gauge(`anklet_limit_${part}`, `places of each table: ${part}`);
	for (let instance, state in states)
		for (let limit, places_of in state?.limits)
			places({ instance, limit }, places_of[part]);
}

for (let group, help in {
	totals: 'what has happened, by kind; up and down are bytes',
	refused: 'destinations refused, by cause',
	lost: 'datagrams not carried, by cause'
}) {
	let counts = counter(`anklet_${group}_total`, help);
	for (let instance, state in states)
		for (let kind, count in state?.[group])
			counts({ instance, kind }, count);
}

let user_sessions = gauge('anklet_user_sessions', 'open sessions of each user');
for (let instance, state in states)
	for (let user in state?.users)
		user_sessions({ instance, user: user.user }, user.sessions);

let user_bytes = counter('anklet_user_bytes_total', 'bytes of each user, by direction');
for (let instance, state in states)
	for (let user in state?.users)
		for (let direction in [ 'up', 'down' ])
			user_bytes({ instance, user: user.user, direction }, user[direction]);
