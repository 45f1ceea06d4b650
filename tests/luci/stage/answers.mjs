// What a small router without wireless says beside its proxy: on ubus, by "OBJECT METHOD", and in the
// other files of /etc/config.

const NETWORKS = [
	{ interface: 'lan', up: true, available: true, l3_device: 'br-lan', device: 'br-lan', proto: 'static', 'ipv4-address': [ { address: '127.0.0.1', mask: 8 } ], 'ipv6-address': [], route: [], data: {} },
	{ interface: 'guest', up: true, available: true, l3_device: 'br-guest', device: 'br-guest', proto: 'static', 'ipv4-address': [ { address: '192.168.9.1', mask: 24 } ], 'ipv6-address': [], route: [], data: {} },
	{ interface: 'wan', up: false, available: true, proto: 'dhcp', device: 'eth1', data: {} }
];

const DEVICE = (name, mac) => ({ name, mac, type: 'bridge', up: true, mtu: 1500, devtype: 'bridge', flags: { up: true }, stats: {}, ipaddrs: [], ip6addrs: [], link: {} });

export const SAID = {
	'luci getFeatures': { firewall: true, firewall4: true, opkg: true, rfkill: false },
	'luci-rpc getHostHints': { '02:00:00:00:00:07': { ipaddrs: [ '127.0.0.1' ], ip6addrs: [ '::1' ], name: 'ann-<i>laptop</i>' } },
	'luci-rpc getNetworkDevices': { 'br-lan': DEVICE('br-lan', '02:00:00:00:00:01'), 'br-guest': DEVICE('br-guest', '02:00:00:00:00:02'), eth1: { ...DEVICE('eth1', '02:00:00:00:00:03'), devtype: 'ethernet', type: 'ethernet' } },
	'luci-rpc getWirelessDevices': {},
	'luci-rpc getBoardJSON': { model: { id: 'harness', name: 'harness' }, network: {} },
	'luci-rpc getDHCPLeases': { dhcp_leases: [ { ipaddr: '127.0.0.1', hostname: 'ann-<i>laptop</i>', macaddr: '02:00:00:00:00:07', expires: 3600 } ], dhcp6_leases: [] },
	'network get_proto_handlers': { static: {}, dhcp: {} },
	'network.device status': {},
	'network.interface dump': { interface: NETWORKS },
	'luci getSwconfigFeatures': {},
	'luci getProcessList': { result: [] },
	'luci getLEDs': {},
	'file read': { data: '' },
	'file list': { entries: [] },
	'file stat': {},
	'system board': { hostname: 'harness', model: 'harness', release: { version: '24.10' } }
};

export const CONFIGURATIONS = {
	luci: "config core 'main'\n\toption lang 'en'\n\nconfig internal 'apply'\n\toption rollback '90'\n\toption holdoff '4'\n",
	network: [ 'lan', 'guest', 'wan' ].map((name) =>
		`config interface '${name}'\n\toption proto '${name == 'wan' ? 'dhcp' : 'static'}'\n\toption device '${name == 'wan' ? 'eth1' : `br-${name}`}'\n`).join('\n'),
	wireless: '',
	firewall: [ 'lan', 'guest', 'wan' ].map((name) =>
		`config zone\n\toption name '${name}'\n\tlist network '${name}'\n\toption input 'ACCEPT'\n\toption output 'ACCEPT'\n\toption forward 'REJECT'\n`).join('\n')
};
