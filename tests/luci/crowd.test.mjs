// The live page beside 9,000 sessions: how long until its first table, and what a tunnel beside it
// notices. ANKLET_LUCI_SESSIONS is another number.

import { after, before, describe, it } from 'node:test';
import assert from 'node:assert/strict';
import { spawn, execFileSync } from 'node:child_process';
import { createInterface } from 'node:readline';
import { constants, setPriority } from 'node:os';
import { fileURLToPath } from 'node:url';
import { close_browser, missing, open } from './stage/browser.mjs';
import { LIVE, USERS, start_setting } from './stage/setting.mjs';

const SESSIONS = +(process.env.ANKLET_LUCI_SESSIONS ?? 9000);

// Two descriptors of the program for each session, and two of this process's.
const DESCRIPTORS = 2 * SESSIONS + 1000;

const limit = +execFileSync('/bin/sh', [ '-c', 'ulimit -Hn' ], { encoding: 'utf8' }).replace('unlimited', 'Infinity');

const lacking = missing || (limit < DESCRIPTORS && `${DESCRIPTORS} descriptors are not to be had`);

const script = (name) => fileURLToPath(new URL(`stage/${name}`, import.meta.url));

describe(`${SESSIONS} sessions`, { skip: lacking }, () => {
	let setting, crowd, pinger, lines;

	before(async () => {
		setting = await start_setting({ lines: [ `option nofile '${DESCRIPTORS}'`, `option max_sessions '${SESSIONS + 100}'`, "option quiet '1'" ] });
		crowd = spawn(process.execPath, [ script('crowd.mjs'), setting.port, setting.target.port, SESSIONS ], { stdio: [ 'pipe', 'pipe', 'inherit' ] });
		await new Promise((resolve, reject) => {
			crowd.stdout.once('data', resolve);
			crowd.once('exit', () => reject(new Error('the crowd has gone')));
		});
		pinger = spawn(process.execPath, [ script('pinger.mjs'), setting.port ], { stdio: [ 'pipe', 'pipe', 'inherit' ] });
		// A browser is on another machine than the router: here it is not to take their processor.
		for (const { pid } of [ pinger, setting.router.service.running.main.process ])
			setPriority(pid, constants.priority.PRIORITY_HIGHEST);
		lines = createInterface({ input: pinger.stdout })[Symbol.asyncIterator]();
	});

	after(async () => {
		crowd?.kill();
		pinger?.kill();
		await close_browser();
		await setting?.close();
	});

	async function pings() {
		pinger.stdin.write('\n');
		return JSON.parse((await lines.next()).value);
	}

	const said = ({ count, median, p99, most }) => `${count} pings, median ${median.toFixed(2)} ms, 99 % below ${p99.toFixed(2)} ms, longest ${most.toFixed(1)} ms`;

	it('the first table is soon there, and others do not notice', async () => {
		// The browser runs already, as that of somebody who looks.
		const other = await open(setting.router, USERS);
		await other.locator('#anklet-accounts-page').waitFor();
		await other.context().close();
		await pings();
		await new Promise((resolve) => setTimeout(resolve, 5000));
		const before = await pings();
		const start = Date.now();
		const page = await open(setting.router, LIVE);
		await page.locator('#anklet-sessions tr[data-id]').first().waitFor();
		const first = Date.now() - start;
		const again = Date.now();
		await page.locator('#anklet-sessions th[data-sort="client"]').click();
		await page.locator('#anklet-sessions th[data-sort="client"][aria-sort]').waitFor();
		const sorted = Date.now() - again;
		await new Promise((resolve) => setTimeout(resolve, 5000));
		const beside = await pings();
		assert.match(await page.locator('#anklet-range').textContent(), new RegExp(`${SESSIONS}|${SESSIONS + 1}|${SESSIONS + 2}`));
		console.log(`# ${SESSIONS} sessions: first table after ${first} ms, sorted after ${sorted} ms`);
		console.log(`# without the page: ${said(before)}`);
		console.log(`# beside it: ${said(beside)}`);
		assert.ok(first < 20000, `${first} ms`);
		assert.deepEqual(page.thrown, []);
	});
});
