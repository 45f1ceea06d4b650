// A file of UCI: read, changed and written in the form that `uci export` gives.

import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';

// A line's words, with the shell's quotes.
function words_of(line) {
	const words = [];
	const parts = /\s*(?:#.*$|((?:'[^']*'|"(?:[^"\\]|\\.)*"|\\.|[^\s'"\\#])+))/gsy;
	for (let found; parts.lastIndex < line.length && (found = parts.exec(line)); )
		if (found[1] != null)
			words.push(found[1].replace(/'([^']*)'|"((?:[^"\\]|\\.)*)"|\\(.)/gs,
				(_, single, double, escaped) => single ?? double?.replace(/\\(.)/gs, '$1') ?? escaped));
	return words;
}

const quoted = (value) => `'${String(value).replaceAll("'", "'\\''")}'`;

// The lines of a file; a quote that is open takes in the next one.
function lines_of(text) {
	const lines = [];
	let open = '';
	for (const line of text.split('\n')) {
		open += line;
		const bare = open.replace(/\\'|"(?:[^"\\]|\\.)*"/gs, '').replace(/^\s*#.*$/gm, '');
		if ((bare.match(/'/g) ?? []).length % 2) {
			open += '\n';
			continue;
		}
		lines.push(open);
		open = '';
	}
	return lines;
}

export class Config {
	constructor(text = '') {
		this.sections = [];
		for (const line of lines_of(text)) {
			const [ kind, first, second ] = words_of(line);
			const section = this.sections.at(-1);
			if (kind == 'config')
				this.sections.push({ type: first, name: second ?? this.free_name(), anonymous: second == null, options: {} });
			else if (kind == 'option')
				section.options[first] = second;
			else if (kind == 'list')
				section.options[first] = [ ...[ section.options[first] ?? [] ].flat(), second ];
		}
	}

	// null where there is no such file.
	static read(path) {
		return existsSync(path) ? new Config(readFileSync(path, 'utf8')) : null;
	}

	free_name() {
		for (let number = this.sections.length + 1; ; number++) {
			const name = `cfg${number.toString(16).padStart(2, '0')}92bd`;
			if (!this.sections.some((section) => section.name == name))
				return name;
		}
	}

	text() {
		return this.sections.map(({ type, name, anonymous, options }) => [
			`config ${type}${anonymous ? '' : ` ${quoted(name)}`}\n`,
			...Object.entries(options).map(([ option, value ]) => Array.isArray(value)
				? value.map((one) => `\tlist ${option} ${quoted(one)}\n`).join('')
				: `\toption ${option} ${quoted(value)}\n`)
		].join('')).join('\n');
	}

	write(path) {
		writeFileSync(`${path}.new`, this.text(), { mode: 0o600 });
		renameSync(`${path}.new`, path);
	}

	find(name) {
		return this.sections.find((section) => section.name == name);
	}

	// A section as rpcd and ucode show it.
	section(name) {
		const at = this.sections.findIndex((section) => section.name == name);
		if (at < 0)
			return null;
		const { type, anonymous, options } = this.sections[at];
		return { '.anonymous': anonymous, '.type': type, '.name': name, '.index': at, ...options };
	}

	values() {
		return Object.fromEntries(this.sections.map(({ name }) => [ name, this.section(name) ]));
	}

	get(name, option) {
		return this.section(name)?.[option];
	}

	add(type, name) {
		if (name != null && this.find(name))
			return name;
		const section = { type, name: name ?? this.free_name(), anonymous: name == null, options: {} };
		this.sections.push(section);
		return section.name;
	}

	// As on a router, what is empty goes away.
	set(name, option, value) {
		const section = this.find(name);
		if (!section)
			return false;
		if (value == null || value === '' || (Array.isArray(value) && !value.length))
			delete section.options[option];
		else
			section.options[option] = Array.isArray(value) ? value.map(String) : String(value);
		return true;
	}

	remove(name, option) {
		const section = this.find(name);
		if (!section)
			return false;
		if (option == null)
			this.sections.splice(this.sections.indexOf(section), 1);
		else
			delete section.options[option];
		return true;
	}

	order(names) {
		const place = (section) => names.includes(section.name) ? names.indexOf(section.name) : names.length;
		this.sections.sort((a, b) => place(a) - place(b));
	}
}
