// What tests have in common: a router with an instance that serves, and what it reaches.

import { writeFileSync } from 'node:fs';
import { Router, free_port } from './router.mjs';
import { echo_target, name_server, tunnel } from './proxy-client.mjs';

export const LIVE = 'admin/services/anklet/status';
export const SETTINGS = 'admin/services/anklet/settings';
export const USERS = 'admin/services/anklet/users';

// Of the users file: signs that would be markup.
export const HOSTILE = '<img src=x onerror=alert(1)>';

// An instance on a free port of loopback, with more lines of its section.
export async function start_setting({ lines = [], sections = '', users = null } = {}) {
	const port = await free_port();
	const target = await echo_target();
	const names = await name_server();
	const config = `config anklet 'main'\n\toption enabled '1'\n\tlist listenip '127.0.0.1'\n\toption port '${port}'\n` +
		`\toption status '1'\n\tlist dns '127.0.0.1:${names.port}'\n${lines.map((line) => `\t${line}\n`).join('')}\n${sections}`;
	const router = await Router.start(config, (place) => {
		if (users)
			writeFileSync(place.path('etc/anklet.users'), users, { mode: 0o600 });
	});
	await listens(port);
	const open = [];
	return {
		router, port, target,
		async tunnel(host = '127.0.0.1', login = null) {
			const made = await tunnel(port, host, target.port, login);
			open.push(made);
			return made;
		},
		async close() {
			for (const made of open)
				made.close();
			await router.close();
			target.close();
			names.close();
		}
	};
}

async function listens(port) {
	for (let tries = 0; ; tries++) {
		try {
			(await tunnel(port, '127.0.0.1', 9)).close();
			return;
		} catch (error) {
			// It is there: its answer is that nothing listens at port 9, or that it wants a password.
			if (error.code != 'ECONNREFUSED')
				return;
			if (tries > 100)
				throw error;
			await new Promise((resolve) => setTimeout(resolve, 100));
		}
	}
}
