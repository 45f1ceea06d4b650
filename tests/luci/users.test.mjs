// The page of the users, in a browser.

import { after, before, describe, it } from 'node:test';
import assert from 'node:assert/strict';
import { readFileSync, statSync } from 'node:fs';
import { close_browser, missing, open, until } from './stage/browser.mjs';
import { USERS, start_setting } from './stage/setting.mjs';
import { is_let_in } from './stage/proxy-client.mjs';

describe('the users', { skip: missing }, () => {
	let setting, page;
	const sent = [];

	before(async () => {
		setting = await start_setting({
			lines: [ "option user 'ann'", "option password 'secret-of-ann'" ],
			sections: "config user\n\toption name '<b>bob</b>'\n\toption password 'secret of bob: 100%'\n"
		});
		page = await open(setting.router, USERS);
		page.on('response', async (response) => sent.push(await response.text().catch(() => '')));
		await row('ann').waitFor();
	});

	after(async () => {
		await close_browser();
		await setting.close();
	});

	const row = (name, source) => page.locator(`#anklet-accounts tr[data-name="${name}"]${source ? `[data-source="${source}"]` : ''}`);
	const text = () => readFileSync(setting.router.place.path('etc/anklet.users'), 'utf8');
	const let_in = (name, password) => is_let_in(setting.port, setting.target.port, [ name, password ]);

	async function fill(name, password) {
		if (name != null)
			await page.locator('#anklet-name').fill(name);
		await page.locator('#anklet-password').fill(password);
		await page.locator('#anklet-save').click();
	}

	it('shows those of UCI, and no password', async () => {
		assert.equal(await row('ann').getAttribute('data-source'), 'uci');
		await row('<b>bob</b>', 'uci').waitFor();
		assert.equal(await page.locator('#anklet-accounts b').count(), 0);
		assert.ok(await let_in('ann', 'secret-of-ann') && await let_in('<b>bob</b>', 'secret of bob: 100%'));
	});

	it('one that is made in the page can log in', async () => {
		await page.locator('#anklet-add').click();
		await fill('carol & "co": #1', 'pass word: 100% #2');
		await row('carol & \\"co\\": #1', 'file').waitFor();
		await until('carol can log in', () => let_in('carol & "co": #1', 'pass word: 100% #2'));
		assert.ok(await let_in('ann', 'secret-of-ann'), 'and the others still');
		assert.equal(statSync(setting.router.place.path('etc/anklet.users')).mode & 0o777, 0o600);
		assert.equal(setting.router.config('anklet').get('main', 'users'), '/etc/anklet.users');
	});

	it('one that is there already is refused in words', async () => {
		await page.locator('#anklet-add').click();
		await fill('ann', 'another');
		await page.locator('.modal .alert-message').filter({ hasText: /already/ }).waitFor();
		await page.keyboard.press('Escape');
		assert.ok(await let_in('ann', 'secret-of-ann'));
		await page.reload();
		await row('ann').waitFor();
	});

	it('a password is changed', async () => {
		await row('carol & \\"co\\": #1').locator('[data-action="password"]').click();
		await fill(null, 'second-secret');
		await until('the new one', () => let_in('carol & "co": #1', 'second-secret'));
		assert.ok(!await let_in('carol & "co": #1', 'pass word: 100% #2'));
	});

	it('one of UCI moves to the file with the same password', async () => {
		await row('<b>bob</b>').locator('[data-action="move"]').click();
		await row('<b>bob</b>', 'file').waitFor();
		await until('bob can log in', () => let_in('<b>bob</b>', 'secret of bob: 100%'));
		assert.match(text(), /bob/);
		assert.ok(!setting.router.config('anklet').text().includes('secret of bob'));
	});

	it('one that is removed cannot log in', async () => {
		await row('<b>bob</b>', 'file').locator('[data-action="remove"]').click();
		await confirm();
		await row('<b>bob</b>').waitFor({ state: 'detached' });
		await until('bob is out', async () => !await let_in('<b>bob</b>', 'secret of bob: 100%'));
		assert.ok(await let_in('ann', 'secret-of-ann'));
	});

	it('a reader has no button that works', async () => {
		const reader = await open(setting.router, USERS, { login: 'reader' });
		await reader.locator('#anklet-accounts tr[data-name="ann"]').waitFor();
		for (const button of await reader.locator('#anklet-accounts-page button, #anklet-add').all())
			assert.ok(await button.isDisabled());
		const refused = await reader.evaluate(() => L.require('rpc').then((rpc) => rpc.declare({
			object: 'luci.anklet', method: 'set_user', params: [ 'instance', 'name', 'password', 'create' ], reject: true
		})('main', 'eve', 'x', true)).then(() => 'done', (error) => error.message));
		assert.match(refused, /[Dd]enied/);
		assert.ok(!await let_in('eve', 'x'));
		assert.deepEqual(reader.thrown, []);
	});

	it('no password has come back from the router', () => {
		const all = sent.join('');
		for (const secret of [ 'secret-of-ann', 'secret of bob', 'pass word', 'second-secret' ])
			assert.ok(!all.includes(secret), secret);
		assert.deepEqual(page.thrown, []);
	});

	const confirm = () => page.locator('#anklet-save').click();
});
