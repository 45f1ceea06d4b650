// The plugins of rpcd, as node runs them.

import { join } from 'node:path';
import { PACKAGING } from './shell.mjs';
import { scope } from './ucode-library.mjs';
import { run } from './ucode.mjs';

export const PLUGINS = {
	anklet: join(PACKAGING, 'anklet/files/anklet.rpcd.uc'),
	'luci.anklet': join(PACKAGING, 'luci-app-anklet/root/usr/share/rpcd/ucode/luci.anklet')
};

// A module where it is before it is packed.
export function file_of(name) {
	return name == 'anklet' ? join(PACKAGING, 'anklet/files/anklet.uc')
		: join(PACKAGING, 'luci-app-anklet/root/usr/share/ucode', `${name.replaceAll('.', '/')}.uc`);
}

// The methods of an object. `said` is what others answer on ubus, by "OBJECT METHOD".
export function methods_of(object, place, said) {
	return run(PLUGINS[object], scope(place, said, file_of))[object];
}

// A value's type on ubus, as rpcd tells it from the example that a method gives.
export function kind(value) {
	if (Array.isArray(value))
		return 'array';
	return value === null ? 'nothing' : typeof value == 'number' && !Number.isInteger(value) ? 'double' : typeof value;
}
