'use strict';
'require baseclass';

/* How what the proxy says is shown: numbers with units, and its words in those of the page. */

const UNITS = [ 'B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB' ];

/* Each cause why a destination is refused, and what opens it. */
const REFUSALS = {
	listener: [ _('The proxy itself'), _('Nothing opens it: the proxy would connect to itself.') ],
	multicast: [ _('Multicast or broadcast'), _('Nothing opens it.') ],
	own_address: [ _('An address of this router'), _('An entry with this very address under "Permit" opens it.') ],
	loopback: [ _('Loopback or unspecified'), _('An entry under "Permit" opens it.') ],
	private: [ _('A private or reserved range'), _('An entry under "Permit" opens it.') ],
	other_subnet: [ _('A subnet that the client is not in'), _('An entry with this address or its subnet under "Permit" opens it.') ],
	rule: [ _('Blocked by a rule'), _('A narrower entry under "Permit" opens it.') ],
	rebinding: [ _("A foreign name server's name for the client's own subnet"), _('An entry under "Permit" opens it, and so does a name server on this router.') ]
};

const LOST = {
	stranger: _("From a stranger's port"),
	fragment: _('A fragment, which the proxy does not join'),
	malformed: _('Malformed'),
	refused: _('To a destination that is refused'),
	name: _('To a name without an address'),
	uncontacted: _('From a remote that the client has not sent to ("Strict UDP")'),
	unknown: _('To a client whose port is not known before its first datagram'),
	too_long: _('Too long'),
	full: _('The queue was full'),
	unsendable: _('It could not be sent')
};

const TOTALS = {
	accepted: _('Connections accepted'),
	tunnels: _('Tunnels established'),
	up: _('Bytes from clients'),
	down: _('Bytes to clients'),
	strangers: _('Clients that may not connect ("Clients")'),
	crowded: _('Clients with too many sessions ("Sessions per client")'),
	banned: _('Clients kept out after wrong passwords ("Ban")'),
	garbage: _('No protocol of this port'),
	wrong_passwords: _('Wrong passwords'),
	pauses: _('Pauses for want of descriptors or memory'),
	datagrams_up: _('Datagrams from clients'),
	datagrams_down: _('Datagrams to clients')
};

const LIMITS = {
	sessions: _('Sessions'),
	openings: _('Being opened'),
	established: _('Tunnels and associations'),
	binds: _('BINDs that wait'),
	associations: _('Associations of UDP'),
	heads: _('Long heads of HTTP'),
	long_heads: _('Heads of HTTP over 8 KiB'),
	spare_attempts: _('Connects beside the first'),
	readers: _('Readers of this report'),
	buffers: _('Buffers'),
	pipes: _('Pipes')
};

const PHASES = {
	handshake: _('handshake'),
	lookup: _('looks up the name'),
	connect: _('connects'),
	bind: _('waits for its peer'),
	reply: _('is answered'),
	tunnel: _('tunnel'),
	udp: _('UDP'),
	exchange: _('request'),
	idle: _('between requests'),
	status: _('reads this report'),
	closing: _('ends')
};

const PROTOCOLS = { socks5: 'SOCKS5', socks4: 'SOCKS4', http: 'HTTP' };

/* Of each state of an instance the words, and the class of its label. */
const STATES = {
	running: [ _('runs'), 'success' ],
	waiting: [ _('waits for a network'), 'warning' ],
	unasked: [ _('runs, not observed'), 'notice' ],
	refused: [ _('refused'), 'important' ],
	stopped: [ _('stopped'), 'warning' ],
	disabled: [ _('disabled'), 'notice' ],
	gone: [ _('runs, no longer configured'), 'warning' ]
};

/* What the program says and this page does not know yet is shown as it is. */
function word(words, name) {
	return words[name] ?? name;
}

return baseclass.extend({
	bytes(count) {
		let unit = 0;

		for (; count >= 1024 && unit < UNITS.length - 1; unit++)
			count /= 1024;

		return '%s %s'.format(unit && count < 100 ? count.toFixed(1) : count.toFixed(0), UNITS[unit]);
	},

	rate(bytesPerSecond) {
		return '%s/s'.format(this.bytes(bytesPerSecond));
	},

	duration(seconds) {
		const days = Math.floor(seconds / 86400);
		const hours = Math.floor(seconds / 3600) % 24;
		const minutes = Math.floor(seconds / 60) % 60;

		if (days)
			return _('%d d %d h').format(days, hours);

		if (hours)
			return _('%d h %d min').format(hours, minutes);

		return minutes ? _('%d min %d s').format(minutes, seconds % 60) : _('%d s').format(seconds);
	},

	/* The address of ADDRESS:PORT and of [ADDRESS]:PORT. */
	addressOf(client) {
		return client.replace(/:[0-9]+$/, '').replace(/^\[|\]$/g, '');
	},

	/* The sessions of an instance but those that read its report, as this page does. */
	sessions(state) {
		return state?.limits ? state.limits.sessions.used - (state.limits.readers?.used ?? 0) : '';
	},

	refusal(cause) { return REFUSALS[cause] ?? [ cause, '' ] },
	lost(cause) { return word(LOST, cause) },
	total(kind) { return word(TOTALS, kind) },
	limit(name) { return word(LIMITS, name) },

	/* The names of limits in the order above; what this page does not know yet behind them. */
	limits(limits) {
		const known = Object.keys(LIMITS);

		return known.filter((name) => name in limits).concat(Object.keys(limits).filter((name) => !known.includes(name)));
	},

	phase(phase) { return word(PHASES, phase) },
	protocol(protocol) { return protocol == null ? '' : word(PROTOCOLS, protocol) },

	/* A label for the state of an instance. */
	state(state) {
		const shown = STATES[state] ?? [ state, 'notice' ];

		return E('span', { 'class': 'label ' + shown[1], 'data-state': state }, [ shown[0] ]);
	},

	/* Beside it, what an instance waits for and why it is not as it is configured. */
	reasons(instance) {
		const reasons = [];

		if (instance.waits_for?.length)
			reasons.push(_('No address yet: %s').format(instance.waits_for.join(', ')));

		if (instance.why)
			reasons.push(instance.why);

		if (instance.state === 'unasked')
			reasons.push(_('With "Show status" in its settings, this page shows its sessions.'));

		if (instance.state === 'stopped' && instance.exit_code)
			reasons.push(_('It ended with status %d.').format(instance.exit_code));

		return reasons.join(' — ');
	}
});
