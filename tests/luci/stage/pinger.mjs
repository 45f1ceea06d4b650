// How long a byte takes through a tunnel and back, again and again: node pinger.mjs PORT. Each line of
// its input asks for what was measured since the last one. Its target is its own, so that it measures
// nobody's else.

import { createInterface } from 'node:readline';
import { echo_target, tunnel } from './proxy-client.mjs';

const PAUSE_MS = 5;

const way = await tunnel(+process.argv[2], '127.0.0.1', (await echo_target()).port);
let took = [];

createInterface({ input: process.stdin }).on('line', () => {
	took.sort((a, b) => a - b);
	const at = (share) => took[Math.min(took.length - 1, Math.floor(took.length * share))];
	console.log(JSON.stringify({ count: took.length, median: at(0.5), p99: at(0.99), most: at(1) }));
	took = [];
}).on('close', () => process.exit());

for (;;) {
	took.push(await way.ping());
	await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
}
