// Double of LuCI's ui.js: the widgets of forms, notices and the dialog.
'use strict';
'require baseclass';
'require dom';
'require uci';
'require validation';

const Element = baseclass.extend({
	__init__(value, options) {
		this.value = value;
		this.options = { optional: true, ...options };
	},

	// What every widget does once it is on the page: `field` has the value.
	bind(node, field, ...events) {
		this.node = node;
		this.field = field;
		dom.bindClassInstance(node, this);
		for (const event of [ ...events, 'blur', 'keyup' ])
			field.addEventListener(event, () => this.triggerValidation());
		for (const event of events)
			field.addEventListener(event, () => {
				node.setAttribute('data-changed', 'true');
				node.dispatchEvent(new CustomEvent('widget-change', { bubbles: true }));
			});
		return node;
	},

	getValue() {
		return this.field.value;
	},

	setValue(value) {
		this.field.value = value;
	},

	isChanged() {
		return this.node.getAttribute('data-changed') == 'true';
	},

	triggerValidation() {
		const { datatype, optional, validate } = this.options;
		const before = this.wrong;
		this.wrong = datatype || validate ? validation.apply(this.field, datatype, optional, validate) : null;
		return this.wrong != before;
	},

	isValid() {
		return this.wrong == null;
	},

	getValidationError() {
		return this.wrong ?? '';
	}
});

const Textfield = Element.extend({
	render() {
		const { id, password, placeholder, disabled, readonly, maxlength, name } = this.options;
		const field = E('input', {
			id: id ? `widget.${id}` : null, name, type: password ? 'password' : 'text', maxlength,
			class: password ? 'cbi-input-password' : 'cbi-input-text', value: this.value, placeholder,
			disabled: disabled ? '' : null, readonly: readonly ? '' : null
		});
		return this.bind(E('div', { id }, [ field ]), field, 'change');
	}
});

const Textarea = Element.extend({
	render() {
		const { id, rows, placeholder, disabled, readonly } = this.options;
		const field = E('textarea', { id: id ? `widget.${id}` : null, rows, placeholder, disabled: disabled ? '' : null, readonly: readonly ? '' : null }, [ this.value ?? '' ]);
		return this.bind(E('div', { id }, [ field ]), field, 'change');
	}
});

const Checkbox = Element.extend({
	render() {
		const { id, value_enabled = '1', disabled } = this.options;
		const field = E('input', {
			type: 'checkbox', 'data-widget-id': id ? `widget.${id}` : null, value: value_enabled,
			checked: this.value == value_enabled ? '' : null, disabled: disabled ? '' : null
		});
		return this.bind(E('div', { id, class: 'cbi-checkbox' }, [ field ]), field, 'change');
	},

	isChecked() {
		return this.field.checked;
	},

	getValue() {
		return this.field.checked ? this.options.value_enabled ?? '1' : this.options.value_disabled ?? '0';
	},

	setValue(value) {
		this.field.checked = value == (this.options.value_enabled ?? '1');
	}
});

const Select = Element.extend({
	__init__(value, choices, options) {
		this.super('__init__', [ value, options ]);
		this.choices = choices ?? {};
		if ('' in this.choices)
			this.options.optional = true;
	},

	render() {
		const { id, optional, sort, disabled, placeholder } = this.options;
		const keys = Array.isArray(sort) ? sort : Object.keys(this.choices);
		const option = (key, label) => E('option', { value: key, selected: (this.value ?? '') == key ? '' : null }, [ label ]);
		const field = E('select', { id: id ? `widget.${id}` : null, class: 'cbi-input-select', disabled: disabled ? '' : null }, [
			optional ? option('', this.choices[''] ?? placeholder ?? _('-- Please choose --')) : null,
			...keys.filter((key) => key !== '').map((key) => option(key, this.choices[key] ?? key))
		]);
		return this.bind(E('div', { id }, [ field ]), field, 'change');
	}
});

// One or several of a list, and where `create` is, what is typed into its field.
const Dropdown = Element.extend({
	__init__(value, choices, options) {
		this.super('__init__', [ value, { multiple: Array.isArray(value), sort: true, ...options } ]);
		this.values = L.toArray(value);
		this.choices = choices ?? {};
	},

	render() {
		const { id, multiple, optional, disabled, create, sort, select_placeholder, custom_placeholder, placeholder } = this.options;
		const known = Array.isArray(sort) ? sort : Object.keys(this.choices);
		const others = this.values.filter((value) => !known.includes(value));
		const list = E('ul', [ ...known, ...others ].map((key) => this.item(key)));
		if (create) {
			const input = E('input', { type: 'text', class: 'create-item-input', placeholder: custom_placeholder ?? placeholder ?? _('-- custom --') });
			input.addEventListener('keydown', (event) => event.key == 'Enter' && this.take(event, input));
			list.appendChild(E('li', { 'data-value': '-' }, [ input ]));
		}
		const node = E('div', {
			id, class: 'cbi-dropdown', tabindex: -1, multiple: multiple ? '' : null, optional: optional ? '' : null, disabled: disabled ? '' : null
		}, [ list, E('span', { class: 'empty' }, [ select_placeholder ?? _('-- Please choose --') ]), E('span', { class: 'open' }, [ '▾' ]) ]);
		node.addEventListener('click', (event) => this.click(event));
		// What is chosen is the value that is judged.
		Object.defineProperty(node, 'value', { get: () => [ this.getValue() ].flat().filter(Boolean).join(' ') });
		this.bind(node, node, 'cbi-dropdown-change');
		this.show();
		return node;
	},

	item(key) {
		const label = this.choices[key] ?? key;
		return E('li', { 'data-value': key, selected: this.values.includes(key) ? '' : null }, [ dom.elem(label) ? label.cloneNode(true) : label ]);
	},

	take(event, input) {
		event.preventDefault();
		if (input.value && validation.apply(input, this.options.datatype?.replace(/^list\((.*)\)$/, '$1'), true, this.options.validate) == null) {
			this.add(input.value);
			input.value = '';
		}
	},

	add(value) {
		if (!this.find(value))
			this.node.firstChild.insertBefore(this.item(value), this.node.querySelector('li[data-value="-"]'));
		this.choose(this.find(value), true);
	},

	find(value) {
		return [ ...this.node.querySelectorAll('li') ].find((item) => item.dataset.value == value);
	},

	click(event) {
		if (this.node.hasAttribute('disabled') || event.target.matches('.create-item-input'))
			return;
		const item = event.target.closest('li');
		if (!this.node.hasAttribute('open'))
			this.node.setAttribute('open', '');
		else if (!item)
			this.node.removeAttribute('open');
		else if (item.dataset.value != '-')
			this.choose(item, this.options.multiple ? !item.hasAttribute('selected') : true);
	},

	choose(item, is_chosen) {
		if (!this.options.multiple) {
			for (const other of this.node.querySelectorAll('li[selected]'))
				other.removeAttribute('selected');
			this.node.removeAttribute('open');
		}
		item.toggleAttribute('selected', is_chosen);
		this.show();
		this.node.dispatchEvent(new CustomEvent('cbi-dropdown-change', { bubbles: true, detail: { instance: this, element: this.node, value: { value: item.dataset.value, text: item.textContent, element: item } } }));
	},

	show() {
		this.node.toggleAttribute('empty', !this.chosen().length);
	},

	chosen() {
		return [ ...this.node.querySelectorAll('li[selected]') ].map((item) => item.dataset.value);
	},

	getValue() {
		return this.options.multiple ? this.chosen() : this.chosen()[0] ?? '';
	},

	setValue(values) {
		for (const item of this.node.querySelectorAll('li'))
			item.toggleAttribute('selected', false);
		for (const value of L.toArray(values))
			this.add(value);
		this.show();
	}
});

const Combobox = Dropdown.extend({
	__init__(value, choices, options) {
		this.super('__init__', [ value, choices, { multiple: false, ...options, create: true } ]);
	}
});

const DynamicList = Element.extend({
	__init__(values, choices, options) {
		this.super('__init__', [ L.toArray(values), options ]);
		this.choices = choices;
	},

	render() {
		const { id, placeholder, disabled, datatype, validate } = this.options;
		const input = E('input', { id: id ? `widget.${id}` : null, type: 'text', class: 'cbi-input-text', placeholder, disabled: disabled ? '' : null });
		const add = () => {
			if (input.value && validation.apply(input, datatype, true, validate) == null) {
				this.add(input.value);
				input.value = '';
				this.changed();
			}
		};
		input.addEventListener('blur', () => validation.apply(input, datatype, true, validate));
		input.addEventListener('keydown', (event) => event.key == 'Enter' && (event.preventDefault(), add()));
		const node = E('div', { id, class: 'cbi-dynlist', disabled: disabled ? '' : null }, [
			E('div', { class: 'add-item control-group' }, [ input, E('div', { class: 'btn cbi-button cbi-button-add', click: () => disabled || add() }, [ '+' ]) ])
		]);
		this.node = node;
		this.input = input;
		dom.bindClassInstance(node, this);
		for (const value of this.value)
			this.add(value);
		return node;
	},

	add(value) {
		if (this.getValue().includes(value))
			return;
		const item = E('div', { class: 'item', tabindex: 0 }, [ E('span', [ this.choices?.[value] ?? value ]), E('input', { type: 'hidden', value }) ]);
		item.addEventListener('keydown', (event) => event.key == 'Delete' && !this.options.disabled && (item.remove(), this.changed()));
		item.addEventListener('click', () => !this.options.disabled && (item.remove(), this.changed()));
		this.node.insertBefore(item, this.node.querySelector('.add-item'));
	},

	changed() {
		this.node.setAttribute('data-changed', 'true');
		this.node.dispatchEvent(new CustomEvent('widget-change', { bubbles: true }));
	},

	getValue() {
		const values = [ ...this.node.querySelectorAll('.item > input') ].map((field) => field.value);
		const rest = this.input.value;
		return rest && !this.input.classList.contains('cbi-input-invalid') && !values.includes(rest) ? [ ...values, rest ] : values;
	},

	setValue(values) {
		for (const item of this.node.querySelectorAll('.item'))
			item.remove();
		for (const value of L.toArray(values))
			this.add(value);
	},

	// Its field alone is judged; what is in the list was.
	triggerValidation() {
		const before = this.wrong;
		this.wrong = this.input.value ? validation.apply(this.input, this.options.datatype, true, this.options.validate) : null;
		return this.wrong != before;
	}
});

const Hiddenfield = Element.extend({
	render() {
		const field = E('input', { id: this.options.id, type: 'hidden', value: this.value });
		return this.bind(field, field);
	}
});

return baseclass.extend({
	AbstractElement: Element,
	Textfield, Textarea, Checkbox, Select, Dropdown, Combobox, DynamicList, Hiddenfield,

	showModal(title, children, ...classes) {
		const modal = E('div', { class: [ 'modal', 'cbi-modal', ...classes ].join(' '), role: 'dialog', 'aria-modal': true }, [ ...title != null ? [ E('h4', [ title ]) ] : [] ]);
		dom.append(modal, children);
		this.hideModal();
		document.body.appendChild(E('div', { id: 'modal_overlay' }, [ modal ]));
		document.body.classList.add('modal-overlay-active');
		return modal;
	},

	hideModal() {
		document.getElementById('modal_overlay')?.remove();
		document.body.classList.remove('modal-overlay-active');
	},

	addNotification(title, children, ...classes) {
		const note = E('div', { class: [ 'alert-message', 'fade-in', ...classes ].join(' ') }, [
			E('div', [ ...title != null ? [ E('h4', [ title ]) ] : [] ]),
			E('div', [ E('button', { class: 'btn', click: () => note.remove() }, [ _('Dismiss') ]) ])
		]);
		dom.append(note.firstChild, children);
		document.getElementById('maincontent').prepend(note);
		return note;
	},

	addTimeLimitedNotification(title, children, timeout, ...classes) {
		const note = this.addNotification(title, children, ...classes);
		setTimeout(() => note.remove(), timeout);
		return note;
	},

	createHandlerFn(context, method, ...words) {
		const call = typeof method == 'string' ? context[method] : method;
		if (typeof call != 'function')
			return null;
		return (event) => {
			const button = event.currentTarget;
			const was_disabled = button.disabled;
			button.classList.add('spinning');
			button.disabled = true;
			return Promise.resolve(call.call(context, ...words, event)).finally(() => {
				button.classList.remove('spinning');
				button.disabled = was_disabled;
			});
		};
	},

	addValidator(field, type, is_optional, check, ...events) {
		const judge = () => validation.apply(field, type, is_optional, check) == null;
		for (const event of events)
			field.addEventListener(event, judge);
		return judge;
	},

	showIndicator() {},
	hideIndicator() {},

	instantiateView(path) {
		return L.require(`view.${path.replaceAll('/', '.')}`);
	},

	itemlist(node, items, separators = [ E('br') ]) {
		for (let at = 0; at < items.length; at += 2)
			if (items[at + 1] != null && items[at + 1] !== '')
				dom.append(node, [ node.firstChild ? separators[0].cloneNode(true) : '', E('strong', [ `${items[at]}: ` ]), items[at + 1] ]);
		return node;
	},

	changes: {
		apply: () => uci.apply().then(() => {
			document.dispatchEvent(new CustomEvent('uci-applied'));
			document.body.setAttribute('data-applied', 'true');
		}),
		init() {}
	},

	tabs: {
		initTabGroup(panes) {
			const tabs = [ ...panes ].filter((pane) => pane.nodeType == 1 && pane.hasAttribute('data-tab'));
			if (!tabs.length || tabs[0].parentNode.previousSibling?.matches?.('.cbi-tabmenu'))
				return;
			const show = (name) => {
				for (const pane of tabs)
					pane.setAttribute('data-tab-active', pane.dataset.tab == name);
				for (const item of menu.children)
					item.className = item.dataset.tab == name ? 'cbi-tab' : 'cbi-tab-disabled';
			};
			const menu = E('ul', { class: 'cbi-tabmenu' }, tabs.map((pane) => E('li', { 'data-tab': pane.dataset.tab }, [
				E('a', { href: '#', click: (event) => (event.preventDefault(), show(pane.dataset.tab)) }, [ pane.dataset.tabTitle ])
			])));
			tabs[0].parentNode.before(menu);
			show(tabs.find((pane) => pane.dataset.tabActive == 'true')?.dataset.tab ?? tabs[0].dataset.tab);
		},

		updateTabs() {}
	}
});
