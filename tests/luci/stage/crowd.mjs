// Many tunnels in a process of their own, until its input ends: node crowd.mjs PORT TARGET COUNT

import { tunnel } from './proxy-client.mjs';

const AT_ONCE = 50;

const [ port, target, count ] = process.argv.slice(2).map(Number);
const open = [];
let left = count;

async function fill() {
	while (left-- > 0)
		open.push(await tunnel(port, '127.0.0.1', target));
}

await Promise.all(Array.from({ length: AT_ONCE }, fill));
console.log('ready');
process.stdin.on('end', () => process.exit()).resume();
