'use strict';
'require view';
'require dom';
'require uci';
'require ui';
'require form';
'require network';
'require firewall';
'require tools.widgets as widgets';
'require anklet.calls as calls';

/* global calls */

/* The options of /etc/config/anklet. Users are not among them: a form would send their passwords to each
 * browser that shows it. They have a page of their own.
 *
 * What is checked here is what can be told at once; the program judges the rest ("Check"). */

/* The program's limits. */
const SESSIONS_MAX = 65535;
const BUFFERS_MIN = 4;
const BUFFER_BYTES_MIN = 256;
const BUFFER_BYTES_MAX = 65536;
const WRONG_PASSWORDS_MAX = 65535;
/* The init script's; the other is the kernel's, unless somebody has changed fs.nr_open. */
const DESCRIPTORS_MIN = 32;
const DESCRIPTORS_MAX = 1048576;

/* Seconds. */
const TIMEOUT_MAX = 30 * 24 * 3600;
const PEER_TIMEOUT_MAX = 24 * 24 * 3600;

/* Of the lines of a check. */
const WARNING = 'warning: ';
const OWN_PORT = 'by this instance, if it runs';

const IPV4 = /^(25[0-5]|2[0-4]\d|1?\d?\d)(\.(25[0-5]|2[0-4]\d|1?\d?\d)){3}$/;
const IPV6 = /^(?=.*:)[0-9a-f:]+(:(\d{1,3}\.){3}\d{1,3})?$/i;
/* A device has 15 signs at most. A network has no more where LuCI has made it, but may in UCI. */
const NAME = /^([A-Za-z0-9_.@-]{1,15}|[A-Za-z0-9_]+)$/;

function isAddress(text) {
	return IPV4.test(text) || IPV6.test(text);
}

function isPort(text) {
	return /^\d{1,5}$/.test(text) && +text <= 65535;
}

/* An address, a prefix, or the name of a network or a device. */
function isNet(text) {
	const parts = text.split('/');

	if (parts.length === 2)
		return isAddress(parts[0]) && /^\d{1,3}$/.test(parts[1]) && +parts[1] <= (IPV4.test(parts[0]) ? 32 : 128);

	return isAddress(text) || (NAME.test(text) && !/^[\d.]+$/.test(text));
}

/* The same with a port behind it, IPv6 in brackets then; `isRest` judges what is behind the colon. */
function isWithPort(text, isFirst, isRest) {
	const bracketed = /^\[([^\]]+)\](?::(.*))?$/.exec(text);

	if (bracketed)
		return isFirst(bracketed[1]) && bracketed[1].includes(':') && (bracketed[2] == null || isRest(bracketed[2]));

	if (isFirst(text))
		return true;

	const colon = text.lastIndexOf(':');

	return colon > 0 && !text.slice(0, colon).includes(':') && isFirst(text.slice(0, colon)) && isRest(text.slice(colon + 1));
}

function isPorts(text) {
	const ends = text.split('-');

	return ends.length <= 2 && ends.every(isPort) && +ends[0] <= +ends[ends.length - 1];
}

const isListener = (text) => isWithPort(text, (host) => isNet(host) && !host.includes('/'), isPort);
const isDestination = (text) => isWithPort(text, isNet, isPorts);
const isNameServer = (text) => isWithPort(text, isAddress, isPort);
const isSource = (text) => isNet(text) && !text.includes('/');
const isRelayRange = (text) => text.includes('-') && isPorts(text) && +text.split('-')[0] > 0;
const isMark = (text) => /^(0x[0-9a-f]{1,8}|\d{1,10})$/i.test(text);

/* A validator of LuCI: nothing typed is right. */
function expecting(isRight, what) {
	return (section, value) => value == null || value === '' || isRight(value) || _('Expecting: %s').format(what);
}

/* The same for a drop-down list, whose values LuCI hands over as one text with blanks between them. */
function expectingEach(isRight, what) {
	return expecting((value) => value.trim().split(/\s+/).every(isRight), what);
}

/* A list may stand in UCI as one text with commas as well. */
function itemsOf(value) {
	const items = Array.isArray(value) ? value : [ value ?? '' ];

	return items.flatMap((item) => item.split(',')).map((item) => item.trim()).filter((item) => item !== '');
}

/* What can be chosen and typed, in LuCI's drop-down list: what is in UCI stays in it, known or not, and in
 * its order. */
function renderChoices(option, section_id, values, choices, create) {
	const others = Object.keys(choices).filter((name) => !values.includes(name)).sort(L.naturalCompare);

	for (const value of values)
		choices[value] ??= E('span', {}, [ value ]);

	return new ui.Dropdown(values, choices, {
		id: option.cbid(section_id),
		sort: values.concat(others),
		multiple: true,
		optional: true,
		create: create,
		display_items: 5,
		dropdown_items: 10,
		select_placeholder: E('em', {}, [ option.placeholder ?? _('unspecified') ]),
		custom_placeholder: option.typing,
		validate: L.bind(option.validate, option, section_id),
		disabled: option.readonly ?? option.map.readonly
	}).render();
}

/* LuCI's list of networks, for options where an address or a device can stand as well. */
const NetworkList = widgets.NetworkSelect.extend({
	__name__: 'CBI.AnkletNetworkList',

	/* Not by super: that of the parent calls its own super late, and would find itself. */
	load(section_id) {
		return network.getNetworks().then((networks) => {
			this.networks = networks;

			return form.ListValue.prototype.load.call(this, section_id);
		});
	},

	renderWidget(section_id, option_index, cfgvalue) {
		const choices = {};

		for (const network of this.networks)
			if (network.getName() !== 'loopback')
				choices[network.getName()] = this.renderIfaceBadge(network);

		return renderChoices(this, section_id, itemsOf(cfgvalue), choices, true);
	}
});

/* LuCI's list of the firewall's zones. */
const ZoneList = widgets.ZoneSelect.extend({
	__name__: 'CBI.AnkletZoneList',

	load(section_id) {
		return firewall.getZones().then((zones) => {
			this.zones = zones;

			return form.ListValue.prototype.load.call(this, section_id);
		});
	},

	renderWidget(section_id, option_index, cfgvalue) {
		const choices = {};

		for (const zone of this.zones)
			choices[zone.getName()] = E('span', { 'class': 'zonebadge' }, [ zone.getName() ]);

		return renderChoices(this, section_id, L.toArray(cfgvalue), choices, false);
	}
});

/* OpenWrt's scripts take more words for a flag that is on. */
const Flag = form.Flag.extend({
	load(section_id) {
		return Promise.resolve(this.super('load', [ section_id ])).then((value) => {
			return /^(on|true|yes|enabled)$/.test(value) ? '1' : value;
		});
	}
});

function addList(s, tab, name, title, description, isRight, what) {
	const o = s.taboption(tab, NetworkList, name, title, description);

	o.multiple = true;
	o.typing = what;
	o.validate = expectingEach(isRight, what);

	return o;
}

function addNumber(s, tab, name, title, description, placeholder, min, max) {
	const o = s.taboption(tab, form.Value, name, title, description);

	o.datatype = 'and(uinteger,range(%d,%d))'.format(min, max);
	o.placeholder = placeholder;

	return o;
}

function addGeneral(s) {
	let o;

	o = s.taboption('general', Flag, 'enabled', _('Enable'), _('Start this instance.'));
	o.rmempty = false;

	o = addList(s, 'general', 'listenip', _('Listen on'),
		_('Networks, addresses or devices, 8 at most; a port may follow (lan:1081). If empty: everywhere.'),
		isListener, _('network, address or device, and a port'));
	o.placeholder = _('everywhere');

	o = s.taboption('general', form.Value, 'port', _('Port'), _('Of the listeners without one of their own. 0: any that is free.'));
	o.datatype = 'port';
	o.placeholder = '1080';

	o = s.taboption('general', ZoneList, 'open', _('Open in the firewall'),
		_('Zones from which its ports can be reached, beside those that let everything in, as lan does. Never wan without users.'));
	o.multiple = true;
	o.placeholder = _('none');

	s.taboption('general', Flag, 'status', _('Show status'),
		_('Lets programs of this router, and nobody else, ask for the sessions: the page "Live" does.'));
}

function addClients(s) {
	let o;

	addList(s, 'clients', 'clients', _('Clients'),
		_('The only clients that are served. If empty: anybody with a password or, without users, the local networks.'),
		isNet, _('network, address or prefix')).placeholder = _('default');

	addList(s, 'clients', 'trust', _('Trusted'), _('Clients that need no password. Only with users.'),
		isNet, _('network, address or prefix')).placeholder = _('none');

	o = s.taboption('clients', form.Value, 'users', _('Users file'),
		_('One NAME:PASSWORD per line. The page "Users" writes it, if it is /etc/anklet.users or another /etc/anklet*.'));
	o.placeholder = _('none');
	o.validate = expecting((path) => path.startsWith('/'), _('absolute path'));

	s.taboption('clients', Flag, 'auth_once', _('Password once'),
		_('An address that has authenticated needs no password again until it was idle for an hour.'));

	addNumber(s, 'clients', 'ban', _('Ban'), _('Keep a client out for ten minutes after so many wrong passwords.'), _('never'), 1, WRONG_PASSWORDS_MAX);
}

function addDestinations(s) {
	addList(s, 'destinations', 'permit', _('Permit'),
		_('Further destinations; clients reach the Internet and their own subnet. A port or a range may follow (192.168.1.20:443).'),
		isDestination, _('network, address or prefix, and ports')).placeholder = _('none');

	addList(s, 'destinations', 'block', _('Block'),
		_('Destinations that are refused. Of both lists the longest prefix decides, then the narrower ports, then "Permit".'),
		isDestination, _('network, address or prefix, and ports')).placeholder = _('none');
}

function addWayOut(s) {
	let o;

	addList(s, 'out', 'bindaddr', _('Way out'),
		_('A network, a device, or one address per family. Beside a tunnel, name the name servers, too.'),
		isSource, _('network, device or address')).placeholder = _('the default route');

	o = s.taboption('out', form.DynamicList, 'dns', _('Name servers'), _('3 at most, in the place of those of this router.'));
	o.placeholder = '9.9.9.9';
	o.validate = expecting(isNameServer, _('address, and a port'));

	o = s.taboption('out', form.ListValue, 'prefer', _('First family'), _('Of the addresses of a name, the ones that are tried first.'));
	o.value('', _('IPv6'));
	o.value('4', _('IPv4'));
	o.depends({ ipv4: '0', ipv6: '0' });

	s.taboption('out', Flag, 'ipv4', _('IPv4 only'));
	s.taboption('out', Flag, 'ipv6', _('IPv6 only'));

	o = s.taboption('out', form.Value, 'mark', _('Firewall mark'),
		_('Of everything that goes out, decimal or 0x hexadecimal. Takes the package procd-ujail, or the program runs as root.'));
	o.placeholder = _('none');
	o.validate = expecting(isMark, _('number'));
}

function addProtocols(s) {
	let o;

	s.taboption('protocols', Flag, 'no_socks4', _('No SOCKS4'));
	s.taboption('protocols', Flag, 'no_http', _('No HTTP proxy'));
	s.taboption('protocols', Flag, 'no_udp', _('No UDP'));
	s.taboption('protocols', Flag, 'no_bind', _('No BIND'));

	o = s.taboption('protocols', form.Value, 'relay_ports', _('Relay ports'), _('Of UDP and BIND, for a rule of the firewall: 40000-40999.'));
	o.placeholder = _('any');
	o.validate = expecting(isRelayRange, _('range of ports'));
	o.depends('no_udp', '0');
	o.depends('no_bind', '0');

	o = s.taboption('protocols', form.DynamicList, 'public', _('Public address'),
		_('To announce to clients of UDP and BIND behind address translation, one per family.'));
	o.validate = expecting(isAddress, _('address'));
	o.depends('no_udp', '0');
	o.depends('no_bind', '0');

	o = s.taboption('protocols', Flag, 'udp_strict', _('Strict UDP'), _('Only remotes that the client has sent to may answer.'));
	o.depends('no_udp', '0');
}

function addLimits(s) {
	addNumber(s, 'limits', 'max_sessions', _('Sessions'), _('At once.'), _('what memory allows'), 1, SESSIONS_MAX);
	addNumber(s, 'limits', 'max_per_client', _('Sessions per client'),
		_('Of one IPv4 address or IPv6 /64. A full house is shared by itself.'), _('no limit'), 1, SESSIONS_MAX);
	addNumber(s, 'limits', 'buffers', _('Buffers'), _('Of all sessions together.'), _('what memory allows'), BUFFERS_MIN, SESSIONS_MAX);
	addNumber(s, 'limits', 'buffer_size', _('Size of a buffer'), _('In bytes.'), '8192', BUFFER_BYTES_MIN, BUFFER_BYTES_MAX);
	addNumber(s, 'limits', 'nofile', _('Descriptors'), _('Two for each session, and some.'), '20000', DESCRIPTORS_MIN, DESCRIPTORS_MAX);

	s.taboption('limits', Flag, 'no_splice', _('No splicing'), _('Copy what is much, too, instead of having the kernel do it.'));
	s.taboption('limits', Flag, 'reuseport', _('Shared port'), _('Several instances listen on one port.'));
}

function addTimeouts(s) {
	const add = (name, title, description, placeholder, max) => {
		return addNumber(s, 'timeouts', name, title, description, placeholder, 1, max ?? TIMEOUT_MAX);
	};

	add('handshake_timeout', _('Handshake'), _('The whole of it.'), '10');
	add('connect_timeout', _('Connect'), _('Name lookup and connect together.'), '15');
	add('idle_timeout', _('Idle'), _('A tunnel without a byte.'), '7440');
	add('half_close_timeout', _('Half-closed'), _('The same after one side has ended.'), '60');
	add('udp_timeout', _('UDP'), _('An association without a datagram.'), '120').depends('no_udp', '0');
	add('bind_timeout', _('BIND'), _('Until a peer connects.'), '120').depends('no_bind', '0');
	add('peer_timeout', _('Peer'), _('One that acknowledges nothing.'), _("the kernel's, some 900"), PEER_TIMEOUT_MAX);
}

function addLog(s) {
	let o;

	s.taboption('log', Flag, 'quiet', _('Quiet'), _('Of sessions, only those that were refused or whose name was not found.'));

	o = s.taboption('log', form.ListValue, 'verbose', _('Verbose'));
	o.value('', _('One line per session'));
	o.value('1', _('More'));
	o.value('2', _('Everything'));
	o.depends('quiet', '0');
}

function addTabs(s) {
	s.tab('general', _('General'));
	s.tab('clients', _('Clients'), _('Users are on a page of their own.'));
	s.tab('destinations', _('Destinations'));
	s.tab('out', _('Way out'));
	s.tab('protocols', _('Protocols'));
	s.tab('limits', _('Limits'));
	s.tab('timeouts', _('Timeouts'), _('In seconds.'));
	s.tab('log', _('Log'));
}

function addOptions(m) {
	const s = m.section(form.TypedSection, 'anklet');

	s.addremove = true;
	s.anonymous = false;
	s.addbtntitle = _('Add instance');

	addTabs(s);
	addGeneral(s);
	addClients(s);
	addDestinations(s);
	addWayOut(s);
	addProtocols(s);
	addLimits(s);
	addTimeouts(s);
	addLog(s);
}

/* The sections as they are in the form, without the passwords of those that UCI has. */
function editedSections() {
	return uci.sections('anklet').map((section) => {
		const edited = {};

		for (const name in section) {
			const value = name.startsWith('.') ? section[name] : uci.get('anklet', section['.name'], name);

			if (value != null && name !== 'password')
				edited[name] = value;
		}

		return edited;
	});
}

/* The warnings among the lines of a check, each with its instance, whose name stands in front of its
 * lines. That a port is in use by an instance that runs is none. */
function warningsIn(lines) {
	const warnings = [];
	let instance = '';

	for (const line of lines) {
		if (/^[A-Za-z0-9_]+:$/.test(line))
			instance = line;
		else if (line.startsWith(WARNING) && !line.endsWith(OWN_PORT))
			warnings.push('%s %s'.format(instance, line.slice(WARNING.length)));
	}

	return warnings;
}

return view.extend({
	/* Who may not write may not read UCI's configuration, either, because of its passwords: the plugin
	 * has it without them. */
	load() {
		return L.hasViewPermission() ? null : calls.config();
	},

	render(readable) {
		const title = [ _('SOCKS Proxy'), _('Each instance is a proxy of its own. Where an address can stand, so can a network.') ];
		const sections = readable?.sections?.filter((section) => section['.type'] === 'anklet');
		const m = readable ? new form.JSONMap({ anklet: sections ?? [] }, ...title) : new form.Map('anklet', ...title);

		if (readable) {
			m.readonly = true;
			this.handleSaveApply = this.handleSave = this.handleReset = null;
		}

		addOptions(m);
		this.map = m;
		this.verdict = E('div', { 'id': 'anklet-verdict', 'style': 'margin:.5em 0' }, []);

		return m.render().then((node) => E('div', {}, [
			node,
			E('div', { 'class': 'cbi-section' }, [
				E('h3', {}, [ _('Check') ]),
				E('div', { 'class': 'cbi-section-descr' }, [ _('What the program says of the configuration: what is wrong, what to think of, and what is in force with it.') ]),
				this.renderCheck(readable),
				this.verdict
			])
		]));
	},

	/* For a reader, that of the configuration as it is. */
	renderCheck(readable) {
		if (!readable)
			return E('button', {
				'id': 'anklet-check',
				'class': 'btn cbi-button cbi-button-action',
				'click': ui.createHandlerFn(this, 'handleCheck')
			}, [ _('Check what is edited') ]);

		L.resolveDefault(calls.check(), {}).then((said) => this.showVerdict(said));

		return '';
	},

	/* Nothing is saved by it. */
	handleCheck() {
		this.map.checkDepends();

		return this.map.parse()
			.then(() => calls.checkEdited(editedSections()))
			.catch((error) => ({ error: error.message }))
			.then((said) => this.showVerdict(said));
	},

	showVerdict(said) {
		const lines = said.lines ?? [];
		const warnings = warningsIn(lines);
		const policy = lines.filter((line) => !line.startsWith(WARNING));
		const wrong = said.error ? [ said.error ] : said.wrong ?? [];
		const message = (kind, text) => E('div', { 'class': 'alert-message ' + kind, 'style': 'overflow-wrap:anywhere' }, [ text ]);

		dom.content(this.verdict, [].concat(
			wrong.map((text) => message('error', text)),
			warnings.map((text) => message('warning', text)),
			said.ok && !warnings.length ? [ message('success', _('Nothing is wrong with it.')) ] : [],
			policy.length ? [ E('details', {}, [
				E('summary', {}, [ _('What is in force with it') ]),
				E('pre', { 'style': 'white-space:pre-wrap; overflow-wrap:anywhere' }, [ policy.join('\n') ])
			]) ] : []
		));
	}
});
