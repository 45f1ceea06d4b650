// A router's files in a folder, and its commands. IPKG_INSTROOT tells the plugin where they are, as it
// tells OpenWrt's own scripts.

import { chmodSync, existsSync, mkdirSync, rmSync, mkdtempSync, symlinkSync, copyFileSync, writeFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const PROJECT = resolve(dirname(fileURLToPath(import.meta.url)), '../../..');
export const PACKAGING = join(PROJECT, 'cross/openwrt');
const STAND_INS = join(PROJECT, 'tests/it/openwrt');

// What the init script runs of busybox, as tests/it/openwrt/router.rs has it.
const APPLETS = [ 'ash', 'cat', 'cmp', 'ls', 'mkdir', 'mv', 'rm', 'rmdir', 'sed', 'sleep', 'tail', 'tr', 'uname' ];

export const BINARY = resolve(PROJECT, process.env.ANKLET_BINARY ?? 'target/debug/anklet');

export function find_program(name) {
	return process.env.PATH.split(':').map((folder) => join(folder, name)).find(existsSync);
}

export class Place {
	constructor(root) {
		this.root = root;
	}

	path(path) {
		return path.startsWith(`${this.root}/`) ? path : join(this.root, path);
	}

	environment() {
		return { PATH: `${this.root}/usr/bin:${process.env.PATH}`, IPKG_INSTROOT: this.root };
	}

	script(path, text) {
		const file = this.path(path);
		mkdirSync(dirname(file), { recursive: true });
		writeFileSync(file, `#!/bin/sh\n${text}\n`);
		chmodSync(file, 0o755);
	}
}

export function execute(place, command, input = '') {
	const ended = spawnSync('/bin/sh', [ '-c', command ],
		{ env: place.environment(), cwd: place.root, input, encoding: 'latin1', maxBuffer: 1 << 28 });
	return { status: ended.status ?? 128, stdout: ended.stdout ?? '' };
}

// A new router with the init script, which runs under busybox with the stand-ins of tests/it.
export function build_place() {
	const place = new Place(mkdtempSync(join(tmpdir(), 'anklet-luci-')));
	for (const folder of [ 'bin', 'dev', 'etc/config', 'lib/functions', 'told', 'tmp', 'usr/bin', 'var/run' ])
		mkdirSync(place.path(folder), { recursive: true });
	copyFileSync(join(STAND_INS, 'network.sh'), place.path('lib/functions/network.sh'));
	const busybox = find_program('busybox');
	for (const applet of APPLETS)
		symlinkSync(busybox, place.path(`bin/${applet}`));
	writeFileSync(place.path('log'), '');
	place.script('usr/bin/anklet', `exec '${BINARY}' "$@"`);
	place.script('usr/bin/logread', `exec cat '${place.root}/log'`);
	place.script('usr/bin/uclient-fetch', 'for url; do :; done\nexec curl -sf -m 5 "$url"');
	// Its configuration names the owner's users file as a router does.
	place.script('etc/init.d/anklet', [
		`sed "s|'/etc/anklet|'${place.root}/etc/anklet|" "\${UCI_CONFIG_DIR:-${place.root}/etc/config}/anklet" > '${place.root}/tmp/config'`,
		`: > '${place.root}/calls'`,
		`PATH='${place.root}/bin' '${place.root}/bin/ash' '${STAND_INS}/stand-in.sh' \\`,
		`\t'${PACKAGING}/anklet/files/anklet.init' '${place.root}/tmp/config' '${place.root}' "$@"`,
		'status=$?',
		// In the order in which they came.
		`mv '${place.root}/calls' "${place.root}/told/$(date +%s%N).$1"`,
		'exit "$status"'
	].join('\n'));
	return place;
}

export function remove_place(place) {
	rmSync(place.root, { recursive: true, force: true });
}
