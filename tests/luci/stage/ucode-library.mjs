// The functions of ucode that our plugins use, and its modules fs, ubus and uci, for a router whose
// files are in a folder. Only what is used: any other name is not there, and calling it fails.

import * as fs from 'node:fs';
import { spawnSync } from 'node:child_process';
import { isIPv4, isIPv6 } from 'node:net';
import { execute } from './shell.mjs';
import { Config } from './config.mjs';
import { run } from './ucode.mjs';

const is_list = Array.isArray;
const is_object = (value) => value != null && typeof value == 'object' && !is_list(value);

function type_of(value) {
	if (value == null)
		return null;
	if (typeof value == 'number')
		return Number.isInteger(value) ? 'int' : 'double';
	if (typeof value == 'boolean')
		return 'bool';
	return is_list(value) ? 'array' : value instanceof RegExp ? 'regexp' : typeof value;
}

function text_of(value) {
	return value == null ? '' : typeof value == 'object' ? JSON.stringify(value) : String(value);
}

function format(pattern, ...values) {
	return pattern.replace(/%([-0+ ]*)([0-9]*)(?:\.([0-9]+))?([sdxXJcf%])/g, (_, flags, width, digits, kind) => {
		if (kind == '%')
			return '%';
		const value = values.shift();
		let said;
		switch (kind) {
		case 'd': said = String(Math.trunc(+value || 0)); break;
		case 'x': said = (+value || 0).toString(16); break;
		case 'X': said = (+value || 0).toString(16).toUpperCase(); break;
		case 'f': said = (+value || 0).toFixed(digits ?? 6); break;
		case 'J': said = JSON.stringify(value ?? null); break;
		case 'c': said = String.fromCharCode(value); break;
		default: said = text_of(value).slice(0, digits ?? undefined);
		}
		return flags.includes('-') ? said.padEnd(+width) : said.padStart(+width, flags.includes('0') ? '0' : ' ');
	});
}

function find(text, pattern) {
	if (typeof text != 'string')
		return null;
	if (pattern.global) {
		const found = [ ...text.matchAll(pattern) ].map((one) => [ ...one ]);
		return found.length ? found : null;
	}
	const one = pattern.exec(text);
	return one && [ ...one ].map((part) => part ?? null);
}

function bytes_of_address(text) {
	if (isIPv4(text ?? ''))
		return text.split('.').map(Number);
	if (!isIPv6(text ?? ''))
		return null;
	const [ head, tail ] = new URL(`http://[${text}]/`).hostname.slice(1, -1).split('::');
	const words = (part) => part ? part.split(':') : [];
	const missing = tail == null ? 0 : 8 - words(head).length - words(tail).length;
	return [ ...words(head), ...Array(missing).fill('0'), ...words(tail) ].flatMap((word) => [ parseInt(word, 16) >> 8, parseInt(word, 16) & 255 ]);
}

function trim(pattern) {
	return (text, signs) => {
		if (typeof text != 'string')
			return null;
		const set = (signs ?? ' \t\r\n').replace(/[\]\\^-]/g, '\\$&');
		return text.replace(new RegExp(pattern.replaceAll('SET', `[${set}]`), 'g'), '');
	};
}

const BUILTINS = {
	$each: (over) => over == null ? [] : is_list(over) ? over : Object.keys(over),
	$pairs: (over) => over == null ? [] : is_list(over) ? over.entries() : Object.entries(over),
	$in: (one, all) => is_list(all) ? all.includes(one) : is_object(all) && Object.hasOwn(all, one),
	length: (of) => of == null ? null : typeof of == 'string' ? of.length
		: is_list(of) ? of.length : is_object(of) ? Object.keys(of).length : null,
	push: (list, ...values) => (list.push(...values), values.at(-1)),
	pop: (list) => list.pop() ?? null,
	shift: (list) => list.shift() ?? null,
	unshift: (list, ...values) => (list.unshift(...values), values.at(-1)),
	slice: (list, ...range) => list.slice(...range),
	splice: (list, ...range) => list.splice(...range),
	sort: (list, compare) => list.sort(compare ?? ((a, b) => a < b ? -1 : a > b ? 1 : 0)),
	reverse: (of) => is_list(of) ? of.reverse() : [ ...of ].reverse().join(''),
	filter: (list, is_kept) => list.filter((one, at) => is_kept(one, at)),
	map: (list, change) => list.map((one, at) => change(one, at)),
	uniq: (list) => [ ...new Set(list) ],
	keys: (object) => is_object(object) ? Object.keys(object) : null,
	values: (object) => is_object(object) ? Object.values(object) : null,
	exists: (object, key) => is_object(object) && Object.hasOwn(object, key),
	index: (of, one) => of == null ? null : of.indexOf(one),
	rindex: (of, one) => of == null ? null : of.lastIndexOf(one),
	join: (between, list) => list.map(text_of).join(between),
	split: (text, at, limit) => {
		if (typeof text != 'string')
			return null;
		const parts = text.split(at);
		return limit && parts.length > limit
			? [ ...parts.slice(0, limit - 1), parts.slice(limit - 1).join(at) ] : parts;
	},
	match: find,
	replace: (text, what, by) => typeof text != 'string' ? null : text.replace(what, by),
	substr: (text, from, count) => text.substr(from, count),
	trim: trim('^SET+|SET+$'),
	ltrim: trim('^SET+'),
	rtrim: trim('SET+$'),
	lc: (text) => text_of(text).replace(/[A-Z]+/g, (part) => part.toLowerCase()),
	uc: (text) => text_of(text).replace(/[a-z]+/g, (part) => part.toUpperCase()),
	iptoarr: bytes_of_address,
	ord: (text, at) => text.charCodeAt(at ?? 0),
	chr: (...codes) => String.fromCharCode(...codes),
	hex: (text) => parseInt(text, 16),
	int: (value) => Math.trunc(Number(value)),
	min: (...values) => values.reduce((a, b) => b < a ? b : a),
	max: (...values) => values.reduce((a, b) => b > a ? b : a),
	type: type_of,
	json: (text) => typeof text == 'string' ? JSON.parse(text) : JSON.parse(text.read('all')),
	sprintf: format,
	print: (...values) => process.stdout.write(values.map(text_of).join('')),
	printf: (...values) => process.stdout.write(format(...values)),
	warn: (...values) => process.stderr.write(values.map(text_of).join('')),
	die: (why) => { throw new Error(why); },
	time: () => Math.floor(Date.now() / 1000),
	clock: () => { const now = Date.now(); return [ Math.floor(now / 1000), (now % 1000) * 1e6 ]; },
	regexp: (pattern, flags) => new RegExp(pattern, flags),
	b64enc: (text) => Buffer.from(text, 'latin1').toString('base64'),
	b64dec: (text) => Buffer.from(text, 'base64').toString('latin1')
};

// A file that is open, or what a command has said.
class Handle {
	constructor(text, done) {
		Object.assign(this, { text, done, written: null });
	}

	read(what) {
		const end = what == 'line' ? this.text.indexOf('\n') + 1 || this.text.length
			: typeof what == 'number' ? what : this.text.length;
		const said = this.text.slice(0, end);
		this.text = this.text.slice(end);
		return said;
	}

	write(text) {
		this.written = (this.written ?? '') + text_of(text);
		return text_of(text).length;
	}

	flush() { return true; }

	close() { return this.done(this.written); }
}

// What a pipe holds.
const PIPE = 65536;

let last_error = null;

// What a call of the system gives, null where it fails.
function attempt(call) {
	try {
		last_error = null;
		return call() ?? true;
	} catch (error) {
		last_error = error.code ?? error.message;
		return null;
	}
}

function files(router) {
	const at = (path) => router.path(path);
	const stat = (how) => (path) => attempt(() => {
		const found = how(at(path));
		const type = found.isFile() ? 'file' : found.isDirectory() ? 'directory' : found.isSymbolicLink() ? 'link' : 'other';
		const right = (bit) => Boolean(found.mode & bit);
		return {
			size: found.size, mode: found.mode & 0o7777, uid: found.uid, gid: found.gid, type,
			mtime: Math.floor(found.mtimeMs / 1000), inode: found.ino,
			perm: { other_write: right(2), other_read: right(4), group_write: right(0o20), group_read: right(0o40) }
		};
	});
	return {
		error: () => last_error,
		readfile: (path, limit) => attempt(() => fs.readFileSync(at(path), 'latin1').slice(0, limit)),
		writefile: (path, text) => attempt(() => (fs.writeFileSync(at(path), text_of(text), 'latin1'), text_of(text).length)),
		// Why it fails, it does not say: ucode keeps no error there.
		open: (path, mode = 'r', permission = 0o666) => attempt(() => {
			const file = fs.openSync(at(path), mode.replace('e', ''), permission);
			const text = mode.startsWith('r') ? fs.readFileSync(file, 'latin1') : '';
			return new Handle(text, (written) => {
				if (written != null)
					fs.writeSync(file, written, null, 'latin1');
				fs.closeSync(file);
				return true;
			});
		}) ?? (last_error = null),
		popen: (command, mode = 'r') => {
			if (mode == 'w')
				return new Handle('', (written) => execute(router, command, written ?? '').status);
			const ended = execute(router, command);
			// What a pipe does not hold, and nobody reads, ends its writer (SIGPIPE).
			const handle = new Handle(ended.stdout, () => handle.text.length > PIPE ? -13 : ended.status);
			return handle;
		},
		stat: stat(fs.statSync),
		lstat: stat(fs.lstatSync),
		access: (path) => attempt(() => fs.accessSync(at(path))) ?? false,
		unlink: (path) => attempt(() => fs.unlinkSync(at(path))),
		rename: (from, to) => attempt(() => fs.renameSync(at(from), at(to))),
		chmod: (path, mode) => attempt(() => fs.chmodSync(at(path), mode)),
		chown: (path) => attempt(() => fs.accessSync(at(path))),
		mkdir: (path, mode = 0o777) => attempt(() => fs.mkdirSync(at(path), mode)),
		rmdir: (path) => attempt(() => fs.rmdirSync(at(path))),
		lsdir: (path) => attempt(() => fs.readdirSync(at(path)).sort())
	};
}

// Of ucode's module uci: what is committed, and changes that are.
function configuration(router) {
	return {
		cursor: (where = '/etc/config') => {
			const folder = router.path(where), loaded = {};
			const of = (name) => loaded[name] ??= Config.read(`${folder}/${name}`);
			return {
				load: (name) => attempt(() => Boolean(of(name))) ?? false,
				unload: (name) => { delete loaded[name]; return true; },
				get: (name, section, option) => of(name)?.get(section, option ?? '.type') ?? null,
				get_all: (name, section) => section ? of(name)?.section(section) ?? null : of(name)?.values() ?? null,
				foreach: (name, type, visit) => {
					for (const section of Object.values(of(name)?.values() ?? {}))
						if ((type == null || section['.type'] == type) && visit(section) === false)
							break;
					return true;
				},
				set: (name, section, option, value) => value === undefined
					? of(name).add(option, section) && true : of(name).set(section, option, value),
				add: (name, type) => of(name).add(type),
				delete: (name, section, option) => of(name).remove(section, option),
				save: () => true,
				commit: (name) => (of(name).write(`${folder}/${name}`), true),
				changes: () => ({}),
				error: () => last_error
			};
		}
	};
}

// The scope of a plugin on a router; `said` is what others answer on ubus, by "OBJECT METHOD".
export function scope(router, said, library) {
	const modules = {
		fs: files(router),
		uci: configuration(router),
		ubus: {
			connect: () => ({ call: (object, method) => said[`${object} ${method}`] ?? null, error: () => null, disconnect: () => true })
		},
		log: { syslog: () => true, openlog: () => true }
	};
	const names = {
		...BUILTINS,
		ARGV: [],
		getenv: (name) => process.env[name] ?? null,
		system: (command) => {
			const words = is_list(command) ? command : [ '/bin/sh', '-c', command ];
			return spawnSync(words[0], words.slice(1), { env: router.environment(), stdio: 'ignore' }).status;
		},
		require: (name) => modules[name] ??= run(library(name), names)
	};
	names.global = names;
	return names;
}
