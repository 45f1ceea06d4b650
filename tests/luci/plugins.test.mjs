// The plugins of rpcd by themselves, under node: what the pages do not come to see in other tests.

import { after, beforeEach, describe, it } from 'node:test';
import assert from 'node:assert/strict';
import fs, { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { PACKAGING, find_program, build_place, remove_place } from './stage/shell.mjs';
import { file_of, methods_of } from './stage/plugins.mjs';
import { scope } from './stage/ucode-library.mjs';
import { run } from './stage/ucode.mjs';

const LAN = { interface: 'lan', l3_device: 'br-lan', device: 'br-lan' };
const GUEST = { interface: 'guest', device: 'br-guest', 'ipv4-address': [] };

// A LAN with addresses of a prefix alone, as netifd says it.
const LAN_OF_IPV6 = {
	...LAN, 'ipv4-address': [], 'ipv6-address': [],
	'ipv6-prefix-assignment': [ { address: 'fd00:1::', mask: 60, 'local-address': {} },
		{ address: 'fd00:2::', mask: 60, 'local-address': { address: 'fd00:2::1', mask: 60 } } ]
};
const LAN_OF_IPV4 = { ...LAN, 'ipv4-address': [ { address: '192.168.1.1', mask: 24 } ] };

const HEAD = '{"version":"1","limits":{},\n"users":[\n],\n"sessions":[\n';

describe('the plugins of rpcd', { skip: !find_program('busybox') && 'there is no busybox' }, () => {
	const places = [];
	let place, said;

	beforeEach(() => {
		places.push(place = build_place());
		process.env.IPKG_INSTROOT = place.root;
		said = {};
	});

	after(() => places.forEach(remove_place));

	const module = (name) => run(file_of(name), scope(place, said, file_of));
	const pages = () => methods_of('luci.anklet', place, said);
	const configure = (text) => writeFileSync(place.path('etc/config/anklet'), text);
	const running = (...command) => {
		said['service list'] = { anklet: { instances: { main: { running: true, command: [ '/usr/bin/anklet', ...command ] } } } };
	};

	it('an instance is asked at the first of its listeners that has an address', () => {
		const { place: place_of } = module('anklet');
		const at = (networks, ...listens) => place_of([ '--status', ...listens.flatMap((listen) => [ '--listen', listen ]) ], networks);
		assert.equal(at([ LAN_OF_IPV4 ], 'br-lan'), '192.168.1.1:1080');
		assert.equal(at([ LAN_OF_IPV6 ], 'br-lan:1081'), '[fd00:2::1]:1081');
		assert.equal(at([ LAN_OF_IPV6, LAN_OF_IPV4 ], 'br-lan'), '192.168.1.1:1080');
		assert.equal(at([ GUEST, LAN_OF_IPV4 ], 'br-guest:1082', 'br-lan:1081'), '192.168.1.1:1081');
		assert.equal(at([ GUEST ], 'br-guest'), null);
		assert.equal(at([ GUEST ]), '127.0.0.1:1080');
	});

	it('an address in a delegated prefix is one', () => {
		configure("config anklet 'main'\n\toption enabled '1'\n");
		running('--status', '--listen', 'br-lan');
		const state = (...networks) => {
			said['network.interface dump'] = { interface: networks };
			return pages().instances.call().instances.main.state;
		};
		assert.equal(state(LAN_OF_IPV6), 'running');
		assert.equal(state({ ...LAN, 'ipv4-address': [] }), 'waiting');
	});

	it('a check that says much is read to its end', () => {
		const names = Array.from({ length: 20 }, (_, number) => `i${number}`);
		configure(names.map((name) => `config anklet '${name}'\n\toption enabled '1'\n`).join('\n'));
		place.script('usr/bin/anklet', `echo '${'x'.repeat(8000)}'`);
		const { ok, wrong } = pages().check.call();
		assert.deepEqual({ ok, wrong }, { ok: true, wrong: [] });
	});

	it('another program that listens there has no report, whatever it says', () => {
		running('--status', '--listen', '127.0.0.1:1081');
		const session = { id: '1.1', user: null, client: '127.0.0.1:7', asked: null, up: 1, down: 1, age: 1, idle: 1, phase: 'tunnel' };
		const says = (text) => {
			writeFileSync(place.path('tmp/said'), text);
			place.script('usr/bin/uclient-fetch', `exec cat '${place.path('tmp/said')}'`);
			const live = pages().live.call({ args: { instance: 'main' } });
			return live.error ?? live.sessions.length;
		};
		const none = 'it does not answer';
		assert.equal(says(`${HEAD}${JSON.stringify(session)}\n]}\n`), 1);
		assert.equal(says(`${HEAD}${JSON.stringify({ ...session, asked: 'x'.repeat(1 << 20) })}\n]}\n`), none);
		assert.equal(says(`${'{\n'.repeat(1 << 16)}${HEAD}]}\n`), none);
		assert.equal(says('<html>\n]}\n'), none);
		assert.equal(says(`${HEAD}null\n]}\n`), none);
		assert.equal(says(`${HEAD}<b>\n]}\n`), none);
		assert.equal(says(HEAD), none);
	});

	it('the collector does not ask for users without end', () => {
		let asked = 0;
		const page = Array.from({ length: 300 }, (_, number) => ({ user: `u${number}`, sessions: 0, up: 0, down: 0 }));
		const names = scope(place, said, file_of);
		const ubus = { call: (object, method) => {
			assert.ok(asked < 100, 'it has an end');
			return method == 'status' ? { main: {} } : (asked++, { users: page, more: true });
		} };
		const metric = () => () => {};
		run(`${PACKAGING}/anklet/files/anklet.exporter.uc`, { ...names, ubus, gauge: metric, counter: metric });
		assert.equal(asked, 4);
	});

	it('a file beside a users file stays', () => {
		configure("config anklet 'main'\n\toption users '/etc/anklet.users'\n");
		for (const name of [ 'anklet.users', 'anklet.users.new' ])
			writeFileSync(place.path(`etc/${name}`), 'ann:x\n');
		const args = { instance: 'main', name: 'bob', password: 'y', create: true };
		assert.equal(pages().set_user.call({ args }).error, undefined);
		assert.equal(readFileSync(place.path('etc/anklet.users'), 'utf8'), 'ann:x\nbob:y\n');
		assert.equal(readFileSync(place.path('etc/anklet.users.new'), 'utf8'), 'ann:x\n');
	});

	it('a file that cannot be written is refused in words', () => {
		configure("config anklet 'main'\n\toption users '/etc/anklet.users'\n");
		mkdirSync(place.path('etc/anklet.users~new'));
		const args = { instance: 'main', name: 'ann', password: 'x', create: true };
		assert.equal(pages().set_user.call({ args }).error, '/etc/anklet.users: it cannot be written');
	});

	it('half of what is edited is not checked', () => {
		configure("config anklet 'main'\n");
		const { writeSync } = fs;
		const check = () => pages().check_edited.call({ args: { sections: [ { '.type': 'anklet', '.name': 'main', port: '1081' } ] } });
		try {
			// A memory without room: the rest is lost where the file is closed.
			fs.writeSync = (file, text, ...how) => writeSync(file, text.slice(0, 10), ...how);
			syncBuiltinESMExports();
			assert.deepEqual(check(), { error: 'there is no room for a check' });
		} finally {
			fs.writeSync = writeSync;
			syncBuiltinESMExports();
		}
		assert.equal(check().error, undefined);
	});

	it('a list of one is its item, as for the init script', () => {
		configure("config anklet 'main'\n\tlist enabled '1'\n\tlist users '/etc/anklet.users'\n\tlist user 'carol'\n\tlist password 'z'\n");
		writeFileSync(place.path('etc/anklet.users'), 'ann:x\n');
		running();
		const { files, uci } = pages().accounts.call();
		assert.deepEqual(files, [ { path: '/etc/anklet.users', instances: [ 'main' ], writable: true, users: [ 'ann' ] } ]);
		assert.deepEqual(uci, [ { section: 'main', kind: 'anklet', name: 'carol', instances: [ 'main' ] } ]);
		assert.equal(pages().instances.call().instances.main.enabled, true);
		assert.equal(pages().move_user.call({ args: { section: 'main' } }).error, undefined);
		assert.equal(readFileSync(place.path('etc/anklet.users'), 'utf8'), 'ann:x\ncarol:z\n');
	});

	it('no password is told, mistyped or not', () => {
		configure("config anklet 'main'\n\toption port '1081'\n\tlist password 'secret'\n\nconfig user 'ann'\n\toption pasword 'secret'\n");
		const told = pages().config.call();
		assert.deepEqual(told.sections.map((section) => section['.name']), [ 'main' ]);
		assert.equal(told.sections[0].port, '1081');
		assert.ok(!JSON.stringify(told).includes('secret'));
	});

	it('nobody is removed who has no name', () => {
		configure("config anklet 'main'\n\toption users '/etc/anklet.users'\n");
		const text = '# those of the house\nann:x\n\nbob:y\n';
		writeFileSync(place.path('etc/anklet.users'), text);
		const { error } = pages().remove_user.call({ args: { instance: 'main' } });
		assert.equal(error, 'a user name has 1 to 255 bytes');
		assert.equal(readFileSync(place.path('etc/anklet.users'), 'utf8'), text);
	});
});
