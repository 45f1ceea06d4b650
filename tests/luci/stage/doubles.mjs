// Doubles of LuCI's modules without a browser. They write down what a page asks of them; what a page
// asks that LuCI has not, or that is not written down here, fails.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Element, new_document } from './dom.mjs';
import { PACKAGING } from './shell.mjs';

const RESOURCES = join(PACKAGING, 'luci-app-anklet/htdocs/luci-static/resources');

// Nobody reads from it what it has not.
function strict(name, members) {
	return new Proxy(members, {
		get(target, key) {
			if (!(key in target) && typeof key == 'string' && key != 'then')
				throw new TypeError(`${name} has no ${key}`);
			return target[key];
		}
	});
}

// A class as LuCI makes it, of members in place of a body.
function classes(Base = class {}) {
	Base.extend = (members) => {
		const Made = class extends Base {};
		for (const [ name, member ] of Object.entries(members))
			Object.defineProperty(Made.prototype, name, { value: member, writable: true, configurable: true });
		return classes(Made);
	};
	Base.prototype.super = function(name, words) {
		return Object.getPrototypeOf(Object.getPrototypeOf(this))[name]?.apply(this, words ?? []);
	};
	return Base;
}

function new_dom(document) {
	const dom = {
		elem: (one) => one instanceof Element,
		append(node, children) {
			if (Array.isArray(children))
				for (const child of children)
					child != null && node.append(child);
			else if (children instanceof Element)
				node.append(children);
			else if (children != null)
				node.innerHTML = String(children);
		},
		content(node, children) {
			node.replaceChildren();
			dom.append(node, children);
		},
		create(what, attributes, children) {
			if (attributes == null || typeof attributes != 'object' || Array.isArray(attributes) || attributes instanceof Element)
				children = attributes ?? children, attributes = {};
			const node = Array.isArray(what) ? document.createDocumentFragment() : what instanceof Element ? what : document.createElement(what);
			for (const [ name, value ] of Object.entries(attributes))
				typeof value == 'function' ? node.addEventListener(name, value) : value != null && node.setAttribute(name, value);
			dom.append(node, Array.isArray(what) ? what : children);
			return node;
		}
	};
	return dom;
}

// The sections and options of a form, by name.
function new_form(record, E) {
	const Value = classes(class {
		constructor(map, section, option, title, description) {
			Object.assign(this, { map, section, option, title, description, deps: [], values: [] });
		}

		depends(...words) { this.deps.push(words); }
		value(key) { this.values.push(String(key)); }
		cbid(section_id) { return `cbid.${this.map.config}.${section_id}.${this.option}`; }
	});
	const kind = (name) => Value.extend({ kind: name });
	const Section = classes(class {
		constructor(map, type, title, description) {
			Object.assign(this, { map, sectiontype: type, title, description, children: [], tabs: [] });
		}

		tab(name) { this.tabs.push(name); }

		option(Kind, ...words) {
			const option = new Kind(this.map, this, ...words);
			this.children.push(option);
			record.options.push(option);
			return option;
		}

		taboption(tab, ...words) {
			if (!this.tabs.includes(tab))
				throw new ReferenceError(`no tab ${tab}`);
			return Object.assign(this.option(...words), { tab });
		}

		cfgsections() { return []; }
	});
	const Map = classes(class {
		constructor(config, title, description) {
			Object.assign(this, { config, title, description, children: [] });
			record.maps.push(this);
		}

		section(Kind, ...words) {
			const section = new Kind(this, ...words);
			this.children.push(section);
			return section;
		}

		chain(config) { (this.chained ??= []).push(config); }
		render() { return Promise.resolve(E('div', { class: 'cbi-map' }, [])); }
	});
	return strict('form', {
		Map, JSONMap: Map.extend({ is_json: true }), TypedSection: Section.extend({ kind: 'typed' }), NamedSection: Section.extend({ kind: 'named' }),
		TableSection: Section.extend({ kind: 'table' }), GridSection: Section.extend({ kind: 'grid' }), AbstractValue: Value, Value: kind('value'),
		Flag: kind('flag'), ListValue: kind('list'), DynamicList: kind('dynamic'), MultiValue: kind('multi'), TextValue: kind('text'),
		DummyValue: kind('dummy'), Button: kind('button')
	});
}

// A page's surroundings: `answers` are what the router says, by "object method", or functions that
// say it; `rights` whether who has logged in may write.
export function surroundings(answers = {}, { may_write = true } = {}) {
	const document = new_document();
	const dom = new_dom(document);
	const E = dom.create;
	const record = { declared: [], calls: [], polls: [], maps: [], options: [], modals: [], notes: [], loaded: [] };
	const rpc = strict('rpc', {
		declare(declared) {
			record.declared.push(declared);
			return async (...words) => {
				const args = Object.fromEntries((declared.params ?? []).map((name, at) => [ name, words[at] ]).filter(([ , value ]) => value !== undefined));
				const call = `${declared.object} ${declared.method}`;
				record.calls.push({ call, args });
				if (!(call in answers))
					throw new Error(`nobody answers ${call}`);
				return typeof answers[call] == 'function' ? answers[call](args) : structuredClone(answers[call]);
			};
		}
	});
	const View = classes();
	const Widget = classes(class { render() { return E('div', {}, []); } });
	const modules = {
		baseclass: classes(), view: View, rpc, dom: strict('dom', dom),
		poll: strict('poll', { add: (call, interval) => { record.polls.push({ call, interval }); }, remove() {} }),
		uci: strict('uci', {
			load: async (names) => { record.loaded.push(...[ names ].flat()); }, sections: () => [], get: () => null, unload() {}, set() {}, unset() {}, add() {}, remove() {}, save: async () => {}
		}),
		ui: strict('ui', {
			Dropdown: Widget, Combobox: Widget, Textfield: Widget, Select: Widget, DynamicList: Widget,
			showModal: (title, children) => { record.modals.push(E('div', { class: 'modal' }, children)); },
			hideModal: () => { record.modals.length = 0; },
			addNotification: (title, children) => { record.notes.push(E('div', {}, children)); },
			addTimeLimitedNotification: (title, children) => { record.notes.push(E('div', {}, children)); },
			createHandlerFn: (self, method, ...words) => (event) => (typeof method == 'string' ? self[method] : method).call(self, ...words, event),
			addValidator: () => () => true,
			changes: { apply() {} }
		}),
		network: strict('network', { getNetworks: async () => [] }),
		firewall: strict('firewall', { getZones: async () => [] })
	};
	modules.form = new_form(record, E);
	modules['tools.widgets'] = strict('widgets', {
		NetworkSelect: modules.form.ListValue.extend({ kind: 'networks' }), ZoneSelect: modules.form.ListValue.extend({ kind: 'zones' })
	});
	const L = strict('L', {
		hasViewPermission: () => may_write,
		resolveDefault: (value, otherwise) => Promise.resolve(value).catch(() => otherwise),
		bind: (call, self, ...words) => call.bind(self, ...words),
		toArray: (value) => value == null ? [] : Array.isArray(value) ? value : String(value).split(/\s+/).filter(Boolean),
		isObject: (value) => value != null && typeof value == 'object',
		url: (...parts) => `/cgi-bin/luci/${parts.join('/')}`,
		naturalCompare: (a, b) => String(a).localeCompare(String(b), undefined, { numeric: true }),
		env: { sessionid: 'session' }
	});
	const window = { setTimeout: (call) => { call(); return 0; }, clearTimeout() {}, addEventListener() {} };
	const load = (name) => modules[name] ??= load_module(name, load, { window, document, L, E, Node: Element, _: (text) => text, N_: (count, one, many) => count == 1 ? one : many });
	return { record, document, E, load };
}

const DIRECTIVE = /\s*(?:\/\/[^\n]*\n|\/\*[\s\S]*?\*\/|'use strict';|'require[ \t]+(\S+?)(?:[ \t]+as[ \t]+([A-Za-z_]\S*?))?';)/y;

function load_module(name, load, names) {
	const file = join(RESOURCES, `${name.replaceAll('.', '/')}.js`);
	const source = readFileSync(file, 'utf8');
	DIRECTIVE.lastIndex = 0;
	const needs = [];
	for (let found; (found = DIRECTIVE.exec(source)); )
		if (found[1])
			needs.push([ found[2] ?? found[1].replace(/\W/g, '_'), load(found[1]) ]);
	const all = { ...names, ...Object.fromEntries(needs) };
	const Made = new Function(...Object.keys(all), `${source}\n//# sourceURL=${file}`)(...Object.values(all));
	return new Made();
}

// LuCI has it on every text.
String.prototype.format ??= function(...values) {
	return this.replace(/%(?:\.[0-9]+)?([%sdfhx])/g, (_, kind) => kind == '%' ? '%' : kind == 'd' ? String(Math.floor(Number(values.shift()) || 0)) : String(values.shift() ?? ''));
};
