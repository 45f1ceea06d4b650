// Double of LuCI's network.js: the networks of the configuration.
'use strict';
'require uci';
'require rpc';
'require baseclass';

const dump = rpc.declare({ object: 'network.interface', method: 'dump', expect: { interface: [] } });

const Device = baseclass.extend({
	__init__(name, is_up) {
		Object.assign(this, { name, is_up });
	},

	getName() { return this.name; },
	getI18n() { return this.name; },
	getType() { return this.name.startsWith('br-') ? 'bridge' : 'ethernet'; },
	isUp() { return this.is_up; }
});

const Protocol = baseclass.extend({
	__init__(name, state) {
		Object.assign(this, { name, state });
	},

	getName() { return this.name; },
	getI18n() { return this.name; },
	getIfname() { return this.state?.l3_device ?? this.state?.device; },
	isUp() { return Boolean(this.state?.up); },
	isVirtual() { return false; },
	isBridge() { return false; },
	getDevice() { return this.getIfname() ? new Device(this.getIfname(), this.isUp()) : null; },
	getL3Device() { return this.getDevice(); },
	getDevices() { return []; }
});

return baseclass.extend({
	Protocol, Device,

	async getNetworks() {
		const [ states ] = await Promise.all([ dump().catch(() => []), L.resolveDefault(uci.load('network')) ]);
		return states.map((state) => new Protocol(state.interface, state));
	},

	async getDevices() {
		return (await this.getNetworks()).map((one) => one.getDevice()).filter(Boolean);
	},

	async getNetwork(name) {
		return (await this.getNetworks()).find((one) => one.getName() == name) ?? null;
	}
});
