// Double of LuCI's uci.js: what is loaded, and what is changed until it is saved.
'use strict';
'require rpc';
'require baseclass';

const call = (method, params, expect) => rpc.declare({ object: 'uci', method, params, expect, reject: true });

return baseclass.extend({
	__init__() {
		this.loaded = {};
		this.fresh = 0;
		this.forget_changes();
	},

	forget_changes() {
		this.changed = {};
		this.removed = {};
		this.created = {};
	},

	callLoad: call('get', [ 'config' ], { values: {} }),
	callAdd: call('add', [ 'config', 'type', 'name', 'values' ], { section: '' }),
	callSet: call('set', [ 'config', 'section', 'values' ]),
	callDelete: call('delete', [ 'config', 'section', 'options' ]),
	callApply: call('apply', [ 'timeout', 'rollback' ]),
	callConfirm: call('confirm', []),

	async load(names) {
		await Promise.all([ names ].flat().map(async (name) => {
			this.loaded[name] ??= await this.callLoad(name);
		}));
	},

	unload(names) {
		for (const name of [ names ].flat())
			for (const part of [ this.loaded, this.changed, this.removed, this.created ])
				delete part[name];
	},

	sections(name, type, visit) {
		const all = [
			...Object.values(this.loaded[name] ?? {}).filter((section) => this.removed[name]?.[section['.name']] !== true)
				.map((section) => this.get(name, section['.name'])),
			...Object.values(this.created[name] ?? {})
		].filter((section) => type == null || section['.type'] == type).sort((a, b) => a['.index'] - b['.index']);
		if (visit)
			for (const section of all)
				visit(section, section['.name']);
		return all;
	},

	get(name, section, option) {
		const made = this.created[name]?.[section];
		const gone = this.removed[name]?.[section];
		const was = this.loaded[name]?.[section];
		if (!made && (!was || gone === true))
			return null;
		const now = made ?? { ...was, ...this.changed[name]?.[section] };
		for (const removed of Object.keys(gone ?? {}))
			delete now[removed];
		return option == null ? now : now[option] ?? null;
	},

	set(name, section, option, value) {
		const made = this.created[name]?.[section];
		const is_empty = value == null || value === '';
		if (made)
			is_empty ? delete made[option] : made[option] = value;
		else if (is_empty)
			this.unset_saved(name, section, option);
		else {
			((this.changed[name] ??= {})[section] ??= {})[option] = value;
			delete this.removed[name]?.[section]?.[option];
		}
	},

	unset_saved(name, section, option) {
		delete this.changed[name]?.[section]?.[option];
		if (Object.hasOwn(this.loaded[name]?.[section] ?? {}, option))
			((this.removed[name] ??= {})[section] ??= {})[option] = true;
	},

	unset(name, section, option) {
		return this.set(name, section, option, null);
	},

	add(name, type, section) {
		const called = section || `new${String(this.fresh).padStart(6, '0')}`;
		(this.created[name] ??= {})[called] = { '.type': type, '.name': called, '.create': section, '.anonymous': !section, '.index': 1000 + this.fresh++ };
		return called;
	},

	remove(name, section) {
		if (this.created[name]?.[section])
			delete this.created[name][section];
		else
			(this.removed[name] ??= {})[section] = true;
	},

	async save() {
		const names = new Set();
		const tasks = [];
		const all = (part, visit) => {
			for (const [ name, sections ] of Object.entries(part))
				for (const [ section, what ] of Object.entries(sections)) {
					names.add(name);
					tasks.push(visit(name, section, what));
				}
		};
		all(this.removed, (name, section, what) => what === true ? this.callDelete(name, section, null)
			: Object.keys(what).length && this.callDelete(name, section, Object.keys(what)));
		all(this.created, (name, section, what) => this.callAdd(name, what['.type'], what['.create'],
			Object.fromEntries(Object.entries(what).filter(([ option ]) => !option.startsWith('.')))));
		all(this.changed, (name, section, what) => Object.keys(what).length && this.callSet(name, section, what));
		await Promise.all(tasks);
		this.forget_changes();
		this.unload([ ...names ]);
		await this.load([ ...names ]);
		return [ ...names ];
	},

	apply() {
		return this.callApply(10, true).then(() => this.callConfirm());
	},

	changes: rpc.declare({ object: 'uci', method: 'changes', expect: { changes: {} } })
});
