'use strict';
'require view';
'require dom';
'require poll';
'require ui';
'require anklet.calls as calls';
'require anklet.table as table';
'require anklet.words as words';

/* global calls, table, words */

/* Seconds between two looks at the sessions, and looks between two at the log and the hosts. */
const INTERVAL = 5;
const LOOKS_PER_LOG = 3;
const LOOKS_PER_HOSTS = 12;

/* A look rests for so many times as long as it took, so that a small router with thousands of sessions
 * is not kept busy with them. */
const REST = 4;

/* Addresses that a filter may name beside its text, and what is waited for behind the last key. */
const ADDRESSES_MAX = 256;
const TYPING_MS = 300;

const LOG_LINES = 30;

const TOTALS = 20;

const INSTANCES = [
	{ key: 'name', title: _('Instance') },
	{ key: 'state', title: _('State') },
	{ key: 'sessions', title: _('Sessions') },
	{ key: 'uptime', title: _('Runs for') },
	{ key: 'why', title: _('Why') }
];

const SESSIONS = [
	{ key: 'user', title: _('User'), sort: 'user' },
	{ key: 'client', title: _('Client'), sort: 'client' },
	{ key: 'asked', title: _('Target'), sort: 'asked' },
	{ key: 'protocol', title: _('Protocol'), sort: 'protocol' },
	{ key: 'phase', title: _('State'), sort: 'phase' },
	{ key: 'up', title: _('Up'), sort: 'up' },
	{ key: 'down', title: _('Down'), sort: 'down' },
	{ key: 'age', title: _('Age'), sort: 'age' }
];

/* On a phone there are no titles to click: a list has the same columns. */
const SORTS = SESSIONS.map((column) => [ column.sort, column.title ]).concat([ [ 'idle', _('Idle for') ] ]);

/* Columns where the most is looked for first. Of ages, the least: what is new. */
const MOST_FIRST = [ 'up', 'down', 'idle' ];

function totalsOf(key, title) {
	return [
		{ key: key, title: title },
		{ key: 'sessions', title: _('Sessions') },
		{ key: 'up', title: _('Up') },
		{ key: 'down', title: _('Down') }
	];
}

const LIMITS = [
	{ key: 'name', title: _('Table') },
	{ key: 'used', title: _('Used') },
	{ key: 'peak', title: _('Peak') },
	{ key: 'max', title: _('Limit') },
	{ key: 'bar', title: _('Share') }
];

const REFUSED = [
	{ key: 'what', title: _('Destination') },
	{ key: 'opens', title: _('What opens it') },
	{ key: 'count', title: _('Refused') }
];

const COUNTS = [
	{ key: 'what', title: _('Since the start') },
	{ key: 'count', title: _('Count') }
];

const LOST = [
	{ key: 'what', title: _('Datagrams') },
	{ key: 'count', title: _('Lost') }
];

function options(select, pairs) {
	for (const pair of pairs)
		select.appendChild(E('option', { 'value': pair[0] }, [ pair[1] ]));

	return select;
}

function section(title, nodes) {
	return E('div', { 'class': 'cbi-section' }, [ E('h3', {}, [ title ]) ].concat(nodes));
}

return view.extend({
	load() {
		return Promise.all([ calls.instances(), calls.hosts() ]);
	},

	render(loaded) {
		this.hosts = loaded[1];
		this.looks = 0;
		this.asked = 0;
		this.restsUntil = 0;
		this.carried = new Map();
		this.query = { sort: 'age', reverse: false, filter: '', protocol: '', limit: 50 };
		this.pages = [];
		this.running = [];
		this.instance = Object.keys(loaded[0].instances ?? {})[0];

		const node = E('div', { 'id': 'anklet-live' }, [
			E('h2', {}, [ _('SOCKS Proxy') ]),
			E('div', { 'class': 'cbi-map-descr' }, [ _('Who is connected through the proxy, and where to.') ]),
			this.renderInstances(),
			this.renderSessions(),
			this.renderTotals(),
			this.renderCounts(),
			section(_('Log'), [ E('pre', { 'id': 'anklet-log', 'style': 'white-space:pre-wrap; overflow-wrap:anywhere' }, []) ])
		]);

		this.root = node;
		this.showInstances(loaded[0].instances ?? {}, {}, {});
		poll.add(() => document.hidden || performance.now() < this.restsUntil ? null : this.look(), INTERVAL);

		return node;
	},

	renderInstances() {
		this.instanceTable = table.create('anklet-instances', INSTANCES);
		this.instanceSelect = E('select', {
			'id': 'anklet-instance', 'class': 'cbi-input-select', 'aria-label': _('Instance'),
			'change': (ev) => {
				this.instance = ev.currentTarget.value;
				this.fromTheStart();
			}
		});

		return section(_('Instances'), [
			E('p', { 'hidden': '' }, [ this.instanceSelect ]),
			this.instanceTable,
			E('div', { 'class': 'right' }, this.renderActions())
		]);
	},

	/* A reader has none. */
	renderActions() {
		if (!L.hasViewPermission())
			return [];

		return [
			[ 'start', _('Start'), 'action' ], [ 'restart', _('Restart'), 'reload' ], [ 'stop', _('Stop'), 'reset' ]
		].reduce((nodes, action) => {
			return nodes.concat([ E('button', {
				'class': 'btn cbi-button cbi-button-' + action[2],
				'data-action': action[0],
				'click': ui.createHandlerFn(this, 'handleControl', action[0])
			}, [ action[1] ]), ' ' ]);
		}, []);
	},

	handleControl(action) {
		return calls.control(action).then((said) => {
			if (!said.ok)
				ui.addNotification(null, E('p', {}, [ said.error ?? _('The service did not do it: its log says why.') ]), 'error');

			return this.look();
		});
	},

	renderSessions() {
		const again = () => this.fromTheStart();
		const query = this.query;

		this.sessionTable = table.create('anklet-sessions', SESSIONS, (key) => this.handleSort(key));
		this.range = E('span', { 'id': 'anklet-range', 'role': 'status' }, []);

		this.sortSelect = options(E('select', {
			'id': 'anklet-sort', 'class': 'cbi-input-select', 'aria-label': _('Sort by'), 'style': 'width:auto',
			'change': (ev) => { this.handleSort(ev.currentTarget.value) }
		}), SORTS);

		const filter = E('input', {
			'id': 'anklet-filter', 'type': 'text', 'class': 'cbi-input-text', 'style': 'width:16em; max-width:100%',
			'placeholder': _('User, client, host or target'), 'aria-label': _('Filter'), 'autocomplete': 'off',
			'input': (ev) => {
				query.filter = ev.currentTarget.value.trim();
				window.clearTimeout(this.typing);
				this.typing = window.setTimeout(again, TYPING_MS);
			}
		});

		const protocol = options(E('select', {
			'id': 'anklet-protocol', 'class': 'cbi-input-select', 'aria-label': _('Protocol'), 'style': 'width:auto',
			'change': (ev) => { query.protocol = ev.currentTarget.value; again() }
		}), [ [ '', _('All protocols') ], [ 'socks5', 'SOCKS5' ], [ 'socks4', 'SOCKS4' ], [ 'http', 'HTTP' ] ]);

		const limit = options(E('select', {
			'id': 'anklet-limit', 'class': 'cbi-input-select', 'aria-label': _('Rows'), 'style': 'width:auto',
			'change': (ev) => { query.limit = +ev.currentTarget.value; again() }
		}), [ 25, 50, 100, 200 ].map((rows) => [ rows, _('%d rows').format(rows) ]));

		limit.value = query.limit;

		return section(_('Sessions'), [
			E('div', { 'style': 'display:flex; flex-wrap:wrap; gap:.5em; margin-bottom:.5em' }, [
				filter, protocol, this.sortSelect, this.reverseButton(), limit
			]),
			E('div', { 'style': 'overflow-x:auto' }, [ this.sessionTable ]),
			E('div', { 'style': 'display:flex; flex-wrap:wrap; gap:.5em; align-items:center; justify-content:flex-end' }, [
				this.range
			].concat(this.renderPager()))
		]);
	},

	reverseButton() {
		return E('button', {
			'id': 'anklet-reverse', 'class': 'btn cbi-button', 'title': _('The other way round'),
			'click': (ev) => {
				ev.preventDefault();
				this.query.reverse = !this.query.reverse;
				this.fromTheStart();
			}
		}, [ '⇅' ]);
	},

	renderPager() {
		return [
			[ 'anklet-first', _('First'), () => { this.pages = [] } ],
			[ 'anklet-previous', _('Previous'), () => { this.pages.pop() } ],
			[ 'anklet-next', _('Next'), () => { this.pages.push(this.last) } ]
		].map((button) => E('button', {
			'id': button[0], 'class': 'btn cbi-button', 'disabled': '',
			'click': (ev) => {
				ev.preventDefault();
				button[2]();
				this.look();
			}
		}, [ button[1] ]));
	},

	renderTotals() {
		this.userTable = table.create('anklet-by-user', totalsOf('user', _('User')));
		this.clientTable = table.create('anklet-by-client', totalsOf('client', _('Client')));

		return section(_('Users and clients'), [
			E('div', { 'class': 'cbi-section-descr' }, [
				_('Those that carry most: users since the start, clients in the sessions that are open.')
			]),
			this.userTable, this.clientTable
		]);
	},

	renderCounts() {
		this.limitTable = table.create('anklet-limits', LIMITS);
		this.refusedTable = table.create('anklet-refused', REFUSED);
		this.totalTable = table.create('anklet-totals', COUNTS);
		this.lostTable = table.create('anklet-lost', LOST);

		return E('div', {}, [
			section(_('Refused destinations'), [ this.refusedTable ]),
			section(_('Limits'), [ this.limitTable ]),
			section(_('Counts'), [ this.totalTable, this.lostTable ])
		]);
	},

	handleSort(key) {
		this.query.reverse = this.query.sort === key ? !this.query.reverse : MOST_FIRST.includes(key);
		this.query.sort = key;

		return this.fromTheStart();
	},

	/* What is looked for has changed: the first page of it. */
	fromTheStart() {
		this.pages = [];

		return this.look();
	},

	/* The clients whose host has the text of the filter in its name. */
	addresses() {
		const text = this.query.filter.toLowerCase();
		const found = [];

		if (text !== '')
			for (const [ address, name ] of this.hosts)
				if (name.toLowerCase().includes(text) && found.length < ADDRESSES_MAX)
					found.push(address);

		return found;
	},

	/* Asks and shows all of it. What comes late, behind the answer to a later question, is dropped. */
	look() {
		const number = ++this.asked;
		const query = this.query;
		const look = this.looks++;
		const start = performance.now();
		const tasks = [
			calls.instances(),
			this.instance == null ? null : L.resolveDefault(calls.live(this.instance, query.limit, query.sort,
				query.reverse, query.filter, query.protocol, this.addresses(), this.pages.at(-1) ?? [], TOTALS), {}),
			look % LOOKS_PER_LOG ? null : L.resolveDefault(calls.log(LOG_LINES), {}),
			look % LOOKS_PER_HOSTS || !look ? null : calls.hosts(),
			/* Of the others that ran at the last look. */
			calls.counts(this.running.filter((name) => name !== this.instance))
		];

		return Promise.all(tasks).then((said) => {
			this.restsUntil = performance.now() + REST * (performance.now() - start);
			this.hosts = said[3] ?? this.hosts;

			if (said[2]?.lines)
				dom.content(this.root.querySelector('#anklet-log'), [ said[2].lines.join('\n') ]);

			if (number !== this.asked)
				return;

			this.showInstances(said[0].instances ?? {}, said[1] ?? {}, said[4]);
			this.showLive(said[1] ?? {});
		}).catch(() => {});
	},

	showInstances(instances, live, others) {
		const names = Object.keys(instances);

		if (!(this.instance in instances))
			this.instance = names[0];

		if (this.instanceSelect.options.length !== names.length || !names.every((name, i) => this.instanceSelect.options[i].value === name))
			dom.content(this.instanceSelect, names.map((name) => E('option', { 'value': name }, [ name ])));

		this.instanceSelect.value = this.instance;
		this.instanceSelect.parentNode.hidden = names.length < 2;

		this.running = names.filter((name) => instances[name].state === 'running');

		table.update(this.instanceTable, names.map((name) => {
			const state = name === this.instance ? live.state : others[name];

			return {
				id: name,
				data: { instance: name },
				cells: {
					name: name,
					state: words.state(instances[name].state),
					sessions: words.sessions(state),
					uptime: state?.limits ? words.duration(state.uptime) : '',
					why: E('span', { 'class': 'anklet-why' }, [ words.reasons(instances[name]) ])
				}
			};
		}), _('No instance is configured.'));
	},

	showLive(live) {
		const sessions = live.sessions ?? [];

		this.last = live.last;
		table.mark(this.sessionTable, this.query.sort, this.query.reverse);
		this.sortSelect.value = this.query.sort;
		table.update(this.sessionTable, this.sessionRows(sessions), live.error ?? _('There are no such sessions.'));
		this.showRange(live, sessions.length);

		table.update(this.userTable, this.totalRows('user', live.users ?? []), _('No users are configured.'));
		table.update(this.clientTable, this.totalRows('client', live.clients ?? [], live.clients_others), _('No client is connected.'));
		this.showCounts(live.state ?? {});
	},

	showRange(live, count) {
		const first = (live.before ?? 0) + 1;
		const button = (name, enabled) => {
			this.root.querySelector('#anklet-' + name).disabled = !enabled;
		};

		dom.content(this.range, [ count
			? _('%d–%d of %d, %d in all').format(first, first + count - 1, live.matching, live.total)
			: _('0 of %d').format(live.total ?? 0) ]);

		button('first', this.pages.length > 0);
		button('previous', this.pages.length > 0);
		button('next', live.more);
	},

	/* Rates are what has been carried since the look before. */
	sessionRows(sessions) {
		const now = performance.now();
		const before = this.carried;
		const carried = this.carried = new Map();

		return sessions.map((session) => {
			const key = '%s %s'.format(this.instance, session.id);
			const old = before.get(key);
			const seconds = old ? (now - old.at) / 1000 : 0;
			const rate = (direction) => {
				const bytes = old ? session[direction] - old[direction] : 0;

				return seconds > 0 && bytes > 0 ? words.rate(bytes / seconds) : '';
			};

			carried.set(key, { at: now, up: session.up, down: session.down });

			return {
				id: key,
				data: { id: session.id },
				cells: {
					user: session.user ?? '',
					client: [ session.client, this.hosts.get(words.addressOf(session.client)) ],
					asked: [ session.asked ?? '', session.reached === session.asked ? '' : session.reached ],
					protocol: words.protocol(session.protocol),
					phase: words.phase(session.phase),
					up: [ words.bytes(session.up), rate('up') ],
					down: [ words.bytes(session.down), rate('down') ],
					age: [ words.duration(session.age), session.idle > 0 ? _('idle %s').format(words.duration(session.idle)) : '' ]
				}
			};
		});
	},

	totalRows(kind, totals, others) {
		const rows = totals.map((total) => {
			return {
				id: total[kind],
				data: { [kind]: total[kind] },
				cells: this.totalCells(kind, [ total[kind], kind === 'client' ? this.hosts.get(total.client) : '' ], total)
			};
		});

		if (others)
			rows.push({ id: ' others', data: {}, cells: this.totalCells(kind, [ _('All others'), '' ], others) });

		return rows;
	},

	totalCells(kind, name, total) {
		return { [kind]: name, sessions: total.sessions, up: words.bytes(total.up), down: words.bytes(total.down) };
	},

	showCounts(state) {
		/* What has not been used yet is left out: on a phone each row is a part of a screen. */
		const used = words.limits(state.limits ?? {}).filter((name) => state.limits[name].peak > 0);

		table.update(this.limitTable, used.map((name) => {
			const limit = state.limits[name];
			const share = limit.max ? Math.floor(100 * limit.used / limit.max) : 0;

			return {
				id: name,
				data: { limit: name },
				cells: {
					name: words.limit(name), used: limit.used, peak: limit.peak, max: limit.max,
					bar: E('div', { 'class': 'cbi-progressbar', 'title': '%d%%'.format(share), 'style': 'min-width:6em' }, [
						E('div', { 'style': 'width:%d%%'.format(share) }, [])
					])
				}
			};
		}), _('Nothing is known.'));

		/* And so is what has not happened. */
		const rows = (kind, counts, cells) => Object.keys(counts ?? {})
			.filter((name) => counts[name] > 0)
			.map((name) => ({ id: name, data: { [kind]: name }, cells: cells(name, counts[name]) }));

		table.update(this.refusedTable, rows('cause', state.refused, (cause, count) => {
			const refusal = words.refusal(cause);

			return { count: count, what: refusal[0], opens: refusal[1] };
		}), _('Nothing was refused.'));

		table.update(this.lostTable, rows('cause', state.lost, (cause, count) => {
			return { count: count, what: words.lost(cause) };
		}), _('No datagram was lost.'));

		table.update(this.totalTable, rows('total', state.totals, (kind, count) => {
			const isBytes = kind === 'up' || kind === 'down';

			return { what: words.total(kind), count: isBytes ? words.bytes(count) : count };
		}), _('Nothing is known.'));
	},

	handleSaveApply: null,
	handleSave: null,
	handleReset: null
});
