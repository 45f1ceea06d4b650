// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Who may log in: the users files of the instances, and the users that are set in UCI. A page adds,
// changes and removes users in a file, where no form of LuCI reads a password; those of UCI it can
// remove, or move into a file. Passwords come in, and none goes out.
//
// A file is replaced as a whole, after the program has found it right, and never one that would let
// somebody in whom the configuration does not: what cannot be done that way is refused in words.

'use strict';

const fs = require('fs');
const service = require('anklet.service');

const ROOT = service.ROOT;
const PROGRAM = `${ROOT}/usr/bin/anklet`;

// The usual users file, which the package has sysupgrade keep.
const USUAL = '/etc/anklet.users';

// The files that are written here, and no others: else who may change the option "users" could have
// the system's files written.
const OURS = /^\/etc\/anklet[A-Za-z0-9_.-]*$/s;

// The program's limits: bytes of a file, and of a name or a password.
const FILE_MAX = 1024 * 1024;
const CREDENTIAL_MAX = 255;

// Copies of the files that the init script makes.
const LAST_USERS = `${ROOT}/etc/anklet.last`;

function list_of(value) {
	if (type(value) == 'array')
		return value;
	return filter(split(value ?? '', ' '), (word) => word != '');
}

function is_ours(path) {
	return match(path, OURS) != null && index(path, '..') < 0;
}

// Text as it stands in a users file. The program would take a byte order mark at the beginning of
// the file for that, not for a part of a name.
function escaped(text) {
	let result = '';
	for (let i = 0; i < length(text); i++) {
		let byte = ord(text, i);
		if (byte <= 0x20 || byte == 0x7f || byte == 0xef || index('%:#', chr(byte)) >= 0)
			result += sprintf('%%%02x', byte);
		else
			result += chr(byte);
	}
	return result;
}

function decoded(text) {
	return replace(text, /%([0-9A-Fa-f][0-9A-Fa-f])/g, (all, digits) => chr(hex(digits)));
}

// The name of the user in a line of a file; null for one without.
function name_in(line) {
	let field = match(line, /^[ \t]*([^ \t#:][^ \t:]*):/);
	return field ? decoded(field[1]) : null;
}

// The lines of a file, without the mark that some editors put in front. Null where there is none
// that can be read.
function lines_of(path) {
	let is = fs.lstat(ROOT + path);
	if (is?.type != 'file' || is.size > FILE_MAX)
		return null;
	let text = fs.readfile(ROOT + path);
	if (text == null)
		return null;
	if (substr(text, 0, 3) == '\xef\xbb\xbf')
		text = substr(text, 3);
	let lines = map(split(text, '\n'), (line) => rtrim(line, '\r'));
	if (lines[length(lines) - 1] == '')
		pop(lines);
	return lines;
}

function names_of(lines) {
	return filter(map(lines ?? [], name_in), (name) => name != null);
}

// What the program finds wrong with a file.
function fault_of(path) {
	let command = `exec ${service.quoted(PROGRAM)} --check --users ${service.quoted(ROOT + path)}`;
	let said = service.run(`${command} 2>&1 >/dev/null`);
	if (said.status == 0)
		return null;
	return replace(trim(said.words), /^anklet: --users [^:]*: /s, '') || 'it cannot be checked';
}

// Puts a file in the place of the one before, readable for root alone. Says why not.
function write_file(path, lines) {
	// No users file that is written here has that name.
	let draft = `${path}~new`, text = join('\n', [ ...lines, '' ]);
	if (length(text) > FILE_MAX)
		return `${path}: larger than 1 MiB`;
	fs.unlink(ROOT + draft);
	let file = fs.open(ROOT + draft, 'wx', 0600);
	if (!file)
		return `${path}: ${fs.error() ?? 'it cannot be written'}`;
	file.write(text);
	file.close();
	// A full flash is found out when the file is closed.
	let is_whole = fs.stat(ROOT + draft)?.size == length(text);
	let why = is_whole ? fault_of(draft) : 'there is no room for it';
	if (why == null && !fs.rename(ROOT + draft, ROOT + path))
		why = fs.error();
	if (why == null)
		return null;
	fs.unlink(ROOT + draft);
	return `${path}: ${why}`;
}

// The instances with their files, and the users of UCI with the instances that they are for.
function configured() {
	let instances = [], uci = [];
	let sections = service.sections();
	for (let section in sections) {
		let name = section['.name'];
		if (section['.type'] != 'anklet')
			continue;
		push(instances, { name, path: service.text_of(section.users) ?? null });
		if (section.user != null || section.password != null)
			push(uci, {
				section: name,
				kind: 'anklet',
				user: service.text_of(section.user),
				password: service.text_of(section.password),
				instances: [ name ]
			});
	}
	for (let section in sections)
		if (section['.type'] == 'user')
			push(uci, {
				section: section['.name'],
				kind: 'user',
				user: service.text_of(section.name),
				password: service.text_of(section.password),
				instances: list_of(section.instance)
			});
	return { instances, uci };
}

// The names of the instances that a user of UCI is for: without any, all of them.
function instances_of(entry, all) {
	return length(entry.instances) ? entry.instances : map(all.instances, (instance) => instance.name);
}

function instance_of(name, all) {
	return filter(all.instances, (instance) => instance.name == name)[0];
}

function readers_of(path, all) {
	return map(filter(all.instances, (instance) => instance.path == path), (instance) => instance.name);
}

// A file for an instance that has none: the usual one, if it is nobody's, or one with its name. Not
// one that is there already: its users would come back.
function new_path(name, all) {
	for (let path in [ USUAL, `/etc/anklet.${name}.users` ])
		if (!length(readers_of(path, all)) && !fs.lstat(ROOT + path))
			return path;
	return null;
}

// Whether a user of UCI has this name, for an instance that reads the file.
function is_in_uci(name, readers, all) {
	for (let entry in all.uci)
		if (entry.user == name)
			for (let instance in instances_of(entry, all))
				if (index(readers, instance) >= 0)
					return true;
	return false;
}

// Changes the configuration, on flash. `change` is given a cursor. Says why not.
function change_uci(change) {
	let cursor = service.cursor();
	cursor.load('anklet');
	if (change(cursor) === false || !cursor.commit('anklet'))
		return `/etc/config/anklet: ${cursor.error() ?? 'it cannot be changed'}`;
	return null;
}

// Has the service take over what was changed; what it says of the instances that are concerned.
function reload(names) {
	service.control('reload');
	let said = map(names, (name) => service.why(name));
	said = filter(said, (why) => why != null);
	return length(said) ? { ok: true, why: join('; ', said) } : { ok: true };
}

// The file of an instance: { path, readers, lines, is_new }, or { error }.
function file_of(name, all) {
	let instance = instance_of(name, all);
	if (!instance)
		return { error: 'there is no such instance' };
	if (instance.path == null) {
		let path = new_path(name, all);
		if (!path)
			return { error: `${USUAL} is there already: name a users file in the settings of ${name}` };
		return { path, readers: [ name ], lines: [], is_new: true };
	}
	if (!is_ours(instance.path))
		return { error: `${instance.path} is kept by hand: this page writes only files /etc/anklet*` };
	let lines = fs.lstat(ROOT + instance.path) ? lines_of(instance.path) : [];
	if (!lines)
		return { error: `${instance.path}: not a file that can be read` };
	return { path: instance.path, readers: readers_of(instance.path, all), lines };
}

function fault_of_credential(text, what) {
	if (type(text) != 'string' || !length(text) || length(text) > CREDENTIAL_MAX)
		return `a ${what} has 1 to 255 bytes`;
	return null;
}

// Writes the lines of a file, and where it is new, the option that names it.
function keep(file, lines) {
	let before = file.lines;
	let why = write_file(file.path, lines);
	if (why || !file.is_new)
		return why;
	why = change_uci((cursor) => {
		for (let reader in file.readers)
			if (!cursor.set('anklet', reader, 'users', file.path))
				return false;
	});
	if (why)
		fs.unlink(ROOT + file.path);
	return why;
}

// Adds a user to the file of an instance, or gives one another password.
function set_user(args) {
	let name = args.name, password = args.password;
	let why = fault_of_credential(name, 'user name') ?? fault_of_credential(password, 'password');
	if (why)
		return { error: why };
	let all = configured();
	let file = file_of(args.instance, all);
	if (file.error)
		return file;
	let at = index(map(file.lines, name_in), name);
	if (args.create && (at >= 0 || is_in_uci(name, file.readers, all)))
		return { error: 'there is a user of this name already' };
	if (!args.create && at < 0)
		return { error: 'there is no such user in the file' };
	let lines = [ ...file.lines ];
	let line = `${escaped(name)}:${escaped(password)}`;
	if (args.create)
		push(lines, line);
	else
		lines[at] = line;
	why = keep(file, lines);
	return why ? { error: why } : { path: file.path, ...reload(file.readers) };
}

// The instances among these that would have no users at all any more, and serve the local networks
// without a password. `entry` is the user of UCI that goes; `path` the file that does.
function opened(names, all, entry, path) {
	return filter(names, (name) => {
		let instance = instance_of(name, all);
		if (instance?.path != null && instance.path != path)
			return false;
		for (let other in all.uci)
			if (other != entry && index(instances_of(other, all), name) >= 0)
				return false;
		return true;
	});
}

// What removing the last user would do: it has to be asked for by that.
function last_one(names) {
	return {
		last: true, opens: names,
		error: `it is the last user of ${join(', ', names)}: without users, the local networks are ` +
			'served without a password'
	};
}

// Of a user of UCI, what names it and its password.
function without(cursor, entry) {
	if (entry.kind == 'user')
		return cursor.delete('anklet', entry.section);
	for (let option in [ 'user', 'password' ])
		if (entry[option] != null && !cursor.delete('anklet', entry.section, option))
			return false;
}

function entry_of(section, all) {
	return filter(all.uci, (entry) => entry.section == section)[0];
}

function remove_from_uci(args) {
	let all = configured();
	let entry = entry_of(args.section, all);
	if (!entry)
		return { error: 'there is no such user' };
	let names = instances_of(entry, all);
	let open = opened(names, all, entry, null);
	if (length(open) && !args.last)
		return last_one(open);
	let why = change_uci((cursor) => without(cursor, entry));
	return why ? { error: why } : reload(names);
}

// A file without users does not count, and those that were right last do: with its last user the
// file goes, and the option that names it.
function remove_file(file, all, args) {
	let open = opened(file.readers, all, null, file.path);
	if (!args.last)
		return length(open) ? last_one(open)
			: { last: true, opens: [], error: `it is the last user of ${file.path}: the file goes with it` };
	let why = change_uci((cursor) => {
		for (let reader in file.readers)
			if (!cursor.delete('anklet', reader, 'users'))
				return false;
	});
	if (why)
		return { error: why };
	fs.unlink(ROOT + file.path);
	for (let reader in file.readers)
		fs.unlink(`${LAST_USERS}/${reader}`);
	return reload(file.readers);
}

// Removes a user from the file of an instance, or from UCI.
function remove_user(args) {
	if (args.section)
		return remove_from_uci(args);
	let why = fault_of_credential(args.name, 'user name');
	if (why)
		return { error: why };
	let all = configured();
	let file = file_of(args.instance, all);
	if (file.error)
		return file;
	let lines = filter(file.lines, (line) => name_in(line) != args.name);
	if (length(lines) == length(file.lines))
		return { error: 'there is no such user in the file' };
	if (!length(names_of(lines)))
		return remove_file(file, all, args);
	why = write_file(file.path, lines);
	return why ? { error: why } : { path: file.path, ...reload(file.readers) };
}

// Where a user of UCI would be moved to: as file_of. Not into a file that lets him in elsewhere.
function file_for(entry, all) {
	let names = instances_of(entry, all);
	let paths = uniq(map(names, (name) => instance_of(name, all)?.path));
	if (!length(names) || fault_of_credential(entry.user, 'name') ||
		fault_of_credential(entry.password, 'password'))
		return { error: 'it is not complete' };
	if (length(paths) > 1)
		return { error: 'its instances have different users files' };
	let file = file_of(names[0], all);
	if (file.error)
		return file;
	if (file.is_new)
		file.readers = names;
	let others = filter(file.readers, (reader) => index(names, reader) < 0);
	if (length(others))
		return {
			error: `${file.path} is the users file of ${join(', ', others)} too, ` +
				'where this user may not log in'
		};
	if (index(names_of(file.lines), entry.user) >= 0)
		return { error: 'there is a user of this name in the file already' };
	return file;
}

// Moves a user of UCI into the file of its instances. It is in the file before it is out of UCI:
// where the second fails, the first is taken back.
function move_user(args) {
	let all = configured();
	let entry = entry_of(args.section, all);
	if (!entry)
		return { error: 'there is no such user' };
	let file = file_for(entry, all);
	if (file.error)
		return file;
	let line = `${escaped(entry.user)}:${escaped(entry.password)}`;
	let why = write_file(file.path, [ ...file.lines, line ]);
	if (why)
		return { error: why };
	why = change_uci((cursor) => {
		if (without(cursor, entry) === false)
			return false;
		for (let reader in file.is_new ? file.readers : [])
			if (!cursor.set('anklet', reader, 'users', file.path))
				return false;
	});
	if (!why)
		return { path: file.path, ...reload(file.readers) };
	if (length(file.lines))
		write_file(file.path, file.lines);
	else
		fs.unlink(ROOT + file.path);
	return { error: why };
}

// A users file as a page shows it.
function shown(path, all) {
	let said = { path, instances: readers_of(path, all), writable: is_ours(path), users: [] };
	if (!said.writable)
		return said;
	let lines = lines_of(path);
	let is_there = fs.lstat(ROOT + path) != null;
	let why = lines ? fault_of(path)
		: (is_there ? 'not a file that can be read' : 'there is no such file');
	said.users = names_of(lines);
	return why ? { ...said, why } : said;
}

// All that may log in, without their passwords.
function accounts() {
	let all = configured();
	let paths = uniq(map(all.instances, (instance) => instance.path));
	paths = filter(paths, (path) => path != null);
	return {
		instances: all.instances,
		files: map(paths, (path) => shown(path, all)),
		uci: map(all.uci, (entry) => {
			let why = file_for(entry, all).error;
			let said = {
				section: entry.section, kind: entry.kind,
				name: entry.user ?? '', instances: entry.instances
			};
			return why ? { ...said, why } : said;
		})
	};
}

return { accounts, move_user, remove_user, set_user };
