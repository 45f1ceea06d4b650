'use strict';
'require baseclass';
'require anklet.calls as calls';
'require anklet.table as table';
'require anklet.words as words';

/* global calls, table, words */

const COLUMNS = [
	{ key: 'name', title: _('Instance') },
	{ key: 'state', title: _('State') },
	{ key: 'sessions', title: _('Sessions') },
	{ key: 'up', title: _('Up') },
	{ key: 'down', title: _('Down') },
	{ key: 'why', title: _('Why') }
];

return baseclass.extend({
	title: _('SOCKS Proxy'),

	load() {
		return L.resolveDefault(calls.instances(), {}).then((said) => {
			const instances = said.instances ?? {};
			const names = Object.keys(instances).filter((name) => instances[name].state !== 'disabled');

			return calls.counts(names).then((counts) => {
				return names.map((name) => ({ name: name, instance: instances[name], counts: counts[name] ?? {} }));
			});
		});
	},

	/* Nothing where no instance is enabled: the page has no box then. */
	render(rows) {
		if (!rows?.length)
			return null;

		const node = table.create('anklet-box', COLUMNS);

		table.update(node, rows.map((row) => {
			const totals = row.counts.totals;

			return {
				id: row.name,
				data: { instance: row.name },
				cells: {
					name: row.name,
					state: words.state(row.instance.state),
					sessions: words.sessions(row.counts),
					up: totals ? words.bytes(totals.up) : '',
					down: totals ? words.bytes(totals.down) : '',
					why: words.reasons(row.instance)
				}
			};
		}), '');

		return node;
	}
});
