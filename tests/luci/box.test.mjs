// The box on LuCI's status page, in a browser.

import { after, before, describe, it } from 'node:test';
import assert from 'node:assert/strict';
import { close_browser, missing, open, until } from './stage/browser.mjs';
import { LIVE, start_setting } from './stage/setting.mjs';

describe('the box on the status page', { skip: missing }, () => {
	let setting;

	before(async () => {
		setting = await start_setting();
	});

	after(async () => {
		await close_browser();
		await setting.close();
	});

	it('has the instance, its sessions and what they have carried, for a reader as well', async () => {
		await (await setting.tunnel()).send(3000);
		const page = await open(setting.router, LIVE, { login: 'reader' });
		await page.locator('#anklet-sessions tr[data-id]').first().waitFor();
		// As LuCI's status page does.
		await page.evaluate(async () => {
			const box = await L.require('view.status.include.70_anklet');
			document.getElementById('view').replaceChildren(box.render(await box.load()));
		});
		const row = page.locator('#anklet-box tr[data-instance="main"]');
		await until('the row', async () => /main/.test(await row.textContent()));
		assert.match(await row.textContent(), /2\.9 KiB/);
		assert.equal(await row.locator('[data-state]').getAttribute('data-state'), 'running');
		assert.deepEqual(page.thrown, []);
	});
});
