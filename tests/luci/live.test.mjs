// The page of what is going on, in a browser.

import { after, before, describe, it } from 'node:test';
import assert from 'node:assert/strict';
import { close_browser, column, missing, open, until } from './stage/browser.mjs';
import { HOSTILE, LIVE, start_setting } from './stage/setting.mjs';

const escaped = (name) => name.replace(/[ :#%]/g, (sign) => `%${sign.charCodeAt(0).toString(16)}`);

describe('the live page', { skip: missing }, () => {
	let setting, page;
	const ann = [ 'ann', 'secret-of-ann' ], hostile = [ HOSTILE, 'x' ];

	before(async () => {
		setting = await start_setting({
			lines: [ "option users '/etc/anklet.users'", "list block '192.0.2.0/24'" ],
			users: `ann:secret-of-ann\n${escaped(HOSTILE)}:x\n`
		});
		const tunnels = [ await setting.tunnel('one.test', ann), await setting.tunnel('two.test', ann), await setting.tunnel('three.test', hostile) ];
		await tunnels[0].send(5000);
		await tunnels[1].send(200);
		page = await open(setting.router, LIVE);
		page.tunnels = tunnels;
		await page.locator('#anklet-sessions tr[data-id]').nth(2).waitFor();
	});

	after(async () => {
		await close_browser();
		await setting.close();
	});

	const shows = (key, expected) => until(`${key} is ${expected}`, async () =>
		String(await column(page, 'anklet-sessions', key)) == String(expected));

	const asked = (...names) => names.map((name) => `${name}.test:${setting.target.port}`);

	it('has a row for each session, and its instance runs', async () => {
		const all = await column(page, 'anklet-sessions', 'asked');
		for (const name of asked('one', 'two', 'three'))
			assert.ok(all.includes(name), `${name} in ${all}`);
		await page.locator('#anklet-instances tr[data-instance="main"] [data-state="running"]').waitFor();
		assert.match(await page.locator('#anklet-range').textContent(), /1.3 .*3/);
	});

	it('bytes grow, with a rate beside them', async () => {
		const cell = page.locator('#anklet-sessions tr', { hasText: 'two.test' }).locator('td[data-column="down"]');
		const first = await cell.locator('span').textContent();
		await page.tunnels[1].send(300000);
		await until('more bytes', async () => /^29\d(\.\d)? KiB$/.test(await cell.locator('span').textContent()));
		assert.notEqual(await cell.locator('span').textContent(), first);
		assert.match(await cell.locator('small').textContent(), /\/s$/);
	});

	it('is sorted by the column that is clicked, and the other way round', async () => {
		await page.locator('#anklet-sessions th[data-sort="asked"]').click();
		await shows('asked', asked('one', 'three', 'two'));
		const title = page.locator('#anklet-sessions th[data-sort="asked"]');
		assert.equal(await title.getAttribute('aria-sort'), 'ascending');
		await title.click();
		await shows('asked', asked('two', 'three', 'one'));
		assert.equal(await title.getAttribute('aria-sort'), 'descending');
		await page.locator('#anklet-sessions th[data-sort="down"]').click();
		await shows('asked', asked('two', 'one', 'three'));
	});

	it('shows those that the filter finds, by target and by the host of the client', async () => {
		await page.locator('#anklet-filter').fill('three');
		await shows('asked', asked('three'));
		await page.locator('#anklet-filter').fill('LAPTOP');
		await until('all of this host', async () => (await column(page, 'anklet-sessions', 'asked')).length == 3);
		await page.locator('#anklet-filter').fill('nobody');
		await until('none', async () => await page.locator('#anklet-sessions tr[data-id]').count() == 0);
		await page.locator('#anklet-filter').fill('');
		await page.locator('#anklet-protocol').selectOption('http');
		await until('none of HTTP', async () => await page.locator('#anklet-sessions tr[data-id]').count() == 0);
		await page.locator('#anklet-protocol').selectOption('socks5');
		await until('all of SOCKS5', async () => await page.locator('#anklet-sessions tr[data-id]').count() == 3);
		await page.locator('#anklet-protocol').selectOption('');
	});

	it('shows names with markup as the text that they are', async () => {
		const users = await column(page, 'anklet-sessions', 'user');
		assert.ok(users.includes(HOSTILE), String(users));
		const clients = await page.locator('#anklet-sessions td[data-column="client"]').allTextContents();
		assert.ok(clients.every((client) => client.includes('ann-<i>laptop</i>')), String(clients));
		const target = await setting.tunnel('<b>bold</b>.test', ann);
		await until('the target', async () => (await column(page, 'anklet-sessions', 'asked')).some((name) => name.startsWith('<b>bold</b>.test')));
		target.close();
		assert.equal(await page.locator('#anklet-live img, #anklet-live b, #anklet-live i').count(), 0);
		assert.deepEqual(page.thrown, []);
	});

	it('adds up users and clients', async () => {
		await until('the users', async () => (await column(page, 'anklet-by-user', 'user')).length == 2);
		assert.deepEqual(await column(page, 'anklet-by-user', 'user'), [ 'ann', HOSTILE ]);
		assert.deepEqual(await column(page, 'anklet-by-client', 'client'), [ '127.0.0.1' ]);
	});

	it('says what was refused and what would open it, and how full the tables are', async () => {
		await assert.rejects(setting.tunnel('192.0.2.1', ann));
		const refusal = page.locator('#anklet-refused tr[data-cause]').first();
		await refusal.waitFor();
		assert.equal(await refusal.getAttribute('data-cause'), 'rule');
		assert.match(await refusal.textContent(), /Permit/);
		assert.equal(await refusal.locator('td[data-column="count"]').textContent(), '1');
		const limit = page.locator('#anklet-limits tr[data-limit="established"]');
		await until('the three tunnels', async () => await limit.locator('td[data-column="used"]').textContent() == '3');
		assert.ok(+await limit.locator('td[data-column="peak"]').textContent() >= 3);
	});

	it('shows the last lines of the log', async () => {
		await until('the log', async () => /anklet\[\d+\]: /.test(await page.locator('#anklet-log').textContent()));
	});

	it('goes through more sessions page by page', async () => {
		const more = [];
		for (let count = 0; count < 30; count++)
			more.push(await setting.tunnel('127.0.0.1', ann));
		await page.locator('#anklet-limit').selectOption('25');
		await until('a page', async () => await page.locator('#anklet-sessions tr[data-id]').count() == 25);
		const ids = () => page.locator('#anklet-sessions tr[data-id]').evaluateAll((rows) => rows.map((row) => row.dataset.id));
		const first = await ids();
		await page.locator('#anklet-next').click();
		await until('the next page', async () => await page.locator('#anklet-sessions tr[data-id]').count() == 8);
		const second = await ids();
		assert.equal(new Set([ ...first, ...second ]).size, 33);
		assert.ok(await page.locator('#anklet-next').isDisabled());
		await page.locator('#anklet-previous').click();
		await until('the first page again', async () => String(await ids()) == String(first));
		for (const one of more)
			one.close();
		assert.deepEqual(page.thrown, []);
	});

	it('can stop and start the service, but not as a reader', async () => {
		const reader = await open(setting.router, LIVE, { login: 'reader' });
		await reader.locator('#anklet-sessions tr[data-id]').first().waitFor();
		for (const button of await reader.locator('[data-action]').all())
			assert.ok(await button.isDisabled());
		await assert.rejects(call(reader, 'control', { action: 'stop' }), /Access denied/);
		await page.locator('[data-action="stop"]').click();
		await until('it has stopped', async () => !Object.keys(setting.router.service.running).length);
		await page.locator('#anklet-instances [data-state="stopped"]').waitFor();
		await page.locator('[data-action="start"]').click();
		await page.locator('#anklet-instances [data-state="running"]').waitFor();
		assert.deepEqual([ ...page.thrown, ...reader.thrown ], []);
	});
});

// What a page could call beside what it shows.
function call(page, method, words) {
	return page.evaluate(([ method, words ]) => L.require('rpc').then((rpc) =>
		rpc.declare({ object: 'luci.anklet', method, params: Object.keys(words), expect: {} })(...Object.values(words))), [ method, words ]);
}
