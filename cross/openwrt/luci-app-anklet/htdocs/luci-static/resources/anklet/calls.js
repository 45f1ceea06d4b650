'use strict';
'require baseclass';
'require rpc';

/* What is asked of the router: the plugin luci.anklet of rpcd, but for the counts of an instance, which
 * anklet itself has on ubus, and the names of hosts. */

/* Instances that are asked for their counts in one look. */
const COUNTED_MAX = 4;

function declare(method, params) {
	return rpc.declare({
		object: 'luci.anklet',
		method: method,
		params: params,
		expect: {},
		reject: true
	});
}

const getHostHints = rpc.declare({
	object: 'luci-rpc',
	method: 'getHostHints',
	expect: {}
});

const getStatus = rpc.declare({
	object: 'anklet',
	method: 'status',
	params: [ 'instance' ],
	expect: {}
});

return baseclass.extend({
	instances: declare('instances', []),
	live: declare('live', [ 'instance', 'limit', 'sort', 'reverse', 'filter', 'protocol', 'addresses', 'after', 'totals' ]),
	config: declare('config', []),
	check: declare('check', []),
	checkEdited: declare('check_edited', [ 'sections' ]),
	log: declare('log', [ 'lines' ]),
	accounts: declare('accounts', []),
	setUser: declare('set_user', [ 'instance', 'name', 'password', 'create' ]),
	removeUser: declare('remove_user', [ 'instance', 'name', 'last' ]),
	removeSection: declare('remove_user', [ 'section', 'last' ]),
	moveUser: declare('move_user', [ 'section' ]),
	control: declare('control', [ 'action' ]),

	/* The counts of some instances by name, of COUNTED_MAX at most; their sessions stay where they are. */
	counts(names) {
		return Promise.all(names.slice(0, COUNTED_MAX).map((name) => {
			return L.resolveDefault(getStatus(name), {}).then((said) => [ name, said[name] ?? {} ]);
		})).then(Object.fromEntries);
	},

	/* The names of hosts by their addresses. */
	hosts() {
		return L.resolveDefault(getHostHints(), {}).then((hints) => {
			const names = new Map();

			for (const mac in hints) {
				const host = hints[mac];

				if (host.name)
					for (const address of [].concat(host.ipaddrs ?? [], host.ip6addrs ?? []))
						names.set(address, host.name);
			}

			return names;
		});
	}
});
