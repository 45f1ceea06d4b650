// procd for one service: runs the init script, and what it says is to run.

import { spawn } from 'node:child_process';
import { appendFileSync, readFileSync, readdirSync, unlinkSync } from 'node:fs';
import { once } from 'node:events';
import { execute } from './shell.mjs';

// The calls that stand-in.sh has written down: the number of words and the words, ended by NUL.
function calls_of(record) {
	const words = record.split('\0');
	const calls = [];
	for (let at = 0; at < words.length - 1; at += 1 + +words[at])
		calls.push(words.slice(at + 1, at + 1 + +words[at]));
	return calls;
}

// What procd is told of each instance.
function instances_of(calls) {
	const told = {};
	let now = null;
	for (const [ call, kind, ...words ] of calls) {
		if (call == 'procd_open_instance')
			now = told[kind] = {};
		else if (call == 'procd_close_instance')
			now = null;
		else if (now && call == 'procd_set_param')
			now[kind] = words;
		else if (now && call == 'procd_append_param')
			now[kind] = [ ...now[kind] ?? [], ...words ];
	}
	return told;
}

export class Service {
	constructor(place) {
		this.place = place;
		this.running = {};
		this.told = {};
	}

	// Runs a command of the init script; what is to run then, runs.
	async command(action, ...words) {
		const { status } = execute(this.place, `"$IPKG_INSTROOT/etc/init.d/anklet" ${[ action, ...words ].join(' ')} 2>/dev/null`);
		await this.follow();
		return status;
	}

	// Does what the init script has said since the last time, whoever has run it.
	async follow() {
		if (this.is_closed)
			return;
		for (const file of readdirSync(this.place.path('told')).sort()) {
			const path = this.place.path(`told/${file}`);
			const calls = calls_of(readFileSync(path, 'utf8'));
			unlinkSync(path);
			await this.take(file.split('.')[1], calls);
		}
	}

	async take(action, calls) {
		if (action == 'stop')
			this.told = {};
		else if (action == 'start' || action == 'restart' || action == 'reload')
			this.told = instances_of(calls);
		else
			return;
		for (const name of Object.keys(this.running))
			if (!this.told[name] || this.told[name].error || action == 'restart' || this.is_changed(name))
				await this.end(name);
		for (const [ name, { error } ] of Object.entries(this.told))
			if (!error && !this.running[name])
				this.spawn(name);
		for (const [ call, , name, signal ] of calls)
			if (call == 'procd_send_signal' && signal == 'HUP')
				this.running[name]?.process.kill('SIGHUP');
	}

	is_changed(name) {
		return String(this.running[name].command) != String(this.told[name].command);
	}

	// Its log is the router's.
	spawn(name) {
		const { command } = this.told[name];
		const words = command.slice(1).filter((word, at, all) => word != '--syslog' && all[at - 1] != '--syslog');
		const child = spawn(command[0], words, { stdio: [ 'ignore', 'pipe', 'pipe' ], env: this.place.environment() });
		const log = (said) => {
			for (const line of String(said).split('\n').filter(Boolean))
				appendFileSync(this.place.path('log'), `Fri Nov 27 12:00:00 2026 daemon.info anklet[${child.pid}]: ${line}\n`);
		};
		child.stdout.on('data', log);
		child.stderr.on('data', log);
		this.running[name] = { command, process: child };
		child.on('exit', (code) => {
			if (this.running[name]?.process == child)
				delete this.running[name];
			if (this.told[name])
				this.told[name].exit_code = code;
		});
	}

	async end(name) {
		const { process: child } = this.running[name];
		delete this.running[name];
		if (child.exitCode == null && child.signalCode == null) {
			child.kill('SIGKILL');
			await once(child, 'exit');
		}
	}

	// As `ubus call service list` says.
	list() {
		const instances = Object.fromEntries(Object.entries(this.told).map(([ name, told ]) => {
			const running = this.running[name];
			return [ name, { running: Boolean(running), pid: running?.process.pid, command: running?.command ?? told.command, exit_code: told.exit_code } ];
		}));
		return { anklet: { instances } };
	}

	async close() {
		this.is_closed = true;
		for (const name of Object.keys(this.running))
			await this.end(name);
	}
}
