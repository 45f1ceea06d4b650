// What the pages ask of LuCI and of the router, with doubles of LuCI's modules and without a browser.

import { describe, it } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { surroundings } from './stage/doubles.mjs';
import { kind, methods_of } from './stage/plugins.mjs';
import { PACKAGING, PROJECT, Place } from './stage/shell.mjs';

const HOSTILE = '<img src=x onerror=alert(1)>';

const INSTANCES = { instances: { main: { configured: true, enabled: true, running: true, state: 'running', waits_for: [], pid: 7 } } };

const SESSION = {
	id: 5, user: HOSTILE, client: '192.168.1.7:1234', asked: `${HOSTILE}:80`, reached: '192.0.2.1:80', age: 70,
	protocol: 'socks5', phase: 'tunnel', idle: 1, up: 2048, down: 4096
};

const STATE = {
	version: '1.0.0', uptime: 90, limits: { sessions: { used: 1, peak: 2, max: 100 } }, totals: { accepted: 3, up: 1, down: 2 },
	refused: { rule: 4, loopback: 0 }, lost: { full: 1, fragment: 0 }
};

const LIVE = {
	state: STATE, sessions: [ SESSION ], total: 9000, matching: 812, before: 0, more: true, last: [ 5, 5 ], users: [ { user: HOSTILE, sessions: 1, up: 1, down: 2 } ],
	users_total: 1, clients: [ { client: '192.168.1.7', sessions: 1, up: 1, down: 2 } ], clients_total: 1
};

const ACCOUNTS = {
	instances: [ { name: 'main', path: '/etc/anklet.users' }, { name: 'guest' } ],
	files: [ { path: '/etc/anklet.users', instances: [ 'main' ], writable: true, users: [ 'ann', HOSTILE ] } ],
	uci: [ { section: 'cfg0a', kind: 'user', name: 'bob', instances: [] } ]
};

const ANSWERS = {
	'luci.anklet instances': INSTANCES, 'luci.anklet live': LIVE, 'luci.anklet log': { lines: [ `a line ${HOSTILE}` ] },
	'luci.anklet accounts': ACCOUNTS, 'luci.anklet set_user': { ok: true }, 'luci.anklet remove_user': { ok: true },
	'luci.anklet move_user': { ok: true }, 'luci.anklet control': { ok: true }, 'luci.anklet check': { ok: true, lines: [ 'main:' ], wrong: [] },
	'luci.anklet check_edited': { ok: true, lines: [ 'main:', 'warning: think' ], wrong: [] },
	'luci.anklet config': { sections: [ { '.name': 'main', '.type': 'anklet', port: '1080' } ] },
	'anklet status': { main: STATE },
	'luci-rpc getHostHints': { '02:00:00:00:00:07': { ipaddrs: [ '192.168.1.7' ], name: HOSTILE } }
};

async function show(name, rights, answers = {}) {
	const around = surroundings({ ...ANSWERS, ...answers }, rights);
	const page = around.load(`view.${name}`);
	const node = await page.render(await page.load());
	around.document.body.append(node);
	return { ...around, page, node, calls: (call) => around.record.calls.filter((one) => one.call == call).map((one) => one.args) };
}

// Texts that were given as markup, in the page or in a dialog.
function markup(node) {
	return [ ...node.markup ? [ node.markup ] : [], ...node.childNodes?.flatMap(markup) ?? [] ];
}

const NOTHING = new Place('/nonexistent');

describe('rights', () => {
	const acl = JSON.parse(readFileSync(join(PACKAGING, 'luci-app-anklet/root/usr/share/rpcd/acl.d/luci-app-anklet.json')))['luci-app-anklet'];
	const methods = methods_of('luci.anklet', NOTHING, {});

	it('each method of the plugin is for readers or for writers, and those that change something for writers', () => {
		const readers = acl.read.ubus['luci.anklet'], writers = acl.write.ubus['luci.anklet'];
		assert.deepEqual([ ...readers, ...writers ].sort(), Object.keys(methods).sort());
		for (const name of [ 'check_edited', 'control', 'move_user', 'remove_user', 'set_user' ])
			assert.ok(writers.includes(name) && !readers.includes(name), name);
	});

	it('a reader may not read the configuration with its passwords', () => {
		assert.equal(acl.read.uci, undefined);
		assert.ok(acl.write.uci.anklet.includes('read') && acl.write.uci.anklet.includes('write'));
	});

	it('the pages call nothing that the plugin has not, with nothing that it does not take', async () => {
		const around = surroundings(ANSWERS);
		around.load('anklet.calls');
		for (const { object, method, params } of around.record.declared.filter((one) => one.object == 'luci.anklet')) {
			assert.ok(methods[method], method);
			for (const name of params)
				assert.ok(name in (methods[method].args ?? {}), `${object} ${method} takes no ${name}`);
		}
		const called = around.record.declared.map(({ method, object }) => object == 'luci.anklet' && method).filter(Boolean);
		assert.deepEqual([ ...new Set(called) ].sort(), Object.keys(methods).sort());
	});

	// What rpcd would refuse.
	async function assert_types(calls) {
		for (const { call, args } of calls.filter((one) => one.call.startsWith('luci.anklet ')))
			for (const [ name, value ] of Object.entries(args))
				assert.equal(kind(value), kind(methods[call.split(' ')[1]].args[name]), `${call} ${name}`);
	}

	it('each value has the type that the plugin takes', async () => {
		const live = await show('anklet.status');
		await live.record.polls[0].call();
		await live.node.querySelector('#anklet-next').click();
		const users = await show('anklet.users');
		await users.node.querySelector('[data-action="remove"]').click();
		await users.record.modals[0].querySelector('#anklet-save').click();
		await assert_types([ ...live.record.calls, ...users.record.calls ]);
	});
});

describe('the settings', () => {
	const init = readFileSync(join(PACKAGING, 'anklet/files/anklet.init'), 'utf8');
	const words = (name) => [ ...init.matchAll(new RegExp(`^${name}="(?:\\$${name} )?([a-z_0-9 ]+)"$`, 'gm')) ].flatMap((found) => found[1].split(' '));
	const of_init = [ ...words('FLAGS'), ...words('VALUES'), ...words('LISTS'), ...words('OTHERS') ];
	const arguments_of_program = [ ...readFileSync(join(PROJECT, 'cross/man/anklet.bash'), 'utf8').matchAll(/^\t(--[a-z0-9-]+)$/gm) ].map((found) => found[1]);

	// Those of the users' page, which a form would give away.
	const ELSEWHERE = [ 'user', 'password' ];

	// Not arguments of the program.
	const OF_THE_SCRIPT = [ 'enabled', 'nofile', 'open' ];

	// Given by the script itself, or for a command line alone.
	const NOT_CONFIGURED = [ '--user', '--password', '--check', '--help', '--version', '--retry-listen', '--syslog' ];

	it('have each option of the init script once, and no other', async () => {
		const { record } = await show('anklet.settings');
		const of_page = record.options.map((option) => option.option);
		assert.deepEqual([ ...of_page, ...ELSEWHERE ].sort(), [ ...of_init ].sort());
	});

	it('and the init script has each argument of the program, and no other', () => {
		const named = of_init.filter((option) => !OF_THE_SCRIPT.includes(option) && !ELSEWHERE.includes(option))
			.map((option) => ({ listenip: '--listen', bindaddr: '--bind' })[option] ?? `--${option.replaceAll('_', '-')}`);
		assert.deepEqual([ ...named, ...NOT_CONFIGURED ].sort(), [ ...arguments_of_program ].sort());
	});

	it('have a flag for a flag, and a list for a list', async () => {
		const { record } = await show('anklet.settings');
		const kind_of = Object.fromEntries(record.options.map((option) => [ option.option, option.kind ]));
		for (const flag of words('FLAGS'))
			assert.equal(kind_of[flag], 'flag', flag);
		for (const list of words('LISTS'))
			assert.ok([ 'networks', 'dynamic' ].includes(kind_of[list]), list);
		assert.equal(kind_of.open, 'zones');
	});

	it('take the names that networks and devices have', async () => {
		const { record } = await show('anklet.settings');
		const is_taken = (option, value) => record.options.find((one) => one.option == option).validate('main', value) === true;
		for (const name of [ 'lan', 'eth0.2', 'br-lan', 'pppoe-wan', 'guests_of_the_house' ])
			for (const option of [ 'listenip', 'clients', 'permit', 'bindaddr' ])
				assert.ok(is_taken(option, name), `${option} ${name}`);
		assert.ok(is_taken('listenip', 'guests_of_the_house:1081'));
		for (const name of [ 'a-name-too-long-for-a-device', 'eth0/1', '$(id)', 'it\'s' ])
			assert.ok(!is_taken('listenip', name), name);
	});

	it('have descriptors that the init script takes', async () => {
		const { record } = await show('anklet.settings');
		const [ , least ] = /^NOFILE_MIN=([0-9]+)$/m.exec(init);
		const { datatype } = record.options.find((option) => option.option == 'nofile');
		assert.ok(datatype.includes(`range(${least},`), datatype);
	});

	it('are UCI\'s for who may write, and the plugin\'s without passwords for a reader', async () => {
		const writer = await show('anklet.settings');
		assert.equal(writer.record.maps[0].config, 'anklet');
		assert.deepEqual(writer.calls('luci.anklet config'), []);
		const reader = await show('anklet.settings', { may_write: false });
		assert.ok(reader.record.maps[0].is_json && reader.record.maps[0].readonly);
		assert.equal(reader.calls('luci.anklet config').length, 1);
		assert.deepEqual([ reader.page.handleSave, reader.page.handleSaveApply, reader.page.handleReset ], [ null, null, null ]);
		assert.deepEqual(reader.record.loaded, []);
	});
});

describe('the live page', () => {
	it('asks every five seconds for one page of the sessions', async () => {
		const { record, calls } = await show('anklet.status');
		assert.equal(record.polls.length, 1);
		assert.equal(record.polls[0].interval, 5);
		await record.polls[0].call();
		const [ asked ] = calls('luci.anklet live');
		assert.deepEqual([ asked.instance, asked.sort, asked.reverse, asked.filter, asked.protocol, asked.after ], [ 'main', 'age', false, '', '', [] ]);
		assert.ok(asked.limit <= 200);
	});

	it('asks for what is clicked, chosen and typed', async () => {
		const { node, record, calls } = await show('anklet.status');
		await record.polls[0].call();
		await node.querySelector('th[data-sort="down"]').click();
		assert.deepEqual([ calls('luci.anklet live').at(-1).sort, calls('luci.anklet live').at(-1).reverse ], [ 'down', true ]);
		const filter = node.querySelector('#anklet-filter');
		filter.value = 'IMG';
		await filter.fire('input');
		await settled();
		assert.equal(calls('luci.anklet live').at(-1).filter, 'IMG');
		assert.deepEqual(calls('luci.anklet live').at(-1).addresses, [ '192.168.1.7' ], 'the host has it in its name');
		const protocol = node.querySelector('#anklet-protocol');
		protocol.value = 'http';
		await protocol.fire('change');
		await settled();
		assert.equal(calls('luci.anklet live').at(-1).protocol, 'http');
	});

	it('goes on behind the last row, and back', async () => {
		const { node, record, calls } = await show('anklet.status');
		await record.polls[0].call();
		await node.querySelector('#anklet-next').click();
		assert.deepEqual(calls('luci.anklet live').at(-1).after, [ 5, 5 ]);
		await node.querySelector('#anklet-previous').click();
		assert.deepEqual(calls('luci.anklet live').at(-1).after, []);
	});

	it('shows names with markup as text', async () => {
		const { node, record } = await show('anklet.status');
		await record.polls[0].call();
		assert.ok(node.querySelector('#anklet-sessions').textContent.includes(HOSTILE));
		assert.ok(node.querySelector('#anklet-log').textContent.includes(HOSTILE));
		assert.ok(!markup(node).some((text) => text.includes('<img')), String(markup(node)));
	});

	it('says what is refused in words, and nothing of causes that have none', async () => {
		const { node, record } = await show('anklet.status');
		await record.polls[0].call();
		assert.deepEqual(node.querySelectorAll('#anklet-refused tr[data-cause]').map((row) => row.dataset.cause), [ 'rule' ]);
		assert.deepEqual(node.querySelectorAll('#anklet-lost tr[data-cause]').map((row) => row.dataset.cause), [ 'full' ]);
	});

	it('has no button for a reader', async () => {
		const { node } = await show('anklet.status', { may_write: false });
		assert.equal(node.querySelectorAll('[data-action]').length, 0);
	});

	it('goes on where the router does not answer', async () => {
		const { record, node } = await show('anklet.status', {}, { 'luci.anklet live': () => { throw new Error('timeout'); } });
		await record.polls[0].call();
		assert.equal(node.querySelectorAll('#anklet-sessions tr[data-id]').length, 0);
	});
});

describe('the users', () => {
	const save = async (around) => around.record.modals[0].querySelector('#anklet-save').click();

	it('sends a new one to the plugin, and to nobody else', async () => {
		const around = await show('anklet.users');
		await around.node.querySelector('#anklet-add').click();
		around.document.body.append(around.record.modals[0]);
		around.record.modals[0].querySelector('#anklet-name').value = 'carol';
		around.record.modals[0].querySelector('#anklet-password').value = 'secret';
		await save(around);
		assert.deepEqual(around.calls('luci.anklet set_user'), [ { instance: 'main', name: 'carol', password: 'secret', create: true } ]);
		assert.equal(around.record.calls.filter((one) => JSON.stringify(one).includes('secret')).length, 1);
	});

	it('refuses by itself what the program would refuse', async () => {
		const around = await show('anklet.users');
		await around.node.querySelector('#anklet-add').click();
		around.record.modals[0].querySelector('#anklet-name').value = 'ä'.repeat(128);
		around.record.modals[0].querySelector('#anklet-password').value = 'x';
		await save(around);
		assert.deepEqual(around.calls('luci.anklet set_user'), []);
		assert.match(around.record.modals[0].querySelector('.alert-message').textContent, /255/);
	});

	it('removes the last one only when asked twice', async () => {
		const around = await show('anklet.users', {}, {
			'luci.anklet remove_user': ({ last }) => last ? { ok: true } : { error: 'it is the last user', last: true, opens: [ 'main' ] }
		});
		await around.node.querySelector('[data-action="remove"]').click();
		await save(around);
		assert.equal(around.record.modals.length, 1);
		await save(around);
		assert.deepEqual(around.calls('luci.anklet remove_user').map((one) => one.last), [ false, true ]);
		assert.equal(around.record.modals.length, 0);
	});

	it('shows names with markup as text', async () => {
		const around = await show('anklet.users');
		assert.ok(around.node.textContent.includes(HOSTILE));
		await around.node.querySelectorAll('[data-action="password"]')[1].click();
		assert.ok(around.record.modals[0].textContent.includes(HOSTILE));
		assert.ok(![ ...markup(around.node), ...markup(around.record.modals[0]) ].some((text) => text.includes('<img')));
	});

	it('has no button for a reader', async () => {
		const { node } = await show('anklet.users', { may_write: false });
		assert.equal(node.querySelectorAll('button').length, 0);
	});
});

describe('the box on the status page', () => {
	it('has a row for each instance that is enabled, and is not there without one', async () => {
		const around = surroundings(ANSWERS);
		const box = around.load('view.status.include.70_anklet');
		const node = box.render(await box.load());
		assert.match(node.querySelector('tr[data-instance="main"]').textContent, /main.*1/);
		const empty = surroundings({ ...ANSWERS, 'luci.anklet instances': { instances: { main: { state: 'disabled' } } } });
		const no_box = empty.load('view.status.include.70_anklet');
		assert.equal(no_box.render(await no_box.load()), null);
	});
});

// What was started, is done.
const settled = () => new Promise((resolve) => setTimeout(resolve, 20));

it('the template of translations has each text of the pages', () => {
	const template = readFileSync(join(PACKAGING, 'luci-app-anklet/po/templates/anklet.pot'), 'utf8');
	// Where each stands may be a few lines off.
	const texts = (said) => said.replace(/^#: .*\n/gm, '');
	assert.equal(texts(execFileSync(join(PACKAGING, 'pot'), { encoding: 'utf8' })), texts(template));
});
