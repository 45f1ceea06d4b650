// The plugins of rpcd, in a process of their own: node plugin.mjs FOLDER. Each message is a call, and one
// goes back for it; as with rpcd, one after the other, and what is loaded stays.

import { PLUGINS, kind, methods_of } from './plugins.mjs';
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

// Strings have a character for each byte in there.
const inside = (text) => JSON.parse(Buffer.from(text).toString('latin1'));
const outside = (value) => Buffer.from(JSON.stringify(value), 'latin1').toString();

// What other objects of ubus answer, at the time of a call.
const said = {};
const place = new Place(process.argv[2]);
const objects = Object.fromEntries(Object.keys(PLUGINS).map((object) => [ object, methods_of(object, place, said) ]));

process.on('message', (call) => {
	Object.assign(said, inside(call.said));
	try {
		process.send({ id: call.id, answer: outside(answer(objects[call.object], call.method, inside(call.args))) });
	} catch (error) {
		process.send({ id: call.id, error: `${call.method}: ${error.stack}` });
	}
});
