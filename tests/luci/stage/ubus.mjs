// The router's ubus as a browser sees it: who may call what, and what the objects answer. The object
// `anklet` is the plugin's own code; the others say what a small router says.

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { SAID } from './answers.mjs';
import { PACKAGING } from './shell.mjs';

const OK = 0, NOT_FOUND = 4, NO_DATA = 5, DENIED = 6;

const PLUGIN = join(import.meta.dirname ?? new URL('.', import.meta.url).pathname, 'plugin.mjs');

// What every login of LuCI may do.
const EVERYBODY = {
	'everybody': {
		read: { ubus: { session: [ 'access' ], uci: [ '*' ], luci: [ 'getFeatures' ] }, uci: [ 'luci' ] },
		write: {}
	}
};

const GROUPS = [ 'anklet/files/anklet.acl.json', 'luci-app-anklet/root/usr/share/rpcd/acl.d/luci-app-anklet.json' ];

function groups_of(luci) {
	const files = GROUPS.map((file) => join(PACKAGING, file));
	if (luci)
		files.push(join(luci, 'modules/luci-base/root/usr/share/rpcd/acl.d/luci-base.json'));
	return files.filter(existsSync).reduce((all, file) => ({ ...all, ...JSON.parse(readFileSync(file)) }), EVERYBODY);
}

const fits = (pattern, name) => new RegExp(`^${pattern.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '.*')}$`).test(name);

// Who has logged in, and with which rights.
class Login {
	constructor(groups, may_write) {
		this.groups = groups;
		this.rights = may_write ? [ 'read', 'write' ] : [ 'read' ];
		this.staged = {};
		this.changes = {};
	}

	// As rpcd asks: scope ubus has objects and methods, uci configurations and a right.
	may(scope, object, right) {
		if (scope == 'access-group')
			return this.rights.includes(right) && Boolean(this.groups[object]?.[right]);
		return this.rights.some((kind) => Object.values(this.groups).some((group) => {
			const given = group[kind]?.[scope];
			const [ objects, rights ] = Array.isArray(given)
				? [ given, () => [ kind ] ] : [ Object.keys(given ?? {}), (name) => given[name] ];
			return objects.some((name) => fits(name, object) && rights(name).some((one) => fits(one, right)));
		}));
	}
}

export class Ubus {
	constructor(router, luci) {
		this.router = router;
		const groups = groups_of(luci);
		this.logins = { root: new Login(groups, true), reader: new Login(groups, false) };
		this.calls = [];
		this.last_id = 0;
		this.waiting = new Map();
		this.plugins = fork(PLUGIN, [ router.place.root ], { env: router.place.environment() });
		this.plugins.on('message', (message) => {
			this.waiting.get(message.id)(message);
			this.waiting.delete(message.id);
		});
		// Tests put answers of other objects here.
		this.said = {};
	}

	// [CODE] or [CODE, DATA].
	async call(session, object, method, args) {
		const login = this.logins[session];
		if (!login?.may('ubus', object, method))
			return null;
		this.calls.push({ session, object, method, args });
		if (object == 'session' && method == 'access')
			return [ OK, { access: login.may(args.scope ?? 'ubus', args.object, args.function) } ];
		if (object == 'uci')
			return this.uci(login, method, args);
		if (object == 'service' && method == 'list')
			return [ OK, this.router.service.list() ];
		if (object == 'anklet' || object == 'luci.anklet')
			return this.plugin(object, method, args);
		const said = this.said[`${object} ${method}`] ?? SAID[`${object} ${method}`];
		return said ? [ OK, said ] : [ NOT_FOUND ];
	}

	async close() {
		this.plugins.kill();
		await once(this.plugins, 'exit');
	}

	async plugin(object, method, args) {
		const { service } = this.router;
		const said = JSON.stringify({ ...SAID, ...this.said, 'service list': service.list() });
		const id = ++this.last_id;
		const { answer, error } = await new Promise((resolve) => {
			this.waiting.set(id, resolve);
			this.plugins.send({ id, object, method, args: JSON.stringify(args ?? {}), said });
		});
		await service.follow();
		if (error)
			throw new Error(error);
		return JSON.parse(answer);
	}

	async uci(login, method, args) {
		const { config: name, section, values } = args ?? {};
		if (method == 'changes')
			return [ OK, { changes: login.changes } ];
		if (method == 'apply')
			return this.apply(login);
		if (method == 'confirm' || method == 'rollback')
			return [ OK ];
		if (!login.may('uci', name, method == 'get' ? 'read' : 'write'))
			return [ DENIED ];
		const config = login.staged[name] ?? this.router.config(name);
		if (!config)
			return [ NOT_FOUND ];
		if (method == 'get')
			return section == null ? [ OK, { values: config.values() } ] : [ OK, { values: config.section(section) } ];
		login.staged[name] = config;
		const changes = login.changes[name] ??= [];
		changes.push([ method, section ?? args.name ?? args.type, ...Object.entries(values ?? {}).flat() ]);
		if (method == 'add') {
			const added = config.add(args.type, args.name);
			for (const [ option, value ] of Object.entries(values ?? {}))
				config.set(added, option, value);
			return [ OK, { section: added } ];
		}
		if (method == 'set')
			return [ Object.entries(values).every(([ option, value ]) => config.set(section, option, value)) ? OK : NOT_FOUND ];
		if (method == 'delete') {
			const options = args.options ?? [ args.option ];
			return [ options.every((option) => config.remove(section, option)) ? OK : NOT_FOUND ];
		}
		config.order(args.sections);
		return [ OK ];
	}

	async apply(login) {
		const names = Object.keys(login.staged);
		if (!names.length)
			return [ NO_DATA ];
		for (const name of names)
			login.staged[name].write(this.router.place.path(`etc/config/${name}`));
		login.staged = {};
		login.changes = {};
		await this.router.service.command('start');
		return [ OK ];
	}

	// A request of JSON-RPC, or several.
	async answer(request) {
		if (Array.isArray(request))
			return Promise.all(request.map((one) => this.answer(one)));
		const { id, method, params } = request;
		if (method != 'call')
			return { jsonrpc: '2.0', id, result: {} };
		const [ session, object, call, args ] = params;
		const result = await this.call(session, object, call, args);
		return result ? { jsonrpc: '2.0', id, result }
			: { jsonrpc: '2.0', id, error: { code: -32002, message: 'Access denied' } };
	}
}
