// The page of the settings, in a browser: what is saved is UCI's, passes the init script, and the
// program runs with it.

import { after, before, describe, it } from 'node:test';
import assert from 'node:assert/strict';
import { close_browser, missing, open, until } from './stage/browser.mjs';
import { SETTINGS, start_setting } from './stage/setting.mjs';
import { free_port } from './stage/router.mjs';
import { is_let_in } from './stage/proxy-client.mjs';

const field = (option) => `[id="widget.cbid.anklet.main.${option}"]`;
const widget = (option) => `[id="cbid.anklet.main.${option}"]`;

describe('the settings', { skip: missing }, () => {
	let setting;

	before(async () => {
		setting = await start_setting({ lines: [ "option user 'ann'", "option password 'secret-of-ann'" ] });
	});

	after(async () => {
		await close_browser();
		await setting.close();
	});

	// The page, with the tab on which the option is.
	async function edit(option) {
		const page = await open(setting.router, SETTINGS);
		await page.locator(widget(option)).waitFor({ state: 'attached' });
		await show(page, option);
		return page;
	}

	async function show(page, option) {
		const tab = await page.locator(widget(option)).evaluate((node) => node.closest('[data-tab]')?.dataset.tab);
		await page.locator(`.cbi-tabmenu li[data-tab="${tab}"] a`).click();
	}

	const save_and_apply = (page) => page.locator('.cbi-page-actions .cbi-button-apply').first().click();

	// Into the field of a list that is to choose from.
	async function type(page, option, value) {
		const list = page.locator(widget(option));
		if (await list.getAttribute('open') == null)
			await list.locator('.open').click();
		const field = list.locator('.create-item-input').first();
		await field.fill(value);
		await field.press('Enter');
	}

	const saved = (option) => setting.router.config('anklet').get('main', option);

	it('a port that is none is marked and not saved', async () => {
		const page = await edit('port');
		const port = page.locator(field('port'));
		for (const wrong of [ '70000', 'http', '-1' ]) {
			await port.fill(wrong);
			await port.blur();
			await until(`${wrong} is marked`, async () => /cbi-input-invalid/.test(await port.getAttribute('class')));
			await page.locator('.cbi-page-actions .cbi-button-save').click();
			await page.locator('.modal').filter({ hasText: 'Port' }).locator('button').last().click();
		}
		assert.deepEqual(setting.router.ubus.calls.filter((call) => call.object == 'uci' && call.method == 'set'), []);
		await port.fill('1081');
		await port.blur();
		await until('it is not marked', async () => !/cbi-input-invalid/.test(await port.getAttribute('class')));
		await page.close();
	});

	it('what is saved arrives in UCI, passes the init script, and the program runs with it', async () => {
		const port = await free_port();
		const page = await edit('port');
		await page.locator(field('port')).fill(String(port));
		await page.locator(field('port')).blur();
		await show(page, 'no_udp');
		await page.locator(`${widget('no_udp')} input[type="checkbox"]`).check({ force: true });
		await show(page, 'idle_timeout');
		await page.locator(field('idle_timeout')).fill('900');
		await page.locator(field('idle_timeout')).blur();
		await show(page, 'permit');
		await type(page, 'permit', '192.168.1.20:443');
		await type(page, 'permit', '192.168.1.21');
		await save_and_apply(page);
		await until('the new port', () => is_let_in(port, setting.target.port, [ 'ann', 'secret-of-ann' ]));
		assert.equal(saved('port'), String(port));
		assert.equal(saved('no_udp'), '1');
		assert.equal(saved('idle_timeout'), '900');
		assert.deepEqual(saved('permit'), [ '192.168.1.20:443', '192.168.1.21' ]);
		assert.equal(saved('password'), 'secret-of-ann', 'what the page does not show stays');
		assert.equal(setting.router.service.told.main.error, undefined);
		const command = setting.router.service.running.main.command.join(' ');
		for (const words of [ `--port ${port}`, '--no-udp', '--idle-timeout 900', '--permit 192.168.1.20:443' ])
			assert.ok(command.includes(words), `${words} in ${command}`);
		assert.deepEqual(page.thrown, []);
		await page.close();
	});

	it('a network is picked from those of the router', async () => {
		const page = await edit('listenip');
		const picker = page.locator(widget('listenip'));
		await picker.locator('.open').click();
		await picker.locator('li[data-value="guest"]').first().click();
		await page.keyboard.press('Escape');
		await page.locator('h2').first().click();
		await save_and_apply(page);
		await until('it is saved', () => String(saved('listenip')).split(',').includes('guest'));
		assert.deepEqual([ ...saved('listenip') ].sort(), [ '127.0.0.1', 'guest' ]);
		await until('the program is told of its device', () => setting.router.service.running.main?.command.join(' ').includes('--listen br-guest'));
		await page.close();
	});

	it('says what the program thinks of what is being edited, and saves nothing', async () => {
		const page = await edit('users');
		const verdict = page.locator('#anklet-verdict');
		await page.locator('#anklet-check').click();
		await until('a verdict', async () => /main:/.test(await verdict.textContent()));
		await page.locator(field('users')).fill('/etc/nothing');
		await page.locator(field('users')).blur();
		await page.locator('#anklet-check').click();
		await until('what is wrong', async () => /not a file that can be read/.test(await verdict.locator('.error').first().textContent({ timeout: 1000 }).catch(() => '')));
		assert.equal(saved('users'), undefined);
		assert.deepEqual(page.thrown, []);
		await page.close();
	});

	it('no password is on the page or in anything that it is sent', async () => {
		const sent = [];
		const page = await open(setting.router, SETTINGS, { login: 'reader' });
		page.on('response', async (response) => sent.push(await response.text().catch(() => '')));
		await page.reload();
		await page.locator('.cbi-section-node[data-section-id="main"]').waitFor();
		assert.ok(!sent.join('').includes('secret-of-ann'));
		assert.ok(sent.some((text) => text.includes('"jsonrpc"')));
		await page.close();
	});

	it('a reader sees them and can change nothing', async () => {
		const page = await open(setting.router, SETTINGS, { login: 'reader' });
		await page.locator('.cbi-section-node[data-section-id="main"]').waitFor();
		for (const button of await page.locator('.cbi-button-apply, .cbi-button-save, .cbi-button-add, .cbi-button-remove').all())
			assert.ok(await button.evaluate((node) => node.closest('[disabled]') != null), await button.textContent());
		for (const method of [ 'set', 'get' ])
			assert.equal(await page.evaluate((method) => L.require('rpc').then((rpc) => rpc.declare({
				object: 'uci', method, params: [ 'config', 'section', 'values' ], reject: true
			})('anklet', 'main', { port: '1' })).then(() => 'done', (error) => /code 6|denied/i.test(error.message) ? 'refused' : error.message), method), 'refused');
		assert.deepEqual(page.thrown, []);
		await page.close();
	});
});
