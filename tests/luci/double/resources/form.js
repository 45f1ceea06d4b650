// Double of LuCI's form.js: maps of UCI's or of given data, and their sections. What our pages use
// of it is here, and nothing else.
'use strict';
'require ui';
'require uci';
'require rpc';
'require dom';
'require baseclass';
'require form-values as values';

const { Value, Flag, ListValue, DynamicList } = values;

const may_write = rpc.declare({ object: 'session', method: 'access', params: [ 'scope', 'object', 'function' ], expect: { access: false } });

const is_equal = (a, b) => b instanceof RegExp ? a != null && b.test(a) : JSON.stringify(a ?? null) == JSON.stringify(b ?? null);

const contains = (a, b) => Array.isArray(a) ? a.includes(b) : typeof a == 'string' && a.includes(b);

const Node = baseclass.extend({
	__init__(title, description) {
		Object.assign(this, { title: title ?? '', description: description ?? '', children: [] });
	},

	append(child) {
		this.children.push(child);
	},

	titleFn(name, ...words) {
		const said = typeof this[name] == 'function' ? this[name](...words) : this[name];
		return said == null || said === '' ? null : said;
	}
});

const Map = Node.extend({
	__init__(config, ...words) {
		this.super('__init__', words);
		Object.assign(this, { config, data: uci, parsechain: [ config ] });
	},

	chain(config) {
		this.parsechain.push(config);
	},

	section(Kind, ...words) {
		if (!AbstractSection.isSubclass(Kind))
			L.error('TypeError', 'Class must be a descendant of CBIAbstractSection');
		const section = new Kind(this, ...words);
		this.append(section);
		return section;
	},

	async load() {
		if (this.readonly == null && !(this instanceof JSONMap))
			this.readonly = await may_write('uci', this.config, 'write') ? undefined : true;
		await Promise.all(this.parsechain.map((config, at) => at ? L.resolveDefault(this.data.load(config)) : this.data.load(config)));
		for (const section of this.children)
			await section.load();
	},

	render() {
		return this.load().then(() => this.renderContents());
	},

	async renderContents() {
		const root = this.root ??= E('div', { id: `cbi-${this.config}`, class: 'cbi-map' });
		dom.bindClassInstance(root, this);
		const parts = [];
		for (const section of this.children)
			parts.push(await section.render());
		dom.content(root, []);
		if (this.title)
			root.appendChild(E('h2', { name: 'content' }, this.title));
		if (this.description)
			root.appendChild(E('div', { class: 'cbi-map-descr' }, this.description));
		dom.append(root, this.tabbed ? [ E('div', { class: 'cbi-map-tabbed' }, parts) ] : parts);
		this.checkDepends();
		for (const group of root.querySelectorAll('.cbi-map-tabbed, .cbi-section-node-tabbed'))
			ui.tabs.initTabGroup(group.childNodes);
		return root;
	},

	parse() {
		return Promise.all(this.children.map((section) => section.parse()));
	},

	async save(before, is_silent) {
		this.checkDepends();
		try {
			await this.parse();
			await before?.();
			await this.data.save();
			await this.load();
		} catch (error) {
			if (!is_silent)
				ui.showModal(_('Save error'), [ E('p', {}, [ error.message ]), E('button', { class: 'cbi-button', click: () => ui.hideModal() }, [ _('Dismiss') ]) ]);
			throw error;
		}
		return this.renderContents();
	},

	reset() {
		return this.renderContents();
	},

	findElement(key, value) {
		return value == null ? this.root.querySelector(key) : [ ...this.root.querySelectorAll(`[${key}]`) ].find((node) => node.getAttribute(key) == value) ?? null;
	},

	lookupOption(name, section_id) {
		for (const section of this.children)
			for (const option of section.children)
				if (option.option == name && this.findElement('data-field', option.cbid(section_id)))
					return [ option, section_id ];
		return null;
	},

	// Until nothing changes any more: an option may hang on one that hangs on another.
	checkDepends() {
		for (let rounds = 0; rounds < 10; rounds++)
			if (!this.children.map((section) => section.checkDepends(!rounds)).includes(true))
				break;
	},

	isDependencySatisfied(depends, section_id) {
		if (!depends.length)
			return true;
		return depends.some((all) => {
			const fits = Object.entries(all).filter(([ name ]) => !name.startsWith('!')).every(([ name, wanted ]) => {
				const found = this.lookupOption(name, section_id);
				const value = found?.[0].isActive(section_id) ? found[0].formvalue(section_id) : null;
				return all['!contains'] ? contains(value, wanted) : is_equal(value, wanted);
			});
			return fits != Boolean(all['!reverse']);
		});
	}
});

// Of data that is given, without UCI: sections by type, objects in a list or one of them.
const JSONMap = Map.extend({
	__init__(data, ...words) {
		this.super('__init__', [ 'json', ...words ]);
		const sections = {};
		for (const [ type, what ] of Object.entries(data ?? {}))
			[ what ].flat().forEach((one, at) => {
				const name = one['.name'] ?? (Array.isArray(what) ? `${type}${at}` : type);
				sections[name] = { '.type': type, '.anonymous': false, '.index': Object.keys(sections).length, ...one, '.name': name };
			});
		this.data = {
			load: () => Promise.resolve(),
			save: () => Promise.resolve(),
			get: (config, section, option) => option == null ? sections[section] ?? null : sections[section]?.[option] ?? null,
			set: (config, section, option, value) => { sections[section][option] = value; },
			unset: (config, section, option) => { delete sections[section][option]; },
			sections: (config, type) => Object.values(sections).filter((section) => type == null || section['.type'] == type),
			add: (config, type, name) => (sections[name] = { '.type': type, '.name': name, '.index': Object.keys(sections).length }, name),
			remove: (config, name) => { delete sections[name]; }
		};
	}
});

const AbstractSection = Node.extend({
	__init__(map, type, ...words) {
		this.super('__init__', words);
		Object.assign(this, { map, sectiontype: type, config: map.config });
	},

	tab(name, title, description) {
		if (this.tabs?.[name])
			throw new Error('Tab already declared');
		const entry = { name, title, description, children: [] };
		(this.tabs ??= []).push(entry);
		this.tabs[name] = entry;
	},

	option(Kind, ...words) {
		if (!Value.isSubclass(Kind) && Kind != Value)
			L.error('TypeError', 'Class must be a descendant of CBIAbstractValue');
		const option = new Kind(this.map, this, ...words);
		this.append(option);
		return option;
	},

	taboption(tab, ...words) {
		if (!this.tabs?.[tab])
			L.error('ReferenceError', 'Associated tab not declared');
		const option = this.option(...words);
		option.tab = tab;
		return option;
	},

	filter: () => true,

	cfgsections() {
		return this.map.data.sections(this.map.config, this.sectiontype).map((section) => section['.name']).filter((name) => this.filter(name));
	},

	async load() {
		for (const section_id of this.cfgsections())
			for (const option of this.children)
				option.cfgvalue(section_id, await option.load(section_id));
	},

	parse() {
		return Promise.all(this.cfgsections().flatMap((section_id) => this.children.map((option) => option.parse(section_id))));
	},

	formvalue(section_id, name) {
		return this.children.find((option) => option.option == name)?.formvalue(section_id);
	},

	getOption(name) {
		return this.children.find((option) => option.option == name);
	},

	checkDepends(is_first) {
		let has_changed = false;
		for (const section_id of this.cfgsections())
			for (const option of this.children) {
				const fits = this.map.isDependencySatisfied(option.deps, section_id);
				if (option.setActive(section_id, fits))
					has_changed = true;
				if (is_first && fits)
					option.triggerValidation(section_id);
			}
		return has_changed;
	},

	async renderOptions(section_id) {
		const nodes = [];
		for (const option of this.children)
			nodes.push([ option, await option.render(section_id) ]);
		if (!this.tabs)
			return nodes.map(([ , node ]) => node);
		return this.tabs.map((tab) => E('div', { id: `container.${this.config}.${section_id}.${tab.name}`, 'data-tab': tab.name, 'data-tab-title': tab.title }, [
			...tab.description ? [ E('div', { class: 'cbi-tab-descr' }, tab.description) ] : [],
			...nodes.filter(([ option ]) => option.tab == tab.name).map(([ , node ]) => node)
		]));
	},

	heads() {
		return [
			...this.title ? [ E('h3', {}, this.title) ] : [],
			...this.description ? [ E('div', { class: 'cbi-section-descr' }, this.description) ] : []
		];
	},

	async renderNode(section_id) {
		return E('div', {
			id: `cbi-${this.config}-${section_id}`, 'data-section-id': section_id,
			class: `cbi-section-node${this.tabs ? ' cbi-section-node-tabbed' : ''}`
		}, await this.renderOptions(section_id));
	},

	renderSectionAdd() {
		if (!this.addremove)
			return E([]);
		const title = this.titleFn('addbtntitle') ?? _('Add');
		const readonly = this.map.readonly || null;
		if (this.anonymous)
			return E('div', { class: 'cbi-section-create' }, [
				E('button', { class: 'cbi-button cbi-button-add', disabled: readonly, click: ui.createHandlerFn(this, (event) => this.handleAdd(event)) }, [ title ])
			]);
		const field = E('input', { type: 'text', class: 'cbi-section-create-name', disabled: readonly });
		const button = E('button', { class: 'cbi-button cbi-button-add', disabled: true, click: ui.createHandlerFn(this, (event) => this.handleAdd(event, field.value)) }, [ title ]);
		ui.addValidator(field, 'uciname', true, (value) => (button.disabled = value === '', true), 'blur', 'keyup');
		return E('div', { class: 'cbi-section-create' }, [ E('div', [ field ]), button ]);
	},

	handleAdd(event, name) {
		this.map.data.add(this.map.config, this.sectiontype, name);
		return this.map.save(null, true);
	},

	handleRemove(section_id) {
		this.map.data.remove(this.map.config, section_id);
		return this.map.save(null, true);
	},

	renderSectionPlaceholder: () => E('em', [ _('This section contains no values yet') ])
});

const TypedSection = AbstractSection.extend({
	async render() {
		const parts = this.heads();
		for (const section_id of this.cfgsections()) {
			if (this.addremove)
				parts.push(E('div', { class: 'cbi-section-remove right' }, [
					E('button', { class: 'cbi-button', disabled: this.map.readonly || null, click: ui.createHandlerFn(this, 'handleRemove', section_id) }, [ _('Delete') ])
				]));
			if (!this.anonymous)
				parts.push(E('h3', [ section_id.toUpperCase() ]));
			parts.push(await this.renderNode(section_id));
		}
		return E('div', { id: `cbi-${this.config}-${this.sectiontype}`, class: 'cbi-section' }, [ ...parts, this.renderSectionAdd() ]);
	}
});

const NamedSection = AbstractSection.extend({
	__init__(map, section_id, type, ...words) {
		this.super('__init__', [ map, type, ...words ]);
		this.section = section_id;
	},

	cfgsections() {
		return [ this.section ];
	},

	async render() {
		const parts = this.map.data.get(this.map.config, this.section) ? [ await this.renderNode(this.section) ] : [];
		return E('div', { class: 'cbi-section' }, [ ...this.heads(), ...parts ]);
	}
});

return baseclass.extend({
	Map, JSONMap, TypedSection, NamedSection, AbstractValue: Value, Value, Flag, ListValue, DynamicList
});
