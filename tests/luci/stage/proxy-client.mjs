// Those who use the proxy, and what they reach: a target that sends back what it gets, a name server
// that knows every name, and clients of SOCKS5.

import { createServer, connect } from 'node:net';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';

// A target on this machine that sends everything back.
export async function echo_target() {
	const server = createServer((socket) => socket.on('error', () => {}).pipe(socket)).listen(0, '127.0.0.1');
	await once(server, 'listening');
	return { port: server.address().port, close: () => server.close() };
}

// Every name is 127.0.0.1, whatever signs it has.
export async function name_server() {
	const socket = createSocket('udp4').bind(0, '127.0.0.1');
	await once(socket, 'listening');
	socket.on('message', (query, from) => {
		let end = 12;
		while (query[end])
			end += query[end] + 1;
		const question = query.subarray(12, end + 5);
		const is_v4 = question.readUInt16BE(question.length - 4) == 1;
		const head = Buffer.from([ ...query.subarray(0, 2), 0x81, 0x80, 0, 1, 0, is_v4 ? 1 : 0, 0, 0, 0, 0 ]);
		const record = Buffer.from([ 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1 ]);
		socket.send(Buffer.concat(is_v4 ? [ head, question, record ] : [ head, question ]), from.port, from.address);
	});
	return { port: socket.address().port, close: () => socket.close() };
}

class Bytes {
	constructor(socket) {
		this.socket = socket;
		this.held = Buffer.alloc(0);
		this.is_over = false;
		socket.on('data', (part) => { this.held = Buffer.concat([ this.held, part ]); this.wake?.(); });
		for (const end of [ 'end', 'error', 'close' ])
			socket.on(end, (error) => {
				this.is_over = true;
				this.error ??= error instanceof Error ? error : null;
				this.wake?.();
			});
	}

	async read(count) {
		while (this.held.length < count) {
			if (this.is_over)
				throw this.error ?? new Error('the proxy has closed');
			await new Promise((resolve) => { this.wake = resolve; });
		}
		const said = this.held.subarray(0, count);
		this.held = this.held.subarray(count);
		return said;
	}
}

// A tunnel to a name or an address; throws where it is refused.
export async function tunnel(port, host, target, login = null) {
	const socket = connect(port, '127.0.0.1');
	const bytes = new Bytes(socket);
	socket.setNoDelay();
	try {
		socket.write(Buffer.from([ 5, 1, login ? 2 : 0 ]));
		const [ , method ] = await bytes.read(2);
		if (method == 0xff)
			throw new Error('no method');
		if (login) {
			const [ name, password ] = login.map((part) => Buffer.from(part));
			socket.write(Buffer.concat([ Buffer.from([ 1, name.length ]), name, Buffer.from([ password.length ]), password ]));
			const [ , status ] = await bytes.read(2);
			if (status)
				throw new Error('wrong password');
		}
		const name = Buffer.from(host);
		const address = /^[0-9.]+$/.test(host) ? [ 1, ...host.split('.') ] : [ 3, name.length, ...name ];
		socket.write(Buffer.from([ 5, 1, 0, ...address, target >> 8, target & 255 ]));
		const [ , reply ] = await bytes.read(10);
		if (reply)
			throw new Error(`reply ${reply}`);
	} catch (error) {
		socket.destroy();
		throw error;
	}
	return {
		port: socket.localPort,
		// There and back.
		async send(count) {
			socket.write(Buffer.alloc(count, 'x'));
			await bytes.read(count);
		},
		async ping() {
			const start = process.hrtime.bigint();
			await this.send(1);
			return Number(process.hrtime.bigint() - start) / 1e6;
		},
		close: () => socket.destroy()
	};
}

export async function is_let_in(port, target, login) {
	try {
		(await tunnel(port, '127.0.0.1', target, login)).close();
		return true;
	} catch {
		return false;
	}
}
