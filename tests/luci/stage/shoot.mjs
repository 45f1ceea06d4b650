// Pictures of the pages: node stage/shoot.mjs FILE makes the one of README, node stage/shoot.mjs FOLDER/
// all of them, on a desk and on a phone, light and dark.

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { close_browser, missing, open } from './browser.mjs';
import { LIVE, SETTINGS, USERS, start_setting } from './setting.mjs';

const TRAFFIC = [
	[ 'anna', 'cdn.example.net', 7340032 ], [ 'anna', 'www.example.org', 41200 ], [ 'ben', 'updates.example.com', 2411724 ], [ 'ben', 'mail.example.net', 18022 ],
	[ 'tv', 'stream.example.com', 20971520 ], [ 'tv', 'img.example.com', 655360 ], [ 'guest', 'chat.example.org', 9216 ]
];

const LOOKS = {
	desk: { viewport: { width: 1280, height: 900 } },
	phone: { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true }
};

const PAGES = { live: [ LIVE, '#anklet-sessions tr[data-id]' ], settings: [ SETTINGS, '.cbi-section-node' ], users: [ USERS, '#anklet-accounts tr[data-name]' ] };

const GUEST = "config anklet 'guest'\n\toption enabled '1'\n\tlist listenip 'guest'\n\toption port '1081'\n\toption status '1'\n\nconfig user\n\toption name 'kiosk'\n\toption password 'secret'\n\tlist instance 'guest'\n";

async function traffic(setting) {
	setting.ways = [];
	for (const [ user, host, bytes ] of TRAFFIC) {
		const way = await setting.tunnel(host, [ user, 'secret' ]);
		await way.send(bytes);
		setting.ways.push(way);
	}
	await setting.tunnel('192.0.2.1', [ 'guest', 'secret' ]).catch(() => {});
}

async function shoot(setting, name, look, file, options) {
	const [ path, there ] = PAGES[name];
	const page = await open(setting.router, path, look);
	await page.locator(there).first().waitFor();
	await page.waitForTimeout(1500);
	if (options.with_rates) {
		await Promise.all(setting.ways.map((way, at) => way.send(TRAFFIC[at][2])));
		await page.locator('#anklet-sessions small', { hasText: '/s' }).first().waitFor();
	}
	await page.screenshot({ path: file, fullPage: options.fullPage });
	if (page.thrown.length)
		console.error(file, page.thrown);
	await page.context().close();
}

const where = process.argv[2];
if (missing || !where)
	throw new Error(missing || 'where to?');
const setting = await start_setting({
	lines: [ "option users '/etc/anklet.users'", "list block '192.0.2.0/24'", "option max_per_client '64'", "option quiet '1'" ],
	sections: where.endsWith('/') ? GUEST : '',
	users: [ 'anna', 'ben', 'tv', 'guest' ].map((name) => `${name}:secret\n`).join('')
});
// A name without markup.
setting.router.ubus.said = { 'luci-rpc getHostHints': { '02:00:00:00:00:07': { ipaddrs: [ '127.0.0.1' ], name: 'living-room' } } };
try {
	await traffic(setting);
	if (where.endsWith('/')) {
		mkdirSync(where, { recursive: true });
		for (const name of Object.keys(PAGES))
			for (const [ size, look ] of Object.entries(LOOKS))
				for (const colorScheme of [ 'light', 'dark' ])
					await shoot(setting, name, { ...look, colorScheme }, join(where, `${name}-${size}-${colorScheme}.png`), { fullPage: true });
	} else {
		await shoot(setting, 'live', { viewport: { width: 1000, height: 660 }, colorScheme: 'light' }, where, { with_rates: true });
	}
} finally {
	await close_browser();
	await setting.close();
}
