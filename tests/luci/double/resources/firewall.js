// Double of LuCI's firewall.js: the zones of the configuration.
'use strict';
'require uci';
'require baseclass';

const Zone = baseclass.extend({
	__init__(section) {
		this.section = section;
	},

	getName() { return this.section.name; },
	getNetworks() { return L.toArray(this.section.network); },
	getColor() { return '#eeeeee'; }
});

return baseclass.extend({
	async getZones() {
		await L.resolveDefault(uci.load('firewall'));
		return uci.sections('firewall', 'zone').map((section) => new Zone(section));
	},

	getZoneColorStyle: (zone) => `--zone-color:${zone ? zone.getColor() : '#eeeeee'}`
});
