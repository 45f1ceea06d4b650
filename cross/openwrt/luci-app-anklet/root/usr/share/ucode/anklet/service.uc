// SPDX-License-Identifier: MIT OR Apache-2.0
//
// The service of anklet as a page shows it: its configuration without the passwords, what each
// instance is doing and why not, what "check" says of a configuration, the last lines of its log.

'use strict';

const anklet = require('anklet');
const fs = require('fs');
const uci = require('uci');

// Where the system begins: another folder than / for a test, as for OpenWrt's own scripts.
const ROOT = getenv('IPKG_INSTROOT') ?? '';
const CONFIG = `${ROOT}/etc/config`;
const INIT = `${ROOT}/etc/init.d/anklet`;
const FOLDER = `${ROOT}/var/run/anklet`;

// Where what is being edited is written for a check, and what uci takes for the folder of changes
// that somebody has not committed: they are not the page's.
const DRAFT = `${ROOT}/var/run/anklet.check`;
const NO_CHANGES = `${ROOT}/var/run/anklet.changes`;

const NO_ROOM = 'there is no room for a check';

// What is read of a command's words, and of one line of the log.
const WORDS_MAX = 64 * 1024;
const LINE_MAX = 1024;

const LINES = 50;
const LINES_MAX = 200;

// With s, because ^ and $ are at each line otherwise.
const NAME = /^[A-Za-z0-9_]+$/s;

// The options that nobody is told.
const SECRETS = [ 'password' ];

function is_name(text) {
	return type(text) == 'string' && match(text, NAME) != null;
}

// A word of a shell's command line.
function quoted(word) {
	return `'${replace(word, /'/g, `'\\''`)}'`;
}

// Runs a command of the shell: its status, and the beginning of what it says.
function run(command) {
	let pipe = fs.popen(command, 'r');
	if (!pipe)
		return { status: -1, words: '' };
	let words = pipe.read(WORDS_MAX) ?? '';
	// It writes all of it: where nobody reads any more, it would end in the middle.
	while (length(pipe.read(WORDS_MAX)))
		continue;
	return { words, status: pipe.close() };
}

function cursor() {
	return uci.cursor(CONFIG, NO_CHANGES);
}

// All sections in their order.
function sections() {
	let found = [];
	let all = cursor().get_all('anklet') ?? {};
	for (let name, section in all)
		push(found, section);
	return sort(found, (a, b) => a['.index'] - b['.index']);
}

// Those of the instances, without the passwords. Where a section "user" has a mistyped option, that may
// be one.
function config() {
	let instances = filter(sections(), (section) => section['.type'] == 'anklet');
	return {
		sections: map(instances, (section) => {
			for (let option in SECRETS)
				delete section[option];
			return section;
		})
	};
}

// A value as OpenWrt's scripts read it: of a list, its items with blanks between them.
function text_of(value) {
	return type(value) == 'array' ? join(' ', value) : value;
}

// A flag as they read it.
function is_on(value) {
	return index([ '1', 'on', 'true', 'yes', 'enabled' ], text_of(value)) >= 0;
}

// Why an instance is not as it is configured, in the words of the init script.
function why(name) {
	let text = fs.readfile(`${FOLDER}/${name}.why`, WORDS_MAX);
	if (!text)
		return null;
	text = trim(text);
	return index(text, `${name}: `) == 0 ? substr(text, length(name) + 2) : text;
}

// The devices among the listeners of a command line, and how many listeners there are.
function listeners(command) {
	let devices = [], count = 0;
	for (let i = 0; i < length(command) - 1; i++) {
		if (command[i] != '--listen')
			continue;
		count++;
		let device = split(command[i + 1], ':')[0];
		if (!match(command[i + 1], /^\[|:.*:/) && !match(device, /^[0-9.]*$/))
			push(devices, device);
	}
	return { devices, count };
}

// Whether a device has an address by now. One that netifd does not know has what somebody else
// gave it.
function has_address(device, networks) {
	let known = false;
	for (let network in networks) {
		if (network.l3_device != device && network.device != device)
			continue;
		known = true;
		if (length(anklet.addresses(network)))
			return true;
	}
	return !known && fs.access(`${ROOT}/sys/class/net/${device}`);
}

function state_of(found, section, reason, waits_for, listens) {
	if (found?.running) {
		if (!section)
			return 'gone';
		if (length(waits_for) && length(waits_for) == listens.count)
			return 'waiting';
		return index(found.command, '--status') >= 0 ? 'running' : 'unasked';
	}
	if (!is_on(section?.enabled))
		return 'disabled';
	return reason ? 'refused' : 'stopped';
}

function instance(name, found, section, networks) {
	let listens = listeners(found?.running ? found.command : []);
	let waits_for = filter(listens.devices, (device) => !has_address(device, networks));
	let reason = why(name);
	let said = {
		configured: section != null,
		enabled: is_on(section?.enabled),
		running: found?.running == true,
		state: state_of(found, section, reason, waits_for, listens),
		waits_for
	};
	if (reason)
		said.why = reason;
	if (found?.running)
		said.pid = found.pid;
	else if (found?.exit_code)
		said.exit_code = found.exit_code;
	return said;
}

// Each instance that is configured or runs.
function instances(ubus) {
	let service = ubus.call('service', 'list', { name: 'anklet' })?.anklet?.instances ?? {};
	let networks = ubus.call('network.interface', 'dump')?.interface;
	let said = {}, configured = {};
	for (let section in sections())
		if (section['.type'] == 'anklet')
			configured[section['.name']] = section;
	for (let name in uniq([ ...keys(configured), ...keys(service) ]))
		said[name] = instance(name, service[name], configured[name], networks);
	return { instances: said };
}

// A section in the form of UCI's files; null if it has a name that no file can have.
function written(section) {
	if (!is_name(section['.type']) || (!section['.anonymous'] && !is_name(section['.name'])))
		return null;
	let text = `config ${section['.type']}`;
	text += section['.anonymous'] ? '\n' : ` '${section['.name']}'\n`;
	for (let option, value in section) {
		if (substr(option, 0, 1) == '.')
			continue;
		if (!is_name(option))
			return null;
		let is_list = type(value) == 'array';
		for (let item in is_list ? value : [ value ])
			text += `\t${is_list ? 'list' : 'option'} ${option} ${quoted(`${item}`)}\n`;
	}
	return text;
}

function forget_draft() {
	for (let name in fs.lsdir(DRAFT) ?? [])
		fs.unlink(`${DRAFT}/${name}`);
	fs.rmdir(DRAFT);
}

// Writes sections as a configuration of their own, with the passwords that stand in the real one. Says
// why not.
function draft(edited) {
	let unnamed = 'a section or an option has a name that it cannot have';
	let real = cursor().get_all('anklet') ?? {};
	let text = '';
	for (let section in edited) {
		if (type(section) != 'object')
			return unnamed;
		for (let option in SECRETS)
			if (real[section['.name']]?.[option] != null)
				section[option] = real[section['.name']][option];
		let part = written(section);
		if (part == null)
			return unnamed;
		text += part;
	}
	let file = fs.open(`${DRAFT}/anklet`, 'wx', 0600);
	if (!file)
		return NO_ROOM;
	file.write(text);
	file.close();
	// A full memory is found out when the file is closed, and nobody is told.
	return fs.stat(`${DRAFT}/anklet`)?.size == length(text) ? null : NO_ROOM;
}

// What the service says of a configuration, the real one or the one given.
function check(edited) {
	forget_draft();
	let error = fs.mkdir(DRAFT, 0700) ? edited && draft(edited) : NO_ROOM;
	if (error) {
		forget_draft();
		return { error };
	}
	let faults = `${DRAFT}/faults`;
	let folder = edited ? `UCI_CONFIG_DIR=${quoted(DRAFT)} ` : '';
	let said = run(`${folder}${quoted(INIT)} check 2>${quoted(faults)}`);
	let wrong = fs.readfile(faults, WORDS_MAX) ?? '';
	forget_draft();
	let lines = (text) => filter(split(text, '\n'), (line) => line != '');
	return { ok: said.status == 0, lines: lines(said.words), wrong: uniq(lines(wrong)) };
}

// The last lines of the log, the newest at the end.
function log(count) {
	let limit = min(max(count ?? LINES, 1), LINES_MAX);
	let pipe = fs.popen('exec logread -e anklet 2>/dev/null', 'r');
	let lines = [];
	if (!pipe)
		return { lines };
	for (let line = pipe.read('line'); length(line); line = pipe.read('line')) {
		if (!match(line, / [a-z]+\.[a-z]+ anklet(\[[0-9]+\])?: /))
			continue;
		push(lines, substr(rtrim(line, '\n'), 0, LINE_MAX));
		if (length(lines) > limit)
			shift(lines);
	}
	pipe.close();
	return { lines };
}

// Has the init script do one of its actions.
function control(action) {
	if (index([ 'start', 'stop', 'restart', 'reload', 'enable', 'disable' ], action) < 0)
		return { error: 'there is no such action' };
	return { ok: run(`exec ${quoted(INIT)} ${action} 2>&1`).status == 0 };
}

return { ROOT, check, config, control, cursor, instances, is_name, log, quoted, run, sections, text_of, why };
