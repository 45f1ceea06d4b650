// A router for a browser: LuCI's pages of the package, /ubus with the plugin of rpcd behind it, and
// the real program underneath, started as the init script says. In place of LuCI's own JavaScript
// there are doubles (tests/luci/double); where the environment's LUCI names a checkout of LuCI, it is
// LuCI's own.

import { createServer } from 'node:http';
import { existsSync, readFileSync } from 'node:fs';
import { createServer as create_listener } from 'node:net';
import { once } from 'node:events';
import { extname, join, normalize } from 'node:path';
import { CONFIGURATIONS } from './answers.mjs';
import { Config } from './config.mjs';
import { Service } from './service.mjs';
import { PACKAGING, PROJECT, build_place, remove_place } from './shell.mjs';
import { Ubus } from './ubus.mjs';

export const LUCI = process.env.LUCI || null;

const APPLICATION = join(PACKAGING, 'luci-app-anklet');
const MENU = join(APPLICATION, 'root/usr/share/luci/menu.d/luci-app-anklet.json');

// Where /luci-static is, the first one counts.
const STATIC = [
	join(APPLICATION, 'htdocs/luci-static'),
	...LUCI
		? [ join(LUCI, 'modules/luci-base/htdocs/luci-static'), join(LUCI, 'themes/luci-theme-bootstrap/htdocs/luci-static') ]
		: [ join(PROJECT, 'tests/luci/double') ]
];

const TYPES = { '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml', '.png': 'image/png' };

const in_script = (value) => JSON.stringify(value).replaceAll('/', '\\/');

export async function free_port() {
	const listener = create_listener().listen(0, '127.0.0.1');
	await once(listener, 'listening');
	const { port } = listener.address();
	listener.close();
	await once(listener, 'close');
	return port;
}

export class Router {
	// `config` is /etc/config/anklet; `prepare` puts more files in their place.
	static async start(config, prepare = () => {}) {
		const router = new Router();
		router.place = build_place();
		router.service = new Service(router.place);
		router.ubus = new Ubus(router, LUCI);
		for (const [ name, text ] of Object.entries({ ...CONFIGURATIONS, anklet: config }))
			new Config(text).write(router.place.path(`etc/config/${name}`));
		prepare(router.place);
		router.server = createServer((request, response) => router.serve(request, response));
		router.server.listen(0, '127.0.0.1');
		await once(router.server, 'listening');
		router.url = `http://127.0.0.1:${router.server.address().port}`;
		await router.service.command('start');
		return router;
	}

	config(name) {
		return Config.read(this.place.path(`etc/config/${name}`));
	}

	// The page of the menu, as somebody who has logged in.
	page(path, login = 'root') {
		return `${this.url}/cgi-bin/luci/${path}?login=${login}`;
	}

	async serve(request, response) {
		try {
			const url = new URL(request.url, this.url);
			if (url.pathname.startsWith('/ubus'))
				return await this.serve_ubus(request, response);
			if (url.pathname.startsWith('/luci-static/'))
				return this.serve_file(response, url.pathname.slice('/luci-static/'.length));
			if (url.pathname.startsWith('/cgi-bin/luci/admin/uci/'))
				return await this.serve_apply(request, response, url);
			if (url.pathname.startsWith('/cgi-bin/luci/admin/translations'))
				return end(response, 200, 'text/javascript', 'window.TR = {};');
			return this.serve_page(response, url);
		} catch (error) {
			console.error(error);
			end(response, 500, 'text/plain', String(error));
		}
	}

	async serve_ubus(request, response) {
		const asked = JSON.parse(await body_of(request));
		end(response, 200, 'application/json', JSON.stringify(await this.ubus.answer(asked)));
	}

	// As LuCI's own pages have changes taken over; the session stands in the body, since 2026 in the query.
	async serve_apply(request, response, url) {
		const action = url.pathname.split('/').at(-1);
		const session = url.searchParams.get('sid') ?? new URLSearchParams(await body_of(request)).get('sid');
		const login = this.ubus.logins[session];
		if (action.startsWith('apply_') && login)
			await this.ubus.apply(login);
		end(response, action == 'apply_unchecked' ? 204 : 200, 'application/json', '{"token":"token"}');
	}

	serve_file(response, path) {
		const file = STATIC.map((folder) => join(folder, normalize(`/${path}`))).find(existsSync);
		if (file)
			end(response, 200, TYPES[extname(file)] ?? 'application/octet-stream', readFileSync(file));
		else
			end(response, 404, 'text/plain', 'Not found');
	}

	serve_page(response, url) {
		const path = url.pathname.slice('/cgi-bin/luci/'.length);
		const session = url.searchParams.get('login') ?? 'root';
		const menu = JSON.parse(readFileSync(MENU));
		const node = menu[path];
		const login = this.ubus.logins[session];
		// What a page stands under, counts for it.
		const groups = Object.keys(menu).filter((above) => `${path}/`.startsWith(`${above}/`)).flatMap((above) => menu[above].depends?.acl ?? []);
		if (!node?.action || !groups.every((group) => login?.may('access-group', group, 'read')))
			return end(response, node ? 403 : 404, 'text/plain', 'No page');
		const readonly = !groups.every((group) => login.may('access-group', group, 'write'));
		end(response, 200, 'text/html; charset=utf-8', shell(path, session, { ...node, satisfied: true, readonly }));
	}

	async close() {
		this.server.close();
		this.server.closeAllConnections();
		await this.ubus.close();
		await this.service.close();
		remove_place(this.place);
	}
}

async function body_of(request) {
	let body = '';
	for await (const part of request)
		body += part;
	return body;
}

function end(response, status, type, body) {
	response.writeHead(status, { 'Content-Type': type, 'Cache-Control': 'no-store' });
	response.end(body);
}

// A page as LuCI's templates make it.
function shell(path, sessionid, nodespec) {
	const words = path.split('/');
	const media = '/luci-static/bootstrap', resource = '/luci-static/resources';
	const environment = {
		media, resource, scriptname: '/cgi-bin/luci', pathinfo: `/${path}`, documentroot: '/www', requestpath: words,
		dispatchpath: words, pollinterval: 1, ubuspath: '/ubus/', sessionid, token: 'token', nodespec,
		apply_rollback: 90, apply_holdoff: 1, apply_timeout: 5, apply_display: 0.2, rollback_token: null
	};
	return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>${nodespec.title}</title>
<script>
const dark = window.matchMedia('(prefers-color-scheme: dark)');
document.documentElement.setAttribute('data-darkmode', dark.matches);
</script>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="${media}/cascade.css">
<link rel="stylesheet" media="only screen and (max-device-width: 854px)" href="${media}/mobile.css">
<link rel="icon" href="data:,">
<script src="/cgi-bin/luci/admin/translations/en"></script>
<script src="${resource}/cbi.js"></script>
</head>
<body class="lang_en" data-page="${words.join('-')}">
<header><a class="brand" href="#">anklet</a><ul class="nav" id="topmenu"></ul><div id="indicators" class="pull-right"></div></header>
<div id="maincontent" class="container">
<div id="tabmenu" style="display:none"></div>
<script src="${resource}/luci.js"></script>
<script>L = new LuCI(${in_script(environment)});</script>
<div id="view">
<div class="spinning">Loading view…</div>
<script>L.require('ui').then((ui) => ui.instantiateView(${in_script(nodespec.action.path)}));</script>
</div>
</div>
</body>
</html>
`;
}
