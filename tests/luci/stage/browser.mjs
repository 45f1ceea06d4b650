// Chromium with no window, and a page of the router in it. What is missing is said, and the tests
// that need it are skipped.

import { existsSync } from 'node:fs';
import { BINARY, find_program } from './shell.mjs';

const NAMES = [ 'chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable' ];

const EXECUTABLE = process.env.CHROMIUM ?? NAMES.map(find_program).find(Boolean);

const driver = await import('playwright-core').catch(() => null);

// Why there are no tests in a browser; false if there are.
export const missing = !EXECUTABLE ? 'chromium is not installed'
	: !driver ? 'playwright-core is not installed'
	: !find_program('busybox') ? 'busybox is not installed'
	: !find_program('curl') ? 'curl is not installed'
	: !existsSync(BINARY) && `${BINARY} is not built`;

if (missing)
	console.error(`not run: LuCI's pages in a browser: ${missing}`);

let browser = null;

export async function close_browser() {
	await browser?.close();
	browser = null;
}

// A page as somebody who has logged in. What a script throws, fails the test.
export async function open(router, path, { login = 'root', ...look } = {}) {
	browser ??= await driver.chromium.launch({ executablePath: EXECUTABLE, args: [ '--no-sandbox' ] });
	const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...look });
	const page = await context.newPage();
	page.setDefaultTimeout(30000);
	page.thrown = [];
	page.on('pageerror', (error) => page.thrown.push(error));
	page.on('dialog', (dialog) => {
		page.thrown.push(new Error(`a dialog: ${dialog.message()}`));
		dialog.dismiss();
	});
	await page.goto(router.page(path, login));
	return page;
}

// Waits until it holds.
export async function until(what, holds, seconds = 30) {
	for (let tries = 0; tries < seconds * 10; tries++) {
		if (await holds())
			return;
		await new Promise((resolve) => setTimeout(resolve, 100));
	}
	throw new Error(`never: ${what}`);
}

// The texts of a column, as the rows stand.
export function column(page, table, key) {
	return page.locator(`#${table} td[data-column="${key}"]`).evaluateAll((cells) =>
		cells.map((cell) => (cell.querySelector('span') ?? cell).textContent));
}
