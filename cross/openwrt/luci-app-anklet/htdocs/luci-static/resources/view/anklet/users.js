'use strict';
'require view';
'require dom';
'require ui';
'require anklet.calls as calls';
'require anklet.table as table';

/* global calls, table */

/* Who may log in. Passwords go one way, to the router: no answer has one. */

const CREDENTIAL_BYTES_MAX = 255;

const USERS = [
	{ key: 'name', title: _('User') },
	{ key: 'where', title: _('Kept in') },
	{ key: 'instances', title: _('For') },
	{ key: 'actions', title: '' }
];

function isCredential(text) {
	return text !== '' && new TextEncoder().encode(text).length <= CREDENTIAL_BYTES_MAX;
}

function button(name, title, style, click) {
	return E('button', {
		'class': 'btn cbi-button cbi-button-' + style, 'data-action': name, 'click': click
	}, [ title ]);
}

/* A field of a dialogue with its label. */
function field(title, node) {
	return E('div', { 'class': 'cbi-value' }, [
		E('label', { 'class': 'cbi-value-title', 'for': node.id }, [ title ]),
		E('div', { 'class': 'cbi-value-field' }, [ node ])
	]);
}

function input(id, type, value) {
	return E('input', {
		'id': id, 'type': type, 'class': 'cbi-input-text', 'value': value,
		'autocomplete': type === 'password' ? 'new-password' : 'off', 'spellcheck': 'false', 'autocapitalize': 'off',
		'keydown': (ev) => {
			if (ev.key === 'Enter')
				document.querySelector('#anklet-save')?.click();
		}
	});
}

return view.extend({
	load() {
		return calls.accounts();
	},

	render(accounts) {
		this.mayWrite = L.hasViewPermission();
		this.table = table.create('anklet-accounts', USERS);
		this.notes = E('div', {}, []);
		this.show(accounts);

		return E('div', { 'id': 'anklet-accounts-page' }, [
			E('h2', {}, [ _('SOCKS Proxy') ]),
			E('div', { 'class': 'cbi-map-descr' }, [ _('Who may log in. With users, a password is needed; without, the local networks are served and nobody else.') ]),
			E('div', { 'class': 'cbi-section' }, [
				E('h3', {}, [ _('Users') ]),
				this.notes,
				this.table,
				this.mayWrite ? E('div', { 'class': 'cbi-section-create' }, [
					E('button', {
						'id': 'anklet-add', 'class': 'btn cbi-button cbi-button-add', 'click': () => this.openAdd()
					}, [ _('Add user') ])
				]) : ''
			])
		]);
	},

	show(accounts) {
		this.accounts = accounts;

		const rows = [];
		const notes = [];

		for (const file of accounts.files ?? []) {
			if (file.why)
				notes.push('%s: %s'.format(file.path, file.why));
			else if (!file.writable)
				notes.push(_('%s is kept by hand: this page shows and writes only files /etc/anklet*.').format(file.path));

			for (const name of file.users)
				rows.push(this.fileRow(file, name));
		}

		for (const entry of accounts.uci ?? [])
			rows.push(this.uciRow(entry));

		dom.content(this.notes, notes.map((note) => E('div', { 'class': 'alert-message warning' }, [ note ])));
		table.update(this.table, rows, _('There are no users: the local networks are served without a password.'));
	},

	fileRow(file, name) {
		const instance = file.instances[0];

		return {
			id: 'file %s %s'.format(file.path, name),
			data: { name: name, source: 'file' },
			cells: {
				name: name,
				where: file.path,
				instances: file.instances.join(', '),
				actions: this.actions([
					button('password', _('Password'), 'edit', () => this.openPassword(instance, name)),
					button('remove', _('Remove'), 'remove', () => this.openRemove(name, (last) => calls.removeUser(instance, name, last)))
				])
			}
		};
	},

	uciRow(entry) {
		const move = button('move', _('Move into the file'), 'edit', ui.createHandlerFn(this, () => this.take(calls.moveUser(entry.section))));

		if (entry.why) {
			move.disabled = true;
			move.title = entry.why;
		}

		return {
			id: 'uci %s'.format(entry.section),
			data: { name: entry.name, source: 'uci' },
			cells: {
				name: entry.name,
				where: [ _('set in UCI'), entry.why ? _('Cannot be moved: %s').format(entry.why) : '' ],
				instances: entry.instances.length ? entry.instances.join(', ') : _('all instances'),
				actions: this.actions([
					move,
					button('remove', _('Remove'), 'remove', () => this.openRemove(entry.name, (last) => calls.removeSection(entry.section, last)))
				])
			}
		};
	},

	/* A reader has none. */
	actions(buttons) {
		return this.mayWrite ? E('div', { 'style': 'display:flex; flex-wrap:wrap; gap:.25em' }, buttons) : '';
	},

	/* Shows what came of a change, and all users as they are now. True if it was made. */
	take(change) {
		return change.catch((error) => ({ error: error.message })).then((said) => {
			if (said.error || said.why)
				ui.addNotification(null, E('p', {}, [ said.error ?? said.why ]), said.error ? 'error' : 'warning');

			return calls.accounts().then((accounts) => {
				this.show(accounts);
				return !said.error;
			});
		});
	},

	/* A dialogue. `save` returns what a method said; what is wrong is shown in it. */
	open(title, nodes, action, style, save) {
		const fault = E('div', { 'class': 'alert-message error', 'role': 'alert', 'hidden': '' }, []);

		ui.showModal(title, nodes.concat([
			fault,
			E('div', { 'class': 'button-row' }, [
				E('button', { 'class': 'btn cbi-button', 'click': ui.hideModal }, [ _('Cancel') ]), ' ',
				E('button', {
					'id': 'anklet-save',
					'class': 'btn cbi-button cbi-button-%s important'.format(style),
					'click': ui.createHandlerFn(this, () => {
						return save().catch((error) => ({ error: error.message })).then((said) => {
							if (!said.error) {
								ui.hideModal();
								return this.take(Promise.resolve(said));
							}

							fault.hidden = false;
							dom.content(fault, [ said.error ]);
						});
					})
				}, [ action ])
			])
		]));

		document.querySelector('#anklet-name, #anklet-password')?.focus();
	},

	instanceSelect() {
		return E('select', { 'id': 'anklet-user-instance', 'class': 'cbi-input-select' }, this.accounts.instances.map((instance) => {
			return E('option', { 'value': instance.name }, [ instance.name ]);
		}));
	},

	/* Whether the instance has users already: the first one closes it to those without a password. */
	hasUsers(name) {
		return this.accounts.instances.some((instance) => instance.name === name && instance.path != null) ||
			this.accounts.uci.some((entry) => !entry.instances.length || entry.instances.includes(name));
	},

	openAdd() {
		const name = input('anklet-name', 'text', '');
		const password = input('anklet-password', 'password', '');
		const instance = this.instanceSelect();
		const hint = E('p', {}, [ E('em', {}, [ _('It is the first user of this instance: from then on, all clients need a password.') ]) ]);
		const update = () => { hint.hidden = this.hasUsers(instance.value) };

		instance.addEventListener('change', update);
		update();

		this.open(_('Add user'), [
			field(_('User'), name),
			field(_('Password'), password),
			field(_('Instance'), instance),
			hint
		], _('Add'), 'positive', () => this.save(instance.value, name.value, password.value, true));
	},

	openPassword(instance, name) {
		const password = input('anklet-password', 'password', '');

		this.open(_('Change password'), [
			E('p', {}, [ _('Of the user %s. Sessions that are open go on.').format(name) ]),
			field(_('Password'), password)
		], _('Save'), 'positive', () => this.save(instance, name, password.value, false));
	},

	save(instance, name, password, create) {
		if (!isCredential(name) || !isCredential(password))
			return Promise.resolve({ error: _('A name and a password have 1 to 255 bytes each.') });

		return calls.setUser(instance, name, password, create);
	},

	/* The last user takes a second word: without users, nobody needs a password. */
	openRemove(name, remove) {
		const question = E('p', {}, [ _('Remove the user %s?').format(name) ]);
		let last = false;

		this.open(_('Remove user'), [ question ], _('Remove'), 'negative', () => remove(last).then((said) => {
			if (said.last && !last) {
				last = true;
				return { error: said.opens.length
					? _('It is the last user of %s: without users, the local networks are served without a password. Remove again to do it.').format(said.opens.join(', '))
					: _('It is the last user in its file, which goes with it. Remove again to do it.') };
			}

			return said;
		}));
	},

	handleSaveApply: null,
	handleSave: null,
	handleReset: null
});
