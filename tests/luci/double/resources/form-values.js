// Double of LuCI's form.js: its options, which form.js gives out with the rest.
'use strict';
'require ui';
'require dom';
'require baseclass';

const strip = (text) => text == null || dom.elem(text) ? text?.textContent ?? '' : String(text).replace(/<[^>]*>/g, '');

const is_equal = (a, b) => JSON.stringify(a ?? null) == JSON.stringify(b ?? null);

const Node = baseclass.extend({
	__init__(title, description) {
		Object.assign(this, { title: title ?? '', description: description ?? '' });
	},

	stripTags: strip
});

const Value = Node.extend({
	__init__(map, section, option, ...words) {
		this.super('__init__', words);
		Object.assign(this, { map, section, option, config: map.config, deps: [], rmempty: true, optional: false, retain: false, default: null });
	},

	depends(field, value) {
		this.deps.push(typeof field == 'string' ? { [field]: value } : field);
	},

	value(key, label) {
		(this.keylist ??= []).push(String(key));
		(this.vallist ??= []).push(dom.elem(label) ? label : String(label ?? key));
	},

	choices() {
		return this.keylist ? Object.fromEntries(this.keylist.map((key, at) => [ key, this.vallist[at] ])) : null;
	},

	transformChoices() {
		return this.choices();
	},

	cbid(section_id) {
		return `cbid.${this.config}.${section_id}.${this.option}`;
	},

	load(section_id) {
		return this.map.data.get(this.map.config, section_id, this.ucioption ?? this.option);
	},

	cfgvalue(section_id, ...value) {
		if (value.length)
			(this.data ??= {})[section_id] = value[0];
		return this.data?.[section_id];
	},

	getUIElement(section_id) {
		const node = this.map.findElement('id', this.cbid(section_id));
		return node ? dom.findClassInstance(node) : null;
	},

	formvalue(section_id) {
		return this.getUIElement(section_id)?.getValue() ?? null;
	},

	validate: () => true,

	getValidator(section_id) {
		return (value) => this.validate(section_id, value);
	},

	options(section_id, more) {
		return {
			id: this.cbid(section_id), optional: this.optional || this.rmempty, datatype: this.datatype, placeholder: this.placeholder,
			password: this.password, validate: this.getValidator(section_id), disabled: this.readonly ?? this.map.readonly, sort: this.keylist, ...more
		};
	},

	isValid(section_id) {
		return this.getUIElement(section_id)?.isValid() ?? true;
	},

	getValidationError(section_id) {
		return this.getUIElement(section_id)?.getValidationError() ?? '';
	},

	triggerValidation(section_id) {
		return this.getUIElement(section_id)?.triggerValidation();
	},

	isActive(section_id) {
		const field = this.map.findElement('data-field', this.cbid(section_id));
		return field != null && !field.classList.contains('hidden');
	},

	setActive(section_id, is_active) {
		const field = this.map.findElement('data-field', this.cbid(section_id));
		if (!field || field.classList.contains('hidden') != is_active)
			return false;
		field.classList.toggle('hidden', !is_active);
		return true;
	},

	async renderField(section_id) {
		return this.renderWidget(section_id, 0, await this.cfgvalue(section_id));
	},

	async render(section_id) {
		const node = E('div', {
			class: `cbi-value${this.deps.length ? ' hidden' : ''}`, id: `cbi-${this.config}-${section_id}-${this.option}`,
			'data-field': this.cbid(section_id), 'data-name': this.option
		}, [
			E('label', { class: 'cbi-value-title', for: `widget.${this.cbid(section_id)}` }, this.title),
			E('div', { class: 'cbi-value-field' }, [
				await this.renderField(section_id),
				...this.description ? [ E('div', { class: 'cbi-value-description' }, this.description) ] : []
			])
		]);
		node.addEventListener('widget-change', () => this.map.checkDepends());
		node.addEventListener('widget-change', (event) => this.onchange?.(event, section_id, this.formvalue(section_id)));
		dom.bindClassInstance(node, this);
		return node;
	},

	renderWidget(section_id, at, value) {
		const choices = this.choices();
		const said = L.toArray(value ?? this.default).join(' ');
		return choices ? new ui.Combobox(said, choices, this.options(section_id, { select_placeholder: this.placeholder })).render()
			: new ui.Textfield(said, this.options(section_id)).render();
	},

	async parse(section_id) {
		if (!this.isActive(section_id))
			return this.retain ? undefined : this.remove(section_id);
		const title = strip(this.title).trim() || this.option;
		if (!this.isValid(section_id))
			throw new TypeError(`${_('Option "%s" contains an invalid input value.').format(title)} ${this.getValidationError(section_id)}`);
		const value = this.formvalue(section_id);
		if (value == null || value == '') {
			if (!this.rmempty && !this.optional)
				throw new TypeError(_('Option "%s" must not be empty.').format(title));
			return this.remove(section_id);
		}
		if (this.forcewrite || !is_equal(this.cfgvalue(section_id), value))
			return this.write(section_id, value);
	},

	write(section_id, value) {
		return this.map.data.set(this.map.config, section_id, this.ucioption ?? this.option, value);
	},

	remove(section_id) {
		return this.map.data.unset(this.map.config, section_id, this.ucioption ?? this.option);
	}
});

const Flag = Value.extend({
	__init__(...words) {
		this.super('__init__', words);
		Object.assign(this, { enabled: '1', disabled: '0', default: '0' });
	},

	renderWidget(section_id, at, value) {
		return new ui.Checkbox(value ?? this.default, this.options(section_id, { value_enabled: this.enabled, value_disabled: this.disabled })).render();
	},

	async parse(section_id) {
		if (!this.isActive(section_id))
			return this.retain ? undefined : this.remove(section_id);
		const value = this.formvalue(section_id);
		return value == this.default && (this.optional || this.rmempty) ? this.remove(section_id) : this.write(section_id, value);
	}
});

const ListValue = Value.extend({
	renderWidget(section_id, at, value) {
		return new ui.Select(value ?? this.default, this.choices(), this.options(section_id, { optional: this.optional })).render();
	}
});

const DynamicListValue = Value.extend({
	renderWidget(section_id, at, value) {
		return new ui.DynamicList(value ?? this.default, this.choices(), this.options(section_id)).render();
	}
});

return baseclass.extend({ Value, Flag, ListValue, DynamicList: DynamicListValue });
