// Double of LuCI's tools/widgets.js: networks and zones of the firewall to choose from.
'use strict';
'require ui';
'require form';
'require network';
'require firewall';
'require baseclass';

const badge = (kind, name) => E('span', { class: kind }, [ name ]);

const Select = form.ListValue.extend({
	filter: () => true,

	renderWidget(section_id, at, value) {
		const values = L.toArray(value ?? this.default);
		const names = this.names().filter((name) => this.filter(section_id, name));
		const choices = Object.fromEntries(names.map((name) => [ name, badge(this.badge, name) ]));
		return new ui.Dropdown(this.multiple ? values : values[0], choices, this.options(section_id, {
			multiple: this.multiple, create: !this.nocreate, sort: true, datatype: this.multiple ? `list(${this.type})` : this.type
		})).render();
	}
});

const NetworkSelect = Select.extend({
	badge: 'ifacebadge',
	type: 'uciname',

	load(section_id) {
		return network.getNetworks().then((networks) => {
			this.networks = networks;
			return this.super('load', [ section_id ]);
		});
	},

	names() { return this.networks.map((one) => one.getName()); },
	renderIfaceBadge: (one) => badge('ifacebadge', one.getName())
});

const ZoneSelect = Select.extend({
	badge: 'zonebadge',
	type: 'ucifw4zonename',

	load(section_id) {
		return Promise.all([ firewall.getZones(), network.getNetworks() ]).then(([ zones, networks ]) => {
			Object.assign(this, { zones, networks });
			return this.super('load', [ section_id ]);
		});
	},

	names() { return this.zones.map((one) => one.getName()); }
});

return baseclass.extend({ NetworkSelect, ZoneSelect });
