// One call of the plugins of rpcd, in a process of its own: node plugin.mjs FOLDER OBJECT METHOD, the
// arguments on standard input. What other objects of ubus answer stands in the environment's SAID.

import { readFileSync } from 'node:fs';
import { kind, methods_of } from './plugins.mjs';
import { Place } from './shell.mjs';

const OK = 0, INVALID_ARGUMENT = 2, METHOD_NOT_FOUND = 3, NO_DATA = 5;

// What rpcd sends back. It refuses what a method does not declare, and another type.
function answer(methods, method, args) {
	if (!methods[method])
		return [ METHOD_NOT_FOUND ];
	const declared = methods[method].args ?? {};
	for (const [ name, value ] of Object.entries(args))
		if (!(name in declared) || kind(value) != kind(declared[name]))
			return [ INVALID_ARGUMENT ];
	const said = methods[method].call({ args, info: {} });
	return kind(said ?? null) == 'object' ? [ OK, said ] : [ NO_DATA ];
}

const [ root, object, method ] = process.argv.slice(2);
const methods = methods_of(object, new Place(root), JSON.parse(process.env.SAID));
const said = answer(methods, method, JSON.parse(readFileSync(0, 'latin1') || '{}'));
process.stdout.write(JSON.stringify(said), 'latin1');
